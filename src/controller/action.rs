//! What kube's action would be if it told when the next look is.

use std::time::Duration;

use kube::runtime::controller;

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

impl From<Action> for controller::Action {
    fn from(action: Action) -> Self {
        action.after.map_or_else(Self::await_change, Self::requeue)
    }
}
