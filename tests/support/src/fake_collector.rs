//! A fake collector of traces, which takes OTLP/HTTP in protobuf as the specification has it and nothing else.
//!
//! `POST /v1/traces` with `Content-Type: application/x-protobuf` (OTLP specification, "OTLP/HTTP"). What it cannot take is
//! answered with 400, 404, 405 or 415, and kept as a complaint. It knows no field that the protocol does not have: what it
//! decodes must be all there is. A span must have valid ids, a name, an end not before its beginning, and each attribute
//! once (`opentelemetry/proto/trace/v1/trace.proto`).

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;

use crate::fake_iam::server::{self, Body, Server};
use crate::fake_iam::{full_body, text_answer};

/// Attributes by name, with their values as text.
pub type Attributes = BTreeMap<String, String>;

/// A running collector; dropping it ends it.
pub struct FakeCollector {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    spans: Vec<Span>,
    requests: Vec<Vec<u8>>,
    complaints: Vec<String>,
    authorizations: HashSet<String>,
    hangs: bool,
    answers: Option<StatusCode>,
}

/// A span that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty where it is the root.
    pub parent: String,
    pub name: String,
    /// It is a request to somebody else.
    pub client: bool,
    pub attributes: Attributes,
    /// The ids of the spans that it links to.
    pub links: Vec<String>,
    pub begin: u64,
    pub end: u64,
    /// What went wrong, where something did.
    pub error: Option<String>,
    /// Who sent it.
    pub resource: Attributes,
}

// === impl FakeCollector ===

impl FakeCollector {
    /// On a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let bound = server::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let server = Server::start("fake-collector", bound, None, |_| {
            Arc::new(move |request, _| {
                let state = Arc::clone(&shared);
                Box::pin(async move { Ok(answer(&state, request).await) })
            })
        });
        Self { server: server.expect("the fake collector starts"), state }
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// All spans so far.
    ///
    /// # Panics
    /// When anything came that is not as it must be.
    pub fn spans(&self) -> Vec<Span> {
        let state = self.lock();
        assert!(state.complaints.is_empty(), "the collector complains: {:#?}", state.complaints);
        state.spans.clone()
    }

    /// What it could not take.
    pub fn complaints(&self) -> Vec<String> {
        self.lock().complaints.clone()
    }

    /// The bodies of all requests, as they came.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.lock().requests.clone()
    }

    /// What `Authorization` was.
    pub fn authorizations(&self) -> Vec<String> {
        self.lock().authorizations.iter().cloned().collect()
    }

    /// From now on requests are read and never answered, or are answered again.
    pub fn hang(&self, hangs: bool) {
        self.lock().hangs = hangs;
    }

    /// From now on this is the answer, whatever comes.
    pub fn answer_with(&self, status: Option<u16>) {
        self.lock().answers = status.map(|status| StatusCode::from_u16(status).expect("a status"));
    }

    /// Closes the listener and all connections.
    pub fn down(&self) {
        self.server.down();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// When somebody else has taken the port meanwhile.
    pub fn up(&self) {
        self.server.up().expect("the port is still free");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(state: &Mutex<State>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (hangs, fixed) = {
        let mut state = lock(state);
        state.requests.push(body.to_vec());
        let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        state.authorizations.extend(authorization.map(str::to_owned));
        (state.hangs, state.answers)
    };
    if hangs {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    if let Some(status) = fixed {
        return text_answer(status, "as told");
    }
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let refusal = match (head.method, head.uri.path(), content_type) {
        (_, path, _) if path != "/v1/traces" => Some((StatusCode::NOT_FOUND, format!("path {path}"))),
        (method, ..) if method != Method::POST => Some((StatusCode::METHOD_NOT_ALLOWED, format!("method {method}"))),
        (_, _, Some("application/x-protobuf")) => None,
        (_, _, other) => Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("content type {other:?}"))),
    };
    let taken = refusal.map_or_else(|| take(&body).map_err(|why| (StatusCode::BAD_REQUEST, why)), Err);
    let mut state = lock(state);
    match taken {
        Ok(spans) => {
            state.spans.extend(spans);
            let mut response = Response::new(full_body(ExportTraceServiceResponse::default().encode_to_vec()));
            response.headers_mut().insert(CONTENT_TYPE, "application/x-protobuf".parse().expect("a header"));
            response
        }
        Err((status, why)) => {
            state.complaints.push(why.clone());
            text_answer(status, &why)
        }
    }
}

fn take(body: &[u8]) -> Result<Vec<Span>, String> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|error| error.to_string())?;
    if request.encoded_len() != body.len() {
        return Err("fields that the protocol does not have".into());
    }
    let mut spans = vec![];
    for group in request.resource_spans {
        let resource = attributes(&group.resource.unwrap_or_default().attributes)?;
        for scope in group.scope_spans {
            if scope.scope.as_ref().is_none_or(|scope| *scope == InstrumentationScope::default()) {
                return Err("spans of no instrumentation scope".into());
            }
            for span in scope.spans {
                spans.push(span_of(span, &resource)?);
            }
        }
    }
    if spans.is_empty() { Err("no spans".into()) } else { Ok(spans) }
}

fn span_of(span: ProtoSpan, resource: &Attributes) -> Result<Span, String> {
    let name = span.name.clone();
    let wrong = |what: &str| Err(format!("span {name:?}: {what}"));
    let status = span.status.clone().unwrap_or_default();
    if span.name.is_empty() || span.end_time_unix_nano < span.start_time_unix_nano || span.start_time_unix_nano == 0 {
        return wrong("no name, or an end before its beginning");
    }
    if span.dropped_attributes_count + span.dropped_links_count + span.dropped_events_count > 0
        || !span.events.is_empty()
    {
        return wrong("events, or something is dropped");
    }
    let error = match status.code() {
        SpanStatus::Error => Some(status.message),
        _ if status.message.is_empty() => None,
        _ => return wrong("a message without an error"),
    };
    let parent = if span.parent_span_id.is_empty() { String::new() } else { id(&span.parent_span_id, 8)? };
    let links = span.links.iter().map(|link| id(&link.trace_id, 16).and_then(|_| id(&link.span_id, 8)));
    Ok(Span {
        trace: id(&span.trace_id, 16)?,
        id: id(&span.span_id, 8)?,
        parent,
        client: span.kind() == SpanKind::Client,
        attributes: attributes(&span.attributes)?,
        links: links.collect::<Result<_, _>>()?,
        begin: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        error,
        resource: resource.clone(),
        name: span.name,
    })
}

/// In hexadecimal digits.
fn id(bytes: &[u8], length: usize) -> Result<String, String> {
    if bytes.len() != length || bytes.iter().all(|byte| *byte == 0) {
        return Err(format!("an id of {} bytes, or of zeros", bytes.len()));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn attributes(list: &[KeyValue]) -> Result<Attributes, String> {
    let mut all = Attributes::new();
    for pair in list {
        let value = match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(AnyValue::StringValue(text)) => text.clone(),
            Some(AnyValue::BoolValue(value)) => value.to_string(),
            Some(AnyValue::IntValue(value)) => value.to_string(),
            Some(AnyValue::DoubleValue(value)) => value.to_string(),
            other => return Err(format!("attribute {}: {other:?}", pair.key)),
        };
        if pair.key.is_empty() || all.insert(pair.key.clone(), value).is_some() {
            return Err(format!("attribute {:?} without a name, or twice", pair.key));
        }
    }
    Ok(all)
}

impl fmt::Debug for FakeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCollector").field("url", &self.url()).finish_non_exhaustive()
    }
}
