//! Answers as hyper sends them, right and wrong ones.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::header::{LOCATION, PRAGMA, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::fault::{Fault, RetryAfter};
use super::server::{Answer, Body, Connection};

/// The text of IAM's 429, which is not JSON (seen by users of node-red-node-watson and of IBM Cloud Kubernetes Service).
pub(crate) const RATE_LIMIT_TEXT: &str = "ApiKey based rate limit for calls to /token";

/// How long a call hangs or an endless answer goes on, at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much an endless answer sends, at most.
const ENDLESS_BYTES: usize = 64 << 20;

const CHUNK: usize = 64 << 10;

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A plain text, or nothing at all.
pub(crate) fn text(status: StatusCode, body: &str) -> Response<Body> {
    let mut response = Response::new(full(body.to_owned()));
    *response.status_mut() = status;
    if !body.is_empty() {
        set(&mut response, CONTENT_TYPE, "text/plain;charset=utf-8");
    }
    response
}

/// A JSON answer, with the headers against caching that IAM sends.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/json");
    set(&mut response, CONTENT_LANGUAGE, "en-US");
    set(&mut response, CACHE_CONTROL, "no-cache, no-store, must-revalidate");
    set(&mut response, PRAGMA, "no-cache");
    response
}

/// A 429 in plain text.
pub(crate) fn rate_limited(retry_after: RetryAfter, now: SystemTime) -> Response<Body> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT_TEXT);
    match retry_after {
        RetryAfter::None => {}
        RetryAfter::Seconds(seconds) => set(&mut response, RETRY_AFTER, &seconds.to_string()),
        RetryAfter::Date(seconds) => {
            let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds));
            set(&mut response, RETRY_AFTER, &date);
        }
    }
    response
}

/// Adds the header `Allow`.
pub(crate) fn allowing(mut response: Response<Body>, methods: &str) -> Response<Body> {
    set(&mut response, ALLOW, methods);
    response
}

/// Sets a header; a value that HTTP doesn't allow is left out.
pub(crate) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The answer of a fault that replaces the right one. Those that only change it are not for here: they are refused.
pub(crate) async fn of_fault(fault: Fault, connection: &Connection, now: SystemTime) -> Answer {
    Ok(match fault {
        Fault::RateLimited { retry_after } => rate_limited(retry_after, now),
        Fault::Status { status, body } => text(status_code(status), &body),
        Fault::Redirect { status, location } => {
            let mut response = text(status_code(status), "");
            set(&mut response, LOCATION, &location);
            response
        }
        Fault::Html => {
            let mut response = text(StatusCode::OK, "<!DOCTYPE html><title>Sign in</title><p>Please sign in.");
            set(&mut response, CONTENT_TYPE, "text/html;charset=utf-8");
            response
        }
        Fault::Truncated => truncated(),
        Fault::Large { bytes } => large(bytes),
        Fault::Endless => endless(),
        Fault::Raw { status, headers, body } => raw(status, &headers, body),
        Fault::Hang => {
            tokio::time::sleep(PATIENCE).await;
            return Err(io::Error::other("hung up"));
        }
        Fault::Reset => {
            connection.reset_when_closed()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        _ => return Err(io::ErrorKind::ConnectionAborted.into()),
    })
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn raw(status: u16, headers: &[(String, String)], body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status_code(status);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A token answer of which only the beginning comes.
fn truncated() -> Response<Body> {
    let start = Bytes::from_static(br#"{"access_token":"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ0cnVuY2F0ZWQ"#);
    let announced = start.len() * 4;
    let frames = stream::unfold(Some(start), |left| async move {
        match left {
            Some(bytes) => Some((Ok(Frame::data(bytes)), None)),
            None => {
                // Lets what was sent leave before the connection goes.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None))
            }
        }
    });
    let mut response = json_stream(StreamBody::new(frames).boxed_unsync());
    set(&mut response, CONTENT_LENGTH, &announced.to_string());
    response
}

/// A token answer that is well-formed and `bytes` long.
fn large(bytes: usize) -> Response<Body> {
    const START: &str = r#"{"token_type":"Bearer","expires_in":3600,"access_token":""#;
    const END: &str = r#""}"#;
    let mut body = String::with_capacity(bytes);
    body.push_str(START);
    body.extend(std::iter::repeat_n('A', bytes.saturating_sub(START.len() + END.len())));
    body.push_str(END);
    json_stream(full(body))
}

/// The start of a token answer whose token never ends.
fn endless() -> Response<Body> {
    let start = Bytes::from_static(br#"{"token_type":"Bearer","expires_in":3600,"access_token":""#);
    let more = Bytes::from(vec![b'A'; CHUNK]);
    let until = Instant::now() + PATIENCE;
    let frames = stream::unfold((start, 0), move |(bytes, sent)| {
        let more = more.clone();
        async move {
            if sent > ENDLESS_BYTES || Instant::now() > until {
                return Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), (bytes, sent)));
            }
            let sent = sent + bytes.len();
            tokio::task::yield_now().await;
            Some((Ok(Frame::data(bytes)), (more, sent)))
        }
    });
    json_stream(StreamBody::new(frames).boxed_unsync())
}

fn json_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}
