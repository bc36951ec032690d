//! What the span of an ask says.

use tracing::Span;

use super::Outcome;
use crate::telemetry::metrics;
use crate::telemetry::traces::span;

/// It makes an exchange of its own.
pub(super) fn begins() {
    Span::current().record("shared", false);
}

/// It gets what the exchange comes to that another ask began, if that still runs.
pub(super) fn joins(begun_by: Option<&Span>) {
    let span = Span::current();
    span.record("shared", true);
    begun_by.map(|begun_by| span.follows_from(begun_by));
}

/// It has ended. One that is pending may yet be told what it came to.
pub(super) fn ends(outcome: &Outcome) {
    let span = Span::current();
    match outcome {
        Outcome::Granted(grant) => drop(span.record("result", metrics::result(Ok(grant)))),
        Outcome::Refused(refused) => {
            let failure = &refused.failure;
            span.record("result", metrics::result(Err(failure)));
            span.record("transaction_id", failure.request_id.as_deref());
            span.record("http.response.status_code", failure.status);
            span::fail(|| failure.to_string());
        }
        Outcome::Pending => {}
    }
}
