//! The span of one look: the root of its trace.

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::Look;
use crate::api::Reason;

// === impl Look ===

impl Look<'_> {
    /// It begins with the first thing that the look does: one that finds nothing to do has none.
    pub(super) fn span(&mut self) -> Span {
        let begin = || {
            info_span!(
                parent: None,
                "reconcile",
                k8s.namespace.name = self.key.namespace.as_str(),
                iamtoken = %self.key,
                outcome = Empty,
                reason = Empty,
            )
        };
        self.span.get_or_insert_with(begin).clone()
    }

    /// Says what the look came to.
    pub(super) fn end(&self) {
        if let Some(span) = &self.span {
            span.record("outcome", self.counted.outcome().as_str());
            span.record("reason", self.reason.map(Reason::as_str));
        }
    }
}
