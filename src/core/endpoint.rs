//! Where keys may be sent: only to endpoints that the admin allowed.

use std::fmt;

use url::Url;

/// The base URL of an IAM, such as `https://iam.cloud.ibm.com`: scheme, host and optional port and path, with neither
/// a trailing slash, nor the scheme's own port, nor the `/identity/token` that users often paste along.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(String);

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither https nor, where the admin allows it for development, http.
    #[error("must start with https://")]
    NotHttps,
    /// User name, password, query, fragment, white space, no host, or a port that is no number from 1 to 65535.
    #[error("must be scheme, host and optional port only, such as https://iam.cloud.ibm.com")]
    Malformed,
}

/// The endpoints that the admin allows, the default one first, and those that stand in for the default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    allowed: Vec<Endpoint>,
    failover: Vec<Endpoint>,
}

/// How many endpoints may stand in for the default one: all share the time of one exchange.
pub const MOST_FAILOVER: usize = 4;

/// Why endpoints cannot stand in for the default one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailoverError {
    /// It is not allowed.
    #[error("add {0} to --allowed-endpoints")]
    NotAllowed(Endpoint),
    /// It is the default one, or was named before.
    #[error("take {0} out: it is there twice, or it is the default endpoint, which is asked first anyway")]
    Repeated(Endpoint),
    /// There are too many.
    #[error("name at most {MOST_FAILOVER}")]
    TooMany,
}

// === impl Endpoint ===

impl Endpoint {
    /// Accepts the forms that users paste: with or without a trailing slash, `/identity/token` or `/oidc/token`.
    ///
    /// # Errors
    /// [`EndpointError`] where the text is no https URL of a host; http passes only with `allow_http`.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::NotHttps)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "https" && !(scheme == "http" && allow_http) {
            return Err(EndpointError::NotHttps);
        }
        let rest = rest.trim_end_matches('/');
        let rest = ["/identity/token", "/oidc/token"].iter().find_map(|path| rest.strip_suffix(path)).unwrap_or(rest);
        let rest = rest.trim_end_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
        let (host, port) = split_port(authority).ok_or(EndpointError::Malformed)?;
        if host.is_empty() || !rest.chars().all(plain) {
            return Err(EndpointError::Malformed);
        }
        let own = if scheme == "https" { 443 } else { 80 };
        let port = port.filter(|port| *port != own).map(|port| format!(":{port}")).unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let text = format!("{scheme}://{host}{port}{path}");
        if is_read_as(&text, &host, path) { Ok(Self(text)) } else { Err(EndpointError::Malformed) }
    }

    /// Without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where tokens are asked for.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/identity/token", self.0)
    }

    /// Where API keys are asked about (IBM's OpenAPI of IAM Identity, `getApiKeysDetails`).
    #[must_use]
    pub fn key_details_url(&self) -> String {
        format!("{}/v1/apikeys/details", self.0)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether those who send a request see the same host and path in the URL as whoever reads it. They take `0x7f.1` for
/// 127.0.0.1, and `/a/../b` for `/b` (WHATWG, URL Standard, "URL parsing").
fn is_read_as(text: &str, host: &str, path: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.host_str() == Some(host) && url.path().trim_end_matches('/') == path)
}

/// Host and port; `None` where there is a colon and no port behind it. The colons of an IPv6 address are in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
        None => Some((authority, None)),
    }
}

// === impl Endpoints ===

impl Endpoints {
    /// The first of `allowed` is the default one; `None` where the list is empty.
    #[must_use]
    pub fn new(allowed: Vec<Endpoint>) -> Option<Self> {
        (!allowed.is_empty()).then_some(Self { allowed, failover: vec![] })
    }

    /// Where the default one fails, `failover` are asked in its place, in this order.
    ///
    /// # Errors
    /// The [`FailoverError`] that the admin has to mend.
    pub fn with_failover(self, failover: Vec<Endpoint>) -> Result<Self, FailoverError> {
        if failover.len() > MOST_FAILOVER {
            return Err(FailoverError::TooMany);
        }
        for (place, endpoint) in failover.iter().enumerate() {
            if !self.allowed.contains(endpoint) {
                return Err(FailoverError::NotAllowed(endpoint.clone()));
            }
            if endpoint == self.default_one() || failover[..place].contains(endpoint) {
                return Err(FailoverError::Repeated(endpoint.clone()));
            }
        }
        Ok(Self { failover, ..self })
    }

    /// The one that an `IamToken` without an endpoint uses.
    #[must_use]
    pub fn default_one(&self) -> &Endpoint {
        &self.allowed[0]
    }

    /// Those that are asked in place of the default one where it fails, in this order; none unless the admin named them.
    #[must_use]
    pub fn failover(&self) -> &[Endpoint] {
        &self.failover
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.allowed.iter()
    }

    /// The allowed endpoint that a user named, however it was written.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Endpoint> {
        let wanted = Endpoint::parse(text, true).ok()?;
        self.allowed.iter().find(|allowed| **allowed == wanted)
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.allowed.iter().map(Endpoint::as_str).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests;
