//! What one look may do of its namespace's budget.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Look, Scene, WORTH_A_WORD};
use crate::api::{IamTokenStatus, Listed};
use crate::controller::action::Action;
use crate::core::budget::{Dues, free_from, may_wait};
use crate::core::decide::Work;
use crate::core::schedule::{later, since};
use crate::telemetry::metrics::Outcome;

/// So often each status is written without asking for the budget.
const TOLD_EVERY: Duration = Duration::from_mins(5);

// === impl Look ===

impl Look<'_> {
    /// Whether the work may be done now, as far as the budget goes; if not, when to ask again.
    pub(super) fn pay(&mut self, work: Work, scene: &Scene<'_>) -> Result<(), Timestamp> {
        let free_from = free_from(work, &scene.observed, self.old);
        if self.covered || free_from.is_some_and(|at| at <= scene.now) {
            return Ok(());
        }
        let turn = self.context.budget.pay(&self.key.namespace, &mut self.remembered.dues);
        turn.map_err(|turn| free_from.map_or(turn, |at| at.min(turn)))
    }

    /// The work has ended, well or badly. A look at the target is a part of what follows it.
    pub(super) fn spend(&mut self, work: Work, done: bool) {
        self.covered = work == Work::Look && done;
        if self.remembered.dues == Dues::Paid {
            self.remembered.dues = Dues::Owed;
        }
        if matches!(work, Work::Look | Work::Refresh(_)) {
            self.remembered.memory.routine.tried(self.context.now());
        }
    }

    /// The work goes on later, and is not paid for twice.
    pub(super) fn keep_paid(&mut self) {
        if std::mem::take(&mut self.covered) {
            self.remembered.dues = Dues::Paid;
        }
    }

    /// The namespace is over its budget. The status is left as it is, but for what [`Self::hold`] tells.
    pub(super) async fn wait_for_budget(&mut self, work: Work, until: Timestamp, scene: &Scene<'_>) -> Action {
        self.counted.came_to(Outcome::Waiting);
        let told = scene.observed.memory.trouble.as_ref().map(|trouble| trouble.problem.clone());
        let long = since(until, scene.now) >= WORTH_A_WORD;
        let problem = told.or_else(|| long.then(|| self.context.budget.problem(&self.key.namespace)));
        self.hold(work, scene, problem, Some(until)).await
    }

    /// Pays for a status.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn pay_status(&mut self, before: &IamTokenStatus, after: &IamTokenStatus) -> Result<(), Duration> {
        let now = self.context.moment();
        let told = self.remembered.told.filter(|at| now.steady.saturating_duration_since(*at) < TOLD_EVERY);
        if told.is_some() && may_wait(before, after) {
            let turn = self.context.budget.pay(&self.key.namespace, &mut self.remembered.dues);
            turn.map_err(|turn| since(turn, now.wall))?;
            self.remembered.dues = Dues::Owed;
        }
        self.remembered.told = Some(now.steady);
        Ok(())
    }
}

/// Whether the `IamToken` is from before `began`.
pub(super) fn is_old(token: &Listed, began: Timestamp) -> bool {
    // The API server's times are whole seconds.
    let created = token.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.is_some_and(|at| later(at, Duration::from_secs(1)) <= began)
}
