//! One look at one `IamToken`: observe, decide, act until there is nothing left to do, then say so in its status.

mod budget;
mod say;
mod trace;

use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tracing::{Instrument as _, Span, debug, warn};

use self::budget::is_old;
use self::say::{requeue, situation};
use super::act::{Job, Outcome as Act};
use super::action::Action;
use super::context::{Context, Places, Remembered};
use crate::api::{IamTokenSpec, IamTokenStatus, Listed, REFRESH_REQUESTED, Reason};
use crate::cluster;
use crate::core::decide::{self, Observed, Step, Work, next_look};
use crate::core::kept::Kept;
use crate::core::key_health::{ApiKey, Known as KnownKey};
use crate::core::observed::Seen;
use crate::core::plan::Plan;
use crate::core::problem::Problem;
use crate::core::record::{Mark, Record};
use crate::core::restart::MOST_WORKLOADS;
use crate::core::schedule::{LONGEST_SLEEP, later};
use crate::core::status;
use crate::core::view::Key;
use crate::iam::order::Lane;
use crate::telemetry::metrics::{Outcome, Reconcile};

/// More steps than any look needs: to look, to refresh, to rewrite, to remove, and again after lost races; and one for
/// each workload.
const MOST_STEPS: usize = 8 + MOST_WORKLOADS;

/// After a lost race or an API server that fails.
const SOON: Duration = Duration::from_secs(5);

/// An exchange that takes long is joined again after this.
const JOIN_AGAIN: Duration = Duration::from_secs(1);

/// Whoever stands in line for so long is told.
const WORTH_A_WORD: Duration = Duration::from_secs(30);

/// Never fails: what goes wrong is in the status, or is tried again.
pub(super) async fn reconcile(key: Key, context: &Context) {
    let Some(token) = context.with_view(|view| view.token(&key)) else { return context.forget(&key) };
    let running = context.vitals.look(&token.key);
    let action = look(&token, context, context.metrics.reconcile()).await;
    running.ends(action.after);
    context.alarms.set(&token.key, action.after);
}

async fn look(token: &Kept, context: &Context, counted: Reconcile) -> Action {
    let key = &token.key;
    let places = context.called(key);
    let mut remembered = context.recall(key, &token.claim.uid);
    if token.deleted || !context.is_synced() {
        return Action::await_change();
    }
    if !context.lead.holds() {
        return Action::requeue(LONGEST_SLEEP);
    }
    let version = token.version.number().unwrap_or(u64::MAX); // Versions of one resource can be compared (KEP-5504).
    if version >= remembered.written && remembered.outdated != Some(version) {
        return look_at(&token.open(), key, context, remembered, places, counted).await;
    }
    if remembered.outdated != Some(version) {
        remembered.outdated = Some(version);
        context.remember(key, remembered);
        return Action::requeue(SOON); // A copy from before our own last write: the newer one is under way.
    }
    // It does not come: the watch is silent, and may be for minutes.
    match cluster::iam_token::read(&context.client, key).await {
        Ok(Some(live)) if live.uid().is_some_and(|uid| token.claim.uid == *uid) => {
            look_at(&live, key, context, remembered, places, counted).await
        }
        Ok(_) => Action::requeue(LONGEST_SLEEP),
        Err(problem) => {
            let problem = Problem::Api(problem);
            warn!(iamtoken = %key, reason = %problem.reason(), "{}", problem.message());
            Action::requeue(SOON)
        }
    }
}

async fn look_at(
    token: &Listed,
    key: &Key,
    context: &Context,
    remembered: Remembered,
    places: Places,
    counted: Reconcile,
) -> Action {
    let seen = Mark { uid: remembered.uid.clone(), version: token.resource_version().unwrap_or_default().into() };
    let old = is_old(token, context.lead.began());
    let (moved, covered, reason, span) = Default::default();
    let mut look = Look { context, key, remembered, places, seen, moved, old, covered, counted, reason, span };
    let action = look.at(token).await;
    look.end();
    context.remember(key, look.remembered);
    action
}

/// One look.
struct Look<'a> {
    context: &'a Context,
    key: &'a Key,
    remembered: Remembered,
    places: Places,
    /// The `IamToken` in the state that this look is about.
    seen: Mark,
    /// The Secret that was the target before is gone.
    moved: bool,
    /// The `IamToken` is from before this process began to act.
    old: bool,
    /// What comes next is paid for by what was done before.
    covered: bool,
    /// It in the metrics.
    counted: Reconcile,
    /// Why not all is well, as the status says it.
    reason: Option<Reason>,
    /// It in traces, once there is something to tell.
    span: Option<Span>,
}

/// What the view knows of the Secrets that an `IamToken` names.
struct Known {
    source: Seen,
    target: Seen,
    winner: Option<String>,
}

/// How far an act has come.
enum Progress {
    /// It has ended, well or badly.
    Made,
    /// IAM has not answered yet.
    Pending,
}

/// All that one step rests on.
struct Scene<'a> {
    plan: &'a Plan,
    observed: Observed<'a>,
    before: &'a IamTokenStatus,
    now: Timestamp,
    api_key: Option<ApiKey<'a>>,
}

// === impl Look ===

impl Look<'_> {
    async fn at(&mut self, token: &Listed) -> Action {
        let before = token.status.clone().unwrap_or_default();
        let spec = token.spec.as_ref().ok_or(Problem::Undecodable { kind: "IamToken" });
        let plan = match spec.and_then(|spec| self.plan(spec)) {
            Ok(plan) => plan,
            Err(Problem::LendersUnknown) if !self.context.credentials.is_late() => return Action::requeue(SOON),
            Err(problem) => return self.at_unplannable(token, &before, &problem).await,
        };
        for _ in 0..MOST_STEPS {
            self.context.vitals.stepped(self.key);
            if let ControlFlow::Break(action) = self.step(token, &plan, &before).await {
                return action;
            }
        }
        Action::requeue(SOON)
    }

    fn plan(&self, spec: &IamTokenSpec) -> Result<Plan, Problem> {
        let lend = |name: &str| self.context.credentials.with(|all| all.lend(name, &self.key.namespace).cloned());
        Plan::new(self.key, spec, &self.context.defaults, lend)
    }

    async fn step(&mut self, token: &Listed, plan: &Plan, before: &IamTokenStatus) -> ControlFlow<Action> {
        let mut known = self.known(plan);
        self.remembered.memory.correct(&mut known.target, self.context.server_time.ahead());
        let (now, requested) = (self.context.now(), token.annotations().get(REFRESH_REQUESTED).map(String::as_str));
        self.remembered.memory.note_request(requested, now);
        self.recall_restarts(plan, before, &known.target);
        let (memory, uid) = (self.remembered.memory.clone(), self.remembered.uid.to_string());
        let last_target = before.target.as_ref().filter(|_| !self.moved);
        let observed = Observed {
            name: &self.key.name,
            uid: &uid,
            generation: token.metadata.generation.unwrap_or_default(),
            requested,
            winner: known.winner.as_deref(),
            last_target: last_target.map(|target| target.name.as_str()),
            lender: plan.asker.lender.as_ref().map(|lender| lender.generation),
            source: &known.source,
            target: &known.target,
            memory: &memory,
            shared: self.at_hand(plan, &known.source),
        };
        let known_of_key = self.known_of_key(plan, &known.source);
        if let Some(lender) = &plan.asker.lender {
            self.context.credentials.told_of_key(lender, known_of_key);
        }
        let api_key = ApiKey::of(&plan.asker, known_of_key);
        let scene = Scene { plan, observed, before, now, api_key };
        ControlFlow::Break(match decide::decide(plan, &observed, scene.now) {
            Step::Work(work) => match self.pay(work, &scene) {
                Err(until) => self.wait_for_budget(work, until, &scene).await,
                Ok(()) if self.is_admitted(work, &scene) => match Box::pin(self.work(work, &scene)).await {
                    Progress::Made => return ControlFlow::Continue(()),
                    Progress::Pending => self.wait_for_iam(scene).await,
                },
                Ok(()) => self.stand_in_line(work, &scene).await,
            },
            Step::Rest => self.settle(&scene, None, None, Outcome::Rested).await,
            Step::Refuse(problem) => self.settle(&scene, Some(&problem), None, Outcome::Refused).await,
            Step::Wait(problem, retry_at) => self.settle(&scene, Some(&problem), retry_at, Outcome::Waiting).await,
        })
    }

    async fn work(&mut self, work: Work, scene: &Scene<'_>) -> Progress {
        let (place, span) = (self.places.work.clone(), self.span());
        let job = Job { context: self.context, key: self.key, plan: scene.plan, observed: &scene.observed, place };
        match job.run(work, &mut self.remembered).instrument(span).await {
            Act::Done(note) => {
                self.spend(work, true);
                self.counted.came_to(Outcome::Acted);
                self.moved |= work == Work::Remove;
                let known = self.known(scene.plan);
                self.remembered.memory.succeeded(work, known.target.facts());
                if let Some(note) = note {
                    self.publish(&note);
                }
            }
            Act::Pending => return Progress::Pending,
            Act::Lost => {
                self.spend(work, false);
                debug!(iamtoken = %self.key, "somebody else wrote the target at the same time");
            }
            Act::Failed(failed) => {
                self.spend(work, false);
                self.counted.came_to(Outcome::Failed);
                let problem = &failed.problem;
                let (reason, transaction_id) = (problem.reason(), problem.transaction_id());
                warn!(iamtoken = %self.key, %reason, transaction_id, "{}", problem.message());
                self.remembered.memory.failed(failed, work, scene.observed.inputs());
            }
        }
        Progress::Made
    }

    /// IAM has not answered yet, and may yet. The status says what it said before, but for a token that has expired.
    async fn wait_for_iam(&mut self, scene: Scene<'_>) -> Action {
        self.keep_paid();
        let scene = Scene { now: self.context.now(), ..scene };
        let trouble = scene.observed.memory.trouble.as_ref().map(|trouble| &trouble.problem);
        self.settle(&scene, trouble, Some(later(scene.now, JOIN_AGAIN)), Outcome::Waiting).await
    }

    fn is_admitted(&mut self, work: Work, scene: &Scene<'_>) -> bool {
        let deadline = decide::deadline(work, &scene.observed, scene.now);
        self.context.admits_work(self.key, lane(work, scene.plan), deadline, &mut self.places)
    }

    /// Others go first. The status is left as it is, but for a token that expires meanwhile, an endpoint that fails, a
    /// wait that takes long, and a token that is in place already.
    async fn stand_in_line(&mut self, work: Work, scene: &Scene<'_>) -> Action {
        self.keep_paid();
        self.counted.came_to(Outcome::Waiting);
        let line = self.context.in_line(self.key, &lane(work, scene.plan));
        let told = scene.observed.memory.trouble.as_ref().map(|trouble| trouble.problem.clone());
        let long = line.waited >= WORTH_A_WORD;
        let problem = told
            .or_else(|| line.trouble.map(|failure| scene.plan.asker.veiled(Problem::Iam(failure))))
            .or_else(|| long.then_some(Problem::Queued));
        let again = (!long).then(|| later(scene.now, WORTH_A_WORD));
        self.hold(work, scene, problem, again).await
    }

    /// Nothing is done before `again`, unless something happens. A wait is told where there is a `problem` to tell of.
    async fn hold(
        &mut self,
        work: Work,
        scene: &Scene<'_>,
        problem: Option<Problem>,
        again: Option<Timestamp>,
    ) -> Action {
        let ready = status::is_ready(scene.before, &situation(scene, problem.as_ref()), scene.now);
        let refreshed = matches!(work, Work::Restart(_));
        if problem.is_some() || refreshed || (status::was_ready(scene.before) && !ready) {
            return self.settle(scene, problem.as_ref(), again, Outcome::Waiting).await;
        }
        let look = next_look(scene.plan, &scene.observed, scene.now);
        requeue([again, look].into_iter().flatten().min(), scene.now)
    }

    fn recall_restarts(&mut self, plan: &Plan, before: &IamTokenStatus, target: &Seen) {
        let record: Option<&Record> = target.facts().and_then(|facts| facts.record.as_deref());
        let token = record.map(|record| &record.token);
        self.remembered.memory.restarts.recall(&before.restarts, &plan.restart.workloads, token);
    }

    fn known(&self, plan: &Plan) -> Known {
        let source = plan.asker.secret(&self.key.namespace);
        let lent = source.as_ref().filter(|_| plan.asker.lender.is_some());
        let lent = lent.map(|secret| self.context.credentials.with(|lenders| lenders.seen(secret)));
        self.context.with_view(|view| Known {
            source: lent.or_else(|| source.map(|secret| view.seen(&secret))).unwrap_or_default(),
            target: view.seen(&self.key.sibling(&plan.target.name)),
            winner: view.winner(self.key),
        })
    }

    /// When the newest token of the credential that is at hand was asked for, as far as it is known which that is.
    fn at_hand(&self, plan: &Plan, source: &Seen) -> Option<Timestamp> {
        self.context.sharing.at_hand(self.remembered.ask_id(plan, source)?)
    }

    /// What is known of the credential's API key, as far as it is known which that is.
    fn known_of_key(&self, plan: &Plan, source: &Seen) -> KnownKey {
        let id = self.remembered.ask_id(plan, source);
        id.map_or(KnownKey::NotYet, |id| self.context.sharing.known_of_key(id))
    }
}

/// Who is asked for it: whoever may be sent elsewhere waits apart from those who may not.
fn lane(work: Work, plan: &Plan) -> Lane {
    match work {
        Work::Refresh(_) => [&plan.asker.endpoint].into_iter().chain(&plan.asker.failover).cloned().collect(),
        _ => Lane::new(),
    }
}
