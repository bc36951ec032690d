//! What is done without asking how much of the budget is left.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::{IamTokenStatus, Reason};
use crate::core::decide::{Observed, Why, Work};
use crate::core::schedule::{Life, earlier, later};
use crate::core::status::{trouble, was_ready};

/// Two routine tries are at least so far apart, and at least a fortieth of the life of a token that lives shorter.
const SPACING: Duration = Duration::from_secs(15);

/// What this process did for one `IamToken` last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routine {
    /// The life of the token that it wrote last.
    life: Option<Life>,
    /// When it tried last.
    tried: Option<Timestamp>,
}

// === impl Routine ===

impl Routine {
    /// A token of this life was written.
    pub fn granted(&mut self, life: Life) {
        self.life = Some(life);
    }

    /// A try has ended, well or badly.
    pub fn tried(&mut self, now: Timestamp) {
        self.tried = Some(now);
    }

    /// The wall clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        self.tried = self.tried.map(|at| earlier(at, by));
        self.life = self.life.map(|life| Life { since: earlier(life.since, by), ..life });
    }

    /// From when on the next try is routine; `None` where the first token is not there yet, unless the `IamToken` is `old`.
    pub(super) fn free_from(&self, old: bool) -> Option<Timestamp> {
        let from = match self.life {
            // Sooner no refresh is due, and no token of others taken over (`Life::joins_from`).
            Some(life) => later(life.since, life.lasts / 4),
            None => old.then_some(Timestamp::MIN)?,
        };
        let spacing = self.life.map_or(SPACING, |life| SPACING.min(life.lasts / 40));
        Some(self.tried.map_or(from, |at| from.max(later(at, spacing))))
    }
}

/// From when on the work is routine, if it ever is: a refresh, or the look that it may need, when the token is no longer
/// young and no try before has failed, or the next one is due that a failed one brought about. So nobody waits for the
/// budget until a token is stale. `old` is an `IamToken` from before this process began to act: its first refresh is.
#[must_use]
pub fn free_from(work: Work, o: &Observed<'_>, old: bool) -> Option<Timestamp> {
    // A source that changed raises the question only where no refresh is due (`decide`).
    if !matches!(work, Work::Look | Work::Refresh(_)) || work == Work::Refresh(Why::SourceChanged) {
        return None;
    }
    let from = o.memory.routine.free_from(old)?;
    match &o.memory.trouble {
        None => Some(from),
        Some(trouble) => trouble.retry_at(o.expires_at()).map(|at| at.max(from)),
    }
}

/// Whether a status may be written later: it tells of no other token and not that one has become ready or is no longer, it
/// answers no change of the spec, and it is not what tells of the budget.
#[must_use]
pub fn may_wait(before: &IamTokenStatus, after: &IamTokenStatus) -> bool {
    was_ready(before) == was_ready(after)
        && before.expires_at == after.expires_at
        && before.observed_generation == after.observed_generation
        && trouble(after).is_none_or(|condition| condition.reason != Reason::NamespaceOverBudget.as_str())
}
