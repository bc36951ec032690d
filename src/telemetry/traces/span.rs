//! What spans have in common.

use http::{Method, StatusCode, Uri};
use opentelemetry::trace::Status;
use tracing::field::Empty;
use tracing::{Metadata, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry::metrics::classify;

/// Whether it is a span of this crate.
#[must_use]
pub fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("iam_token_operator")
}

/// The span that the work at hand is a part of has failed, with this text, which holds no secret.
pub fn fail(text: impl FnOnce() -> String) {
    let span = Span::current();
    if span.metadata().is_some_and(is_ours) {
        span.set_status(Status::error(text()));
    }
}

/// The span of a request to the API server. There is none where it is no part of another span, as of a watch or a lease.
pub fn request(method: &Method, uri: &Uri) -> Span {
    if !Span::current().metadata().is_some_and(is_ours) {
        return Span::none();
    }
    let (verb, resource) = classify(method, uri);
    let (verb, resource) = (verb.as_str(), resource.as_str());
    info_span!(
        "request",
        otel.name = format!("{verb} {resource}"),
        otel.kind = "client",
        verb,
        resource,
        http.request.method = method.as_str(),
        http.response.status_code = Empty,
    )
}

/// What that request came to; `None` where there was no answer. That something is not there, or not as it was, is an answer
/// that the operator counts on.
pub fn answered(span: &Span, status: Option<StatusCode>) {
    if span.is_none() {
        return;
    }
    let code = status.map(|status| status.as_u16());
    span.record("http.response.status_code", code);
    match code {
        None => span.set_status(Status::error("no answer")),
        Some(404 | 409 | ..400) => {}
        Some(code) => span.set_status(Status::error(format!("HTTP {code}"))),
    }
}
