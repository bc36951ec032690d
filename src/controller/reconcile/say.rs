//! What one look came to, said in the status and in events.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tracing::{Instrument as _, info_span, warn};

use super::{Look, SOON, Scene};
use crate::api::{IamTokenStatus, Listed};
use crate::cluster;
use crate::controller::action::Action;
use crate::core::decide::next_look;
use crate::core::kept::claimed_target;
use crate::core::key_health;
use crate::core::observed::{Seen, Standing};
use crate::core::problem::{ApiKind, Problem};
use crate::core::schedule::{LONGEST_SLEEP, since};
use crate::core::status::{self, Note, Situation};
use crate::telemetry::metrics::Outcome;

/// No look follows another sooner.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

// === impl Look ===

impl Look<'_> {
    /// Nothing is left to do: says so, if that is news.
    pub(super) async fn settle(
        &mut self,
        scene: &Scene<'_>,
        problem: Option<&Problem>,
        retry_at: Option<Timestamp>,
        outcome: Outcome,
    ) -> Action {
        self.counted.came_to(outcome);
        self.reason = problem.map(Problem::reason);
        let mut after = status::next(scene.before, &situation(scene, problem), scene.now);
        after.restarts.clone_from(&scene.observed.memory.restarts.done);
        let look = next_look(scene.plan, &scene.observed, scene.now);
        let key = scene.api_key.and_then(|key| key.changes_at(scene.now));
        let until = [retry_at, look, key].into_iter().flatten().min();
        self.write(scene.before, &after, requeue(until, scene.now)).await
    }

    pub(super) async fn at_unplannable(
        &mut self,
        token: &Listed,
        before: &IamTokenStatus,
        problem: &Problem,
    ) -> Action {
        self.counted.came_to(Outcome::Refused);
        self.reason = Some(problem.reason());
        let target = claimed_target(&self.key.name, token.spec.as_ref(), before);
        let mut seen = self.context.with_view(|view| view.seen(&self.key.sibling(&target)));
        self.remembered.memory.correct(&mut seen, self.context.server_time.ahead());
        let uid = self.remembered.uid.to_string();
        let standing = Standing::of(&seen, &self.key.name, &uid);
        let situation = Situation {
            generation: token.metadata.generation.unwrap_or_default(),
            target: matches!(standing, Standing::Ours(_)).then_some(target.as_str()),
            record: standing.record(),
            unknown: standing == Standing::Unknown,
            intact: true,
            renew_before: self.context.defaults.renew_before,
            suspended: false,
            problem: Some(problem),
            api_key: None,
        };
        let now = self.context.now();
        let expires_at = standing.record().map(|record| record.life().expires_at()).filter(|at| *at > now);
        let after = status::next(before, &situation, now);
        self.write(before, &after, requeue(expires_at, now)).await
    }

    async fn write(&mut self, before: &IamTokenStatus, after: &IamTokenStatus, then: Action) -> Action {
        if before == after {
            return then;
        }
        if !self.context.lead.holds() {
            return Action::requeue(LONGEST_SLEEP);
        }
        if let Err(wait) = self.pay_status(before, after) {
            return Action::requeue(
                then.after.map_or(wait, |after| after.min(wait)).clamp(SHORTEST_SLEEP, LONGEST_SLEEP),
            );
        }
        if !self.context.admits_status(self.key, &mut self.places) {
            return Action::requeue(LONGEST_SLEEP);
        }
        let span = info_span!(parent: &self.span(), "status");
        let written = cluster::status::write(&self.context.client, self.key, &self.seen, after).instrument(span);
        match Box::pin(written).await {
            Ok(version) => {
                self.remembered.written = version.parse().unwrap_or_default();
                let notes = [status::transition(before, after), key_health::transition(before, after)];
                for note in notes.iter().flatten() {
                    self.publish(note);
                }
                then
            }
            Err(problem) if problem.code == Some(404) => Action::await_change(),
            Err(problem) if problem.kind == ApiKind::Conflict => {
                self.remembered.outdated = self.seen.version.number();
                Action::requeue(SOON) // The newer copy is under way, or is read then.
            }
            Err(problem) => {
                self.counted.came_to(Outcome::Failed);
                let problem = Problem::Api(problem);
                warn!(iamtoken = %self.key, reason = %problem.reason(), "{}", problem.message());
                Action::requeue(SOON)
            }
        }
    }

    pub(super) fn publish(&self, note: &Note) {
        self.context.events.publish(note, self.key, &self.remembered.uid.to_string());
    }
}

pub(super) fn situation<'a>(scene: &Scene<'a>, problem: Option<&'a Problem>) -> Situation<'a> {
    let (plan, observed) = (scene.plan, &scene.observed);
    let (target, record, intact) = match observed.standing() {
        Standing::Ours(facts) => {
            (Some(plan.target.name.as_str()), facts.record.as_deref(), facts.data_is_intact(plan, observed.uid))
        }
        _ => (None, None, false),
    };
    Situation {
        generation: observed.generation,
        target: target.filter(|name| observed.last_target.is_none_or(|last| last == *name) || plan.target.retain),
        record,
        unknown: *observed.target == Seen::Unknown,
        intact,
        renew_before: plan.renew_before,
        suspended: plan.suspend,
        problem,
        api_key: scene.api_key,
    }
}

/// Until then, but looking at the wall clock now and again.
pub(super) fn requeue(until: Option<Timestamp>, now: Timestamp) -> Action {
    let sleep = until.map_or(LONGEST_SLEEP, |at| since(at, now));
    Action::requeue(sleep.clamp(SHORTEST_SLEEP, LONGEST_SLEEP))
}
