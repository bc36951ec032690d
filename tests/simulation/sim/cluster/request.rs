//! What is asked, and what it is answered with.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use kube::client::Body;

use super::kind::Kind;
use super::watch::Watch;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub accept: String,
    pub content_type: String,
    /// The User-Agent up to its first `/`.
    pub agent: String,
    pub body: Bytes,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    pub kind: Kind,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
    /// Whether it is the subresource `status`.
    pub status: bool,
}

/// What comes back.
pub enum Answer {
    /// An object, a list, or a `Status`, as JSON.
    Object(StatusCode, Bytes),
    /// A stream of events.
    Watch(Watch),
}

// === impl Request ===

impl Request {
    /// From what kube's client sends.
    ///
    /// # Errors
    /// Where the body cannot be read.
    pub async fn read(request: http::Request<Body>) -> Result<Self, kube::Error> {
        let (parts, body) = request.into_parts();
        let text = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self {
            query: query.into_owned().collect(),
            path: parts.uri.path().to_owned(),
            accept: text(&parts.headers, ACCEPT),
            content_type: text(&parts.headers, CONTENT_TYPE),
            agent: text(&parts.headers, USER_AGENT).split('/').next().unwrap_or_default().to_owned(),
            method: parts.method,
            body: body.collect_bytes().await?,
        })
    }

    /// A parameter of the query, if it is there and not empty.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The field manager of a write that names none.
    pub fn agent(&self) -> &str {
        if self.agent.is_empty() { "unknown" } else { &self.agent }
    }

    /// Whether a parameter is `true`.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.parameter(name), Some("true" | "1"))
    }

    /// Whether it opens a watch.
    pub fn is_watch(&self) -> bool {
        self.method == Method::GET && self.is_set("watch")
    }

    /// Whether it asks for metadata only.
    pub fn wants_metadata(&self) -> bool {
        self.accept.contains("as=PartialObjectMetadata")
    }

    /// What it is about; `None` where nothing like that is served.
    pub fn target(&self) -> Option<Target<'_>> {
        let mut steps = self.path.trim_start_matches('/').split('/');
        let (group, version) = match steps.next()? {
            "api" => ("", steps.next()?),
            "apis" => (steps.next()?, steps.next()?),
            _ => return None,
        };
        let (namespace, plural) = match steps.next()? {
            "namespaces" => (Some(steps.next()?), steps.next()?),
            plural => (None, plural),
        };
        let is_it = |kind: &Kind| kind.group() == group && kind.plural() == plural;
        let kind = Kind::ALL.into_iter().find(is_it)?;
        let (name, status) = (steps.next(), steps.next());
        let known = kind.api_version().ends_with(version) && steps.next().is_none();
        let served = match status {
            None => true,
            Some(status) => status == "status" && kind == Kind::IamToken,
        };
        (known && served).then_some(Target { kind, namespace, name, status: status.is_some() })
    }
}
