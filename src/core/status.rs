//! What happened -> the next status, and the event that the difference is worth.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::failure::REQUEST_ID;
use super::key_health::{self, ApiKey};
use super::problem::Problem;
use super::record::Record;
use super::schedule::{RenewBefore, whole_seconds};
use crate::api::{
    CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, IamTokenStatus, Identity, Reason, TargetStatus, Workload,
};

/// A difference of clocks that users are told of, in seconds.
const SKEW_WORTH_A_WORD: i64 = 30;

/// All that a status says.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// `metadata.generation`
    pub generation: i64,
    /// The target's name, where it is ours.
    pub target: Option<&'a str>,
    /// What is noted on the target, where it is ours.
    pub record: Option<&'a Record>,
    /// Nothing is known of the target now: what the status before says of the token is still true.
    pub unknown: bool,
    /// Whether the target's data is as it was written.
    pub intact: bool,
    /// When to refresh.
    pub renew_before: RenewBefore,
    /// spec.suspend
    pub suspended: bool,
    /// What is in the way.
    pub problem: Option<&'a Problem>,
    /// The API key that tokens are fetched with, where it is one and is known.
    pub api_key: Option<ApiKey<'a>>,
}

/// An event worth publishing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// Its reason.
    pub reason: Reason,
    /// Its text.
    pub text: String,
    /// The workload that it is about too, if it is: events of one reason about several are not counted as one.
    pub related: Option<Workload>,
}

/// What the target holds, as far as a status tells it.
struct Held {
    expires_at: Timestamp,
    refresh_at: Option<Timestamp>,
    refreshed_at: Option<Timestamp>,
    identity: Option<Identity>,
    answered: Option<String>,
    skew: i64,
}

impl Held {
    fn now(before: &IamTokenStatus, s: &Situation<'_>) -> Option<Self> {
        if s.unknown { Self::before(before) } else { s.record.map(|record| Self::noted(record, s)) }
    }

    /// A status has whole seconds: with others, what is read would never be what was written.
    fn noted(record: &Record, s: &Situation<'_>) -> Self {
        let life = record.life();
        Self {
            expires_at: whole_seconds(life.expires_at()),
            refresh_at: (!s.suspended).then(|| whole_seconds(life.refresh_at(s.renew_before, record.jitter))),
            refreshed_at: Some(whole_seconds(record.refreshed_at)),
            identity: record.identity.clone(),
            answered: record.refresh_requested.clone(),
            skew: record.skew,
        }
    }

    fn before(status: &IamTokenStatus) -> Option<Self> {
        Some(Self {
            expires_at: status.expires_at.as_ref()?.0,
            refresh_at: status.refresh_at.as_ref().map(|at| at.0),
            refreshed_at: status.refreshed_at.as_ref().map(|at| at.0),
            identity: status.identity.clone(),
            answered: status.last_handled_refresh.clone(),
            skew: 0,
        })
    }
}

/// The status that says so, given the one before.
#[must_use]
pub fn next(before: &IamTokenStatus, s: &Situation<'_>, now: Timestamp) -> IamTokenStatus {
    let held = Held::now(before, s);
    let answered = held.as_ref().map_or_else(|| before.last_handled_refresh.clone(), |held| held.answered.clone());
    let mut status = IamTokenStatus {
        observed_generation: Some(s.generation),
        conditions: vec![],
        expires_at: held.as_ref().map(|held| Time(held.expires_at)),
        refresh_at: held.as_ref().and_then(|held| held.refresh_at).map(Time),
        refreshed_at: held.as_ref().and_then(|held| held.refreshed_at).map(Time),
        identity: held.as_ref().and_then(|held| held.identity.clone()),
        api_key_expires_at: None,
        last_handled_refresh: answered,
        target: s.target.map(|name| TargetStatus { name: name.to_owned() }).or_else(|| before.target.clone()),
        restarts: before.restarts.clone(),
    };
    let mut put = |type_, truth, reason: Reason, message| {
        let new = condition(&before.conditions, s.generation, type_, truth, reason, message, now);
        status.conditions.push(new);
    };
    let ready = is_ready(before, s, now);
    let (reason, message) = readiness(held.as_ref(), ready, s);
    put(CONDITION_READY, ready, reason, message);
    if let Some(problem) = s.problem.filter(|_| !s.suspended) {
        put(condition_of(problem), true, problem.reason(), problem.message());
    } else if !ready && !s.suspended {
        put(CONDITION_RECONCILING, true, Reason::Refreshing, "A token is being fetched.".into());
    }
    key_health::tell(&mut status, before, s, now);
    status
}

/// Whether the target holds a token that is valid now.
#[must_use]
pub fn is_ready(before: &IamTokenStatus, s: &Situation<'_>, now: Timestamp) -> bool {
    let intact = if s.unknown { was_ready(before) } else { s.intact };
    intact && Held::now(before, s).is_some_and(|held| now < held.expires_at)
}

/// Whether the status says so.
#[must_use]
pub fn was_ready(before: &IamTokenStatus) -> bool {
    before.conditions.iter().any(|condition| condition.type_ == CONDITION_READY && condition.status == "True")
}

fn readiness(held: Option<&Held>, ready: bool, s: &Situation<'_>) -> (Reason, String) {
    let expires = held.map(|held| held.expires_at.to_string()).unwrap_or_default();
    match (ready, s.suspended, s.problem) {
        (true, true, _) => {
            (Reason::Suspended, format!("Suspended: the token is valid until {expires} and is not refreshed."))
        }
        (false, true, _) => {
            (Reason::Suspended, "Suspended: there is no valid token. Set spec.suspend to false.".into())
        }
        (true, false, Some(problem)) => {
            let problem = problem.message();
            (Reason::RefreshFailing, format!("The token is valid until {expires}, but all is not well. {problem}"))
        }
        (true, false, None) => {
            let skew = held.map(skew).unwrap_or_default();
            (Reason::TokenValid, format!("The token is valid until {expires}.{skew}"))
        }
        (false, false, Some(problem)) if s.intact && held.is_some() => {
            (problem.reason(), format!("The token expired at {expires}. {}", problem.message()))
        }
        (false, false, Some(problem)) => (problem.reason(), problem.message()),
        (false, false, None) => (Reason::Refreshing, "A token is being fetched.".into()),
    }
}

/// The condition that tells of it.
pub(super) fn condition_of(problem: &Problem) -> &'static str {
    if problem.needs_a_person() { CONDITION_STALLED } else { CONDITION_RECONCILING }
}

fn skew(held: &Held) -> String {
    match held.skew {
        s if s > SKEW_WORTH_A_WORD => format!(" IAM's clock is {s} s ahead of the operator's: check the nodes' time."),
        s if s < -SKEW_WORTH_A_WORD => {
            format!(" IAM's clock is {} s behind the operator's: check the nodes' time.", s.unsigned_abs())
        }
        _ => String::new(),
    }
}

/// The condition, given those before: one that says the same has the same times and text.
pub(super) fn condition(
    before: &[Condition],
    generation: i64,
    type_: &str,
    truth: bool,
    reason: Reason,
    message: String,
    now: Timestamp,
) -> Condition {
    let status = if truth { "True" } else { "False" };
    let old = before.iter().find(|old| old.type_ == type_ && old.status == status);
    let message = match old.filter(|old| without_request_id(&old.message) == without_request_id(&message)) {
        Some(old) => old.message.clone(),
        None => message,
    };
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message,
        observed_generation: Some(generation),
        last_transition_time: old.map_or_else(|| Time(whole_seconds(now)), |old| old.last_transition_time.clone()),
    }
}

/// Each try has another request id; that alone is no news.
#[must_use]
pub fn without_request_id(message: &str) -> &str {
    message.split(REQUEST_ID).next().unwrap_or(message)
}

/// What is wrong, if something is: Stalled, or else Reconciling.
#[must_use]
pub fn trouble(status: &IamTokenStatus) -> Option<&Condition> {
    find(status, CONDITION_STALLED).or_else(|| find(status, CONDITION_RECONCILING))
}

/// The event that the step from one status to the next is worth: none for a routine refresh. Events of one kind have one
/// text where they can: those that differ in nothing are counted as one.
#[must_use]
pub fn transition(before: &IamTokenStatus, after: &IamTokenStatus) -> Option<Note> {
    let ready = find(after, CONDITION_READY)?;
    let lost = was_ready(before) && !was_ready(after);
    let trouble = trouble(after);
    let fetching = |condition: &&Condition| condition.reason == Reason::Refreshing.as_str();
    match trouble {
        _ if lost => note(true, ready, &ready.message),
        Some(trouble) if fetching(&trouble) => None,
        Some(trouble) => {
            let old = find(before, &trouble.type_).is_some_and(|old| old.reason == trouble.reason);
            note(true, trouble, &trouble.message).filter(|_| !old)
        }
        None => {
            let old = find(before, CONDITION_READY);
            let same = old.is_some_and(|old| old.reason == ready.reason && old.status == ready.status);
            let text = if was_ready(after) { "The target holds a valid token." } else { &ready.message };
            note(!was_ready(after), ready, text).filter(|_| !same)
        }
    }
}

/// The condition of this type.
#[must_use]
pub fn find<'a>(status: &'a IamTokenStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

pub(super) fn note(warning: bool, condition: &Condition, text: &str) -> Option<Note> {
    let reason = Reason::ALL.iter().copied().find(|known| known.as_str() == condition.reason)?;
    Some(Note { warning, reason, text: text.to_owned(), related: None })
}

#[cfg(test)]
mod tests;
