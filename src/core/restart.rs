//! Which workload is restarted, and when: once for each token, and not more often than `spec.restart.minPeriod` says.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::decide::Observed;
use super::digest;
use super::memory::Failed;
use super::observed::Standing;
use super::plan::Plan;
use super::problem::Problem;
use super::record::Record;
use super::schedule::{self, earlier, later, parse_span, whole_seconds};
use super::short::Short;
use crate::api::{IamTokenSpec, RESTART_PREFIX, Workload, WorkloadStatus};

/// Most workloads of one `IamToken`, as the CRD has it.
pub const MOST_WORKLOADS: usize = 16;

const DEFAULT_PERIOD: Duration = Duration::from_mins(10);
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// An hour's token is refreshed after 45 minutes at the earliest, by default: nothing is held up by less.
const LONGEST_PERIOD: Duration = Duration::from_mins(45);

/// The longest name of an annotation, after its prefix (Kubernetes documentation, "Annotations", syntax).
const LONGEST_NAME: usize = 63;

/// `spec.restart` with its defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The workloads, each once.
    pub workloads: Vec<Workload>,
    /// The least time between two restarts of one.
    pub min_period: Duration,
}

/// What is to be done about restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// The place in `spec.restart.workloads` of the first that is to be restarted now.
    pub due: Option<usize>,
    /// What is in the way of one.
    pub problem: Option<Problem>,
    /// When to look again, if nothing happens before.
    pub next: Option<Timestamp>,
}

/// What is remembered of restarts between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restarts {
    /// The last restart of each workload of the spec that was ever restarted.
    pub done: Vec<WorkloadStatus>,
    /// The last tries, where they failed.
    failed: Vec<Try>,
}

/// A failed try.
#[derive(Clone, Debug, PartialEq)]
struct Try {
    workload: Workload,
    problem: Problem,
    attempts: u32,
    failed_at: Timestamp,
    jitter: u16,
    /// What it was tried with: where one of these changes, a new try is worth making at once.
    token: Short,
    generation: i64,
}

// === impl Wanted ===

impl Wanted {
    /// What the spec asks for: nothing where it has no `restart`.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec.
    pub fn new(spec: &IamTokenSpec) -> Result<Self, Problem> {
        let Some(given) = &spec.restart else { return Ok(Self::default()) };
        let distinct: BTreeSet<&Workload> = given.workloads.iter().collect();
        if !(1..=MOST_WORKLOADS).contains(&given.workloads.len()) || distinct.len() != given.workloads.len() {
            let hint = "must have at least one workload, at most 16, and each once";
            return Err(Problem::InvalidField { field: "spec.restart.workloads", hint });
        }
        let min_period = given.min_period.as_deref().map_or(Some(DEFAULT_PERIOD), parse_span);
        let min_period = min_period.filter(|period| (SHORTEST_PERIOD..=LONGEST_PERIOD).contains(period));
        let hint = "must be a duration from 1s to 45m, such as 10m";
        let min_period = min_period.ok_or(Problem::InvalidField { field: "spec.restart.minPeriod", hint })?;
        Ok(Self { workloads: given.workloads.clone(), min_period })
    }
}

/// The annotation of pod templates that restarts them for the `IamToken` called `name`: each has its own, so that two of
/// them don't undo each other's.
#[must_use]
pub fn annotation(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return format!("{RESTART_PREFIX}{name}");
    }
    let digest = digest::of_json(&name).to_string();
    format!("{RESTART_PREFIX}{}-{digest}", &name[..LONGEST_NAME - 1 - digest.len()])
}

/// What is to be done about restarts now. Nothing is restarted for a token that can't be read from the target.
#[must_use]
pub fn outlook(plan: &Plan, o: &Observed<'_>, now: Timestamp) -> Outlook {
    let mut outlook = Outlook::default();
    if plan.suspend || plan.restart.workloads.is_empty() {
        return outlook;
    }
    let Some(record) = readable(plan, o, now) else { return outlook };
    for (place, workload) in plan.restart.workloads.iter().enumerate() {
        let restarts = &o.memory.restarts;
        if restarts.done.iter().any(|done| is_of(done, workload) && record.token == *done.token_digest) {
            continue;
        }
        let failed = restarts.blocked_by(workload, record, o, now);
        let Some((problem, until)) = failed.or_else(|| held(plan, restarts, workload, now)) else {
            outlook.due.get_or_insert(place);
            continue;
        };
        outlook.problem = outlook.problem.or(problem);
        outlook.next = [outlook.next, until].into_iter().flatten().min();
    }
    outlook
}

/// What is noted on the token that pods would read, if there is a good one.
fn readable<'a>(plan: &Plan, o: &Observed<'a>, now: Timestamp) -> Option<&'a Record> {
    let Standing::Ours(facts) = o.standing() else { return None };
    let record = facts.record.as_ref().filter(|record| record.owner.uid == *o.uid)?;
    (now < record.life().expires_at() && facts.data_is_intact(plan, o.uid)).then_some(record)
}

/// The last restart was too short a time ago. One that a wrong clock noted holds up nothing.
fn held(
    plan: &Plan,
    restarts: &Restarts,
    workload: &Workload,
    now: Timestamp,
) -> Option<(Option<Problem>, Option<Timestamp>)> {
    let last = restarts.done.iter().find(|done| is_of(done, workload))?;
    let until = later(last.restarted_at.0, plan.restart.min_period);
    if now >= until || schedule::is_from_the_future(last.restarted_at.0, now) {
        return None;
    }
    let too_late = (last.expires_at.0 < until).then(|| Problem::RestartTooLate {
        workload: workload.to_string(),
        expires_at: last.expires_at.0,
        until,
    });
    Some((too_late, Some(until)))
}

fn is_of(done: &WorkloadStatus, workload: &Workload) -> bool {
    done.kind == workload.kind && done.name == workload.name
}

// === impl Restarts ===

impl Restarts {
    /// What the status says of these workloads, unless this process knows better: its own restarts may not be in there
    /// yet, and those of another replica are in there only. `token` is the digest of the token in the target.
    pub fn recall(&mut self, said: &[WorkloadStatus], wanted: &[Workload], token: Option<&Short>) {
        let known: Vec<_> = self.done.iter().chain(said).collect();
        let newest = |workload| {
            let of_it = known.iter().filter(|done| is_of(done, workload));
            of_it.max_by_key(|done| (token.is_some_and(|token| *token == *done.token_digest), done.restarted_at.0))
        };
        let done = wanted.iter().filter_map(newest).map(|done| (*done).clone()).collect();
        self.done = done;
        self.failed.retain(|failed| wanted.contains(&failed.workload));
    }

    /// The workload was restarted for the token of this record.
    pub fn restarted(&mut self, workload: &Workload, record: &Record, now: Timestamp) {
        self.failed.retain(|failed| failed.workload != *workload);
        self.done.retain(|done| !is_of(done, workload));
        self.done.push(WorkloadStatus {
            kind: workload.kind,
            name: workload.name.clone(),
            restarted_at: Time(whole_seconds(now)),
            expires_at: Time(whole_seconds(record.life().expires_at())),
            token_digest: record.token.to_string(),
        });
    }

    /// It could not be.
    pub fn failed(&mut self, workload: &Workload, record: &Record, generation: i64, failed: Failed) {
        let before = self.failed.iter().find(|before| before.workload == *workload);
        let before = before.filter(|before| before.problem.reason() == failed.problem.reason());
        let attempts = before.map_or(1, |before| before.attempts.saturating_add(1));
        self.failed.retain(|failed| failed.workload != *workload);
        self.failed.push(Try {
            workload: workload.clone(),
            problem: failed.problem,
            attempts,
            failed_at: failed.at,
            jitter: failed.jitter,
            token: record.token.clone(),
            generation,
        });
    }

    /// The wall clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        for failed in &mut self.failed {
            failed.failed_at = earlier(failed.failed_at, by);
        }
    }

    /// The last try failed, nothing that it depended on has changed, and it is too early for another.
    fn blocked_by(
        &self,
        workload: &Workload,
        record: &Record,
        o: &Observed<'_>,
        now: Timestamp,
    ) -> Option<(Option<Problem>, Option<Timestamp>)> {
        let failed = self.failed.iter().find(|failed| failed.workload == *workload)?;
        if failed.token != record.token || failed.generation != o.generation {
            return None;
        }
        let expires_at = Some(record.life().expires_at());
        let again =
            schedule::retry_at(failed.problem.retry(), failed.attempts, failed.failed_at, expires_at, failed.jitter);
        again.is_none_or(|at| now < at).then(|| (Some(failed.problem.clone()), again))
    }
}

#[cfg(test)]
mod tests;
