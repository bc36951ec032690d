//! What is observed -> what to do next. The one place where that is decided.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::memory::{Inputs, Memory, Trouble};
use super::observed::{Facts, Seen, Standing};
use super::plan::Plan;
use super::problem::Problem;
use super::record::Record;
use super::restart;
use super::schedule;

/// Longer than any token lives.
const FAILING_LAST: Duration = Duration::from_hours(24);

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The `IamToken`'s name.
    pub name: &'a str,
    /// The `IamToken`'s uid.
    pub uid: &'a str,
    /// `metadata.generation`
    pub generation: i64,
    /// The value of the annotation that asks for a refresh.
    pub requested: Option<&'a str>,
    /// The older `IamToken` with the same target, if there is one. It wins unless this one holds the target already.
    pub winner: Option<&'a str>,
    /// The target that the status names.
    pub last_target: Option<&'a str>,
    /// `metadata.generation` of the `ClusterIamCredential`, where it lends the credential.
    pub lender: Option<i64>,
    /// The Secret that holds the API key.
    pub source: &'a Seen,
    /// The Secret that the token goes to.
    pub target: &'a Seen,
    /// What this process remembers.
    pub memory: &'a Memory,
    /// When the newest token of the same credential that is still at hand was asked for.
    pub shared: Option<Timestamp>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Nothing until something changes: this is in the way.
    Refuse(Problem),
    /// Nothing yet: the last try failed. The time is that of the next one, where it does not take a change.
    Wait(Problem, Option<Timestamp>),
    /// Do it.
    Work(Work),
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Look at the target's metadata: nothing is known of it yet.
    Look,
    /// Read the key, exchange it, write the target.
    Refresh(Why),
    /// Write the token that the target holds once more, as the spec wants it.
    Rewrite,
    /// Remove the Secret that was the target before.
    Remove,
    /// Restart the workload at this place of `spec.restart.workloads`.
    Restart(usize),
}

/// Why a token is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The target holds no token of ours.
    Missing,
    /// The spec asks for another token.
    SpecChanged,
    /// The annotation asks for it.
    Requested,
    /// It is time.
    Due,
    /// The source Secret has changed, perhaps its key.
    SourceChanged,
    /// Another `IamToken` of the same credential has just got one.
    Shared,
}

// === impl Observed ===

impl<'a> Observed<'a> {
    /// How the `IamToken` stands to its target.
    #[must_use]
    pub fn standing(&self) -> Standing<'a> {
        Standing::of(self.target, self.name, self.uid)
    }

    /// When the token in the target expires, if it holds one of ours.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.standing().record().map(|record| record.life().expires_at())
    }

    /// What a try now would depend on.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs {
            generation: self.generation,
            lender: self.lender,
            requested: self.requested.map(str::to_owned),
            source: self.source.facts().map(|facts| facts.mark.clone()),
            target: self.target.facts().map(|facts| facts.mark.clone()),
        }
    }

    /// Since when a person has been asking for a refresh that was not done yet.
    #[must_use]
    pub fn insisted_since(&self) -> Option<Timestamp> {
        let (_, since) = self.memory.request.as_deref().filter(|(value, _)| Some(value.as_str()) == self.requested)?;
        Some(*since).filter(|_| self.is_requested())
    }

    /// Whether what is to be done for the target only undoes what somebody else did to it.
    fn is_repair(&self, plan: &Plan, standing: &Standing<'_>) -> bool {
        match standing.record() {
            Some(record) => record.shape == plan.shape,
            None => self.had_target(plan),
        }
    }

    /// Whether the target was there before, as the status says.
    #[must_use]
    pub fn had_target(&self, plan: &Plan) -> bool {
        self.last_target == Some(&plan.target.name)
    }

    fn is_requested(&self) -> bool {
        let answered = self.standing().record().and_then(|record| record.refresh_requested.as_deref());
        self.requested.is_some() && self.requested != answered
    }
}

/// What to do now for a target that is planned so, and for those who read it. Whatever keeps the target from being as
/// planned holds up no restart for the token in it, but for work that can be done at once and goes first.
#[must_use]
pub fn decide(plan: &Plan, o: &Observed<'_>, now: Timestamp) -> Step {
    if plan.suspend {
        return Step::Rest;
    }
    let step = for_target(plan, o, now);
    if matches!(step, Step::Work(_)) {
        return step;
    }
    let restarts = restart::outlook(plan, o, now);
    match (restarts.due, restarts.problem) {
        (Some(place), _) => Step::Work(Work::Restart(place)),
        (None, Some(problem)) if step == Step::Rest => Step::Wait(problem, restarts.next),
        _ => step,
    }
}

fn for_target(plan: &Plan, o: &Observed<'_>, now: Timestamp) -> Step {
    let target = &plan.target;
    let standing = o.standing();
    let undecided = standing == Standing::Unknown || standing.is_held_by(o.uid);
    if let Some(winner) = o.winner.filter(|_| !undecided) {
        return Step::Refuse(Problem::TargetConflict { name: target.name.clone(), winner: winner.to_owned() });
    }
    if let Standing::Foreign(controller) = standing
        && (controller.is_some() || !target.adopt)
    {
        let controller = controller.map(|controller| controller.name.clone());
        return Step::Refuse(Problem::TargetExists { name: target.name.clone(), controller });
    }
    let mut refreshes = Blocked::by(o.memory.trouble.as_deref(), o, now);
    let mut others = Blocked::by(o.memory.hitch.as_deref(), o, now);
    if standing == Standing::Unknown {
        return others.map_or(Step::Work(Work::Look), Blocked::wait);
    }
    if let Standing::Ours(facts) = standing
        && facts.record.is_none()
        && is_written_in_vain(plan, o, facts)
    {
        return Step::Refuse(Problem::TargetAltered { name: target.name.clone() });
    }
    let no_source = *o.source == Seen::Absent;
    let refresh = refresh(plan, o, &standing, now).map(Work::Refresh);
    let rewrite = rewrite(plan, o, &standing, now);
    if let Some(until) = o.memory.repairs.holds_until(now).filter(|_| o.is_repair(plan, &standing)) {
        let fought = || Blocked { problem: Problem::TargetFought { name: target.name.clone() }, until: Some(until) };
        refreshes = refreshes.or_else(|| (refresh == Some(Work::Refresh(Why::Missing))).then(fought));
        others = others.or_else(|| rewrite.is_some().then(fought));
    }
    match (refresh, refreshes) {
        (Some(work), None) if !no_source => return Step::Work(work),
        _ if rewrite.is_some() && others.is_none() => return Step::Work(Work::Rewrite),
        _ if no_source => {
            let name = plan.asker.source.secret().unwrap_or_default().to_owned();
            return Step::Refuse(plan.asker.veiled(Problem::SourceNotFound { name }));
        }
        (Some(_), Some(blocked)) => return blocked.wait(),
        _ => {}
    }
    if let Standing::Ours(facts) = standing
        && is_written_in_vain(plan, o, facts)
    {
        return Step::Refuse(Problem::TargetAltered { name: target.name.clone() });
    }
    match (rewrite.or_else(|| remove(plan, o)), others) {
        (None, _) => Step::Rest,
        (Some(work), None) => Step::Work(work),
        (Some(_), Some(blocked)) => blocked.wait(),
    }
}

/// The last try failed, nothing that it depended on has changed, and it is too early for another.
struct Blocked {
    problem: Problem,
    until: Option<Timestamp>,
}

impl Blocked {
    fn by(trouble: Option<&Trouble>, o: &Observed<'_>, now: Timestamp) -> Option<Self> {
        let trouble = trouble.filter(|trouble| trouble.inputs == o.inputs())?;
        let until = trouble.retry_at(o.expires_at());
        until.is_none_or(|at| now < at).then(|| Self { problem: trouble.problem.clone(), until })
    }

    fn wait(self) -> Step {
        Step::Wait(self.problem, self.until)
    }
}

fn refresh(plan: &Plan, o: &Observed<'_>, standing: &Standing<'_>, now: Timestamp) -> Option<Why> {
    let Some(record) = standing.record() else { return Some(Why::Missing) };
    let Standing::Ours(facts) = standing else { return Some(Why::Missing) };
    if record.owner.uid != *o.uid {
        Some(Why::Missing) // Kept from a namesake, whose key it may be.
    } else if record.ask != plan.ask {
        Some(Why::SpecChanged)
    } else if is_from_the_future(record, now) {
        Some(Why::Due)
    } else if o.is_requested() {
        Some(Why::Requested)
    } else if now >= record.life().refresh_at(plan.renew_before, record.jitter) {
        Some(Why::Due)
    } else if !facts.is_as_planned(plan, o.uid) && o.memory.unrecoverable.as_deref() == Some(&facts.mark) {
        Some(Why::Missing)
    } else if source_changed(record, o) {
        Some(Why::SourceChanged)
    } else {
        joins(plan, record, o, now).then_some(Why::Shared)
    }
}

/// The clock was ahead when it was written and has been set back since: nothing that the record says of time is true.
#[must_use]
pub fn is_from_the_future(record: &Record, now: Timestamp) -> bool {
    record.life().is_from_the_future(now)
}

/// Where work stands in line: by the end of the token in place, first where that has passed or there never was one. Those
/// alone come before a token of another key, or another spec, or that a person asks for: somebody waits for it. Who has
/// none and needs a person comes after all that can still be saved: credentials that are refused starve nobody.
#[must_use]
pub fn deadline(work: Work, o: &Observed<'_>, now: Timestamp) -> Timestamp {
    let changed = || o.standing().record().is_some_and(|record| source_changed(record, o));
    let awaited = match work {
        Work::Refresh(Why::SpecChanged | Why::Requested) => true,
        Work::Refresh(_) => changed(), // Due, too, perhaps.
        _ => false,
    };
    match o.expires_at() {
        Some(at) if at > now && awaited => now,
        Some(at) if at > now => at,
        _ if o.memory.trouble.as_ref().is_some_and(|trouble| trouble.problem.needs_a_person()) => {
            schedule::later(now, FAILING_LAST)
        }
        at => at.unwrap_or(Timestamp::MIN),
    }
}

/// A token that is still good is written again where the Secret is not as planned.
fn rewrite(plan: &Plan, o: &Observed<'_>, standing: &Standing<'_>, now: Timestamp) -> Option<Work> {
    let Standing::Ours(facts) = standing else { return None };
    let record = facts.record.as_ref()?;
    let good = now < record.life().expires_at() && record.ask == plan.ask;
    let recoverable = o.memory.unrecoverable.as_deref() != Some(&facts.mark);
    (good && recoverable && !is_written_in_vain(plan, o, facts) && !facts.is_as_planned(plan, o.uid))
        .then_some(Work::Rewrite)
}

/// Our own last write for this very plan left the target otherwise than planned.
fn is_written_in_vain(plan: &Plan, o: &Observed<'_>, facts: &Facts) -> bool {
    let ours = o.memory.written.as_ref() == Some(&facts.mark);
    let for_this = facts.record.as_ref().is_none_or(|record| record.shape == plan.shape);
    ours && for_this && !facts.is_as_planned(plan, o.uid)
}

/// The Secret that was the target before goes when its successor is in place.
fn remove(plan: &Plan, o: &Observed<'_>) -> Option<Work> {
    let stray = o.last_target.is_some_and(|last| last != plan.target.name);
    (stray && !plan.target.retain).then_some(Work::Remove)
}

fn source_changed(record: &Record, o: &Observed<'_>) -> bool {
    let mark = o.source.facts().map(|facts: &Facts| &facts.mark);
    mark.is_some_and(|mark| *mark != record.source && o.memory.same_key.as_deref() != Some(mark))
}

fn joins(plan: &Plan, record: &Record, o: &Observed<'_>, now: Timestamp) -> bool {
    o.shared.is_some_and(|since| since > record.refreshed_at)
        && now >= record.life().joins_from(plan.renew_before, record.jitter)
}

/// When to look again, if nothing happens before: at the next refresh, restart or expiry, whichever comes first.
#[must_use]
pub fn next_look(plan: &Plan, o: &Observed<'_>, now: Timestamp) -> Option<Timestamp> {
    let record = o.standing().record().cloned()?;
    let life = record.life();
    let refresh = Some(life.refresh_at(plan.renew_before, record.jitter)).filter(|_| !plan.suspend);
    let restart = restart::outlook(plan, o, now).next;
    [refresh, restart, Some(life.expires_at())].into_iter().flatten().filter(|at| *at > now).min()
}

#[cfg(test)]
mod tests;
