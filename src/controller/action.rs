//! What a look ends with.

use std::time::Duration;

/// When an `IamToken` is looked at again, if nothing happens before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    /// After so long, or only when something changes.
    pub(super) after: Option<Duration>,
}

// === impl Action ===

impl Action {
    pub(super) const fn requeue(after: Duration) -> Self {
        Self { after: Some(after) }
    }

    pub(super) const fn await_change() -> Self {
        Self { after: None }
    }
}
