//! An IamToken at a glance: what its status means now.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::{CONDITION_READY, IamTokenSpec, IamTokenStatus, Listed, Reason};
use crate::cli::text::Tone;
use crate::cli::text::bar::Life;
use crate::cli::text::span::{between, words};
use crate::core::status::{find, trouble};

/// How late a refresh may be before it is worth a word.
const LATE: Duration = Duration::from_mins(1);

/// One IamToken, with what its status says at a time.
#[derive(Clone, Debug)]
pub(super) struct Glance<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What a person would say of it.
    pub state: State,
    /// The life of the token in the target, if one is known.
    pub life: Option<Life>,
    /// Whole, for what else is asked.
    pub token: &'a Listed,
    /// The time at which this is so.
    pub now: Timestamp,
}

/// What a person would say of an IamToken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is being deleted.
    Deleting,
    /// The operator has not seen it yet.
    New,
    /// The first token is being fetched.
    Fetching,
    /// The token is valid and nothing is wrong.
    Ready,
    /// The token is valid, and its refresh should have begun long ago.
    Late,
    /// Something is wrong; `ready` tells whether the token is still valid.
    Failing { ready: bool, reason: String },
    /// spec.suspend is true; `ready` tells whether the token is still valid.
    Suspended { ready: bool },
    /// The token has expired, and the status does not say so.
    Unnoticed,
}

// === impl State ===

impl State {
    /// Whether the target holds a token that is valid now.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Ready | Self::Late => true,
            Self::Failing { ready, .. } | Self::Suspended { ready } => *ready,
            Self::Deleting | Self::New | Self::Fetching | Self::Unnoticed => false,
        }
    }

    /// In few words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Deleting => "Being deleted".into(),
            Self::New => "New".into(),
            Self::Fetching => "Fetching".into(),
            Self::Ready => "Ready".into(),
            Self::Late => "Ready, refresh late".into(),
            Self::Failing { ready: true, reason } => format!("Ready, but {reason}"),
            Self::Failing { ready: false, reason } => format!("Not ready: {reason}"),
            Self::Suspended { ready: true } => "Ready, suspended".into(),
            Self::Suspended { ready: false } => "Not ready: Suspended".into(),
            Self::Unnoticed => "Expired, unnoticed".into(),
        }
    }

    /// Its colour.
    pub(super) fn tone(&self) -> Tone {
        match self {
            Self::Ready => Tone::Good,
            Self::New | Self::Fetching | Self::Deleting => Tone::Plain,
            state if state.is_ready() => Tone::Warn,
            _ => Tone::Bad,
        }
    }
}

// === impl Glance ===

impl<'a> Glance<'a> {
    pub(super) fn new(token: &'a Listed, now: Timestamp) -> Self {
        let life = token.status.as_ref().and_then(life);
        Self {
            namespace: token.metadata.namespace.as_deref().unwrap_or_default(),
            name: token.metadata.name.as_deref().unwrap_or_default(),
            state: state(token, life.as_ref(), now),
            life,
            token,
            now,
        }
    }

    pub(super) fn spec(&self) -> Option<&'a IamTokenSpec> {
        self.token.spec.as_ref()
    }

    pub(super) fn status(&self) -> Option<&'a IamTokenStatus> {
        self.token.status.as_ref()
    }

    /// The Secret that holds the token, or will.
    pub(super) fn target(&self) -> &'a str {
        target(self.token)
    }

    /// How long the token is good: `48m`, `expired`, or nothing where there is none.
    pub(super) fn left(&self) -> String {
        match &self.life {
            Some(life) if life.expires_at <= self.now => "expired".into(),
            Some(life) => words(between(self.now, life.expires_at)),
            None => String::new(),
        }
    }

    /// When it is refreshed: `in 33m`, `now`, `late by 5m`, or nothing where it is not.
    pub(super) fn refresh(&self) -> String {
        let Some(at) = self.life.and_then(|life| life.refresh_at) else { return String::new() };
        match between(at, self.now) {
            0 if at > self.now => format!("in {}", words(between(self.now, at))),
            late if late < LATE.as_secs() => "now".into(),
            late => format!("late by {}", words(late)),
        }
    }

    /// Whether the status is about the spec before the last change.
    pub(super) fn is_behind(&self) -> bool {
        let seen = self.status().and_then(|status| status.observed_generation);
        seen.zip(self.token.metadata.generation).is_some_and(|(seen, there)| seen < there)
    }
}

/// The Secret that holds the token, or will.
pub(in crate::cli) fn target(token: &Listed) -> &str {
    let written = token.status.as_ref().and_then(|status| status.target.as_ref()).map(|target| target.name.as_str());
    let wanted = token.spec.as_ref().and_then(|spec| spec.target.as_ref()?.name.as_deref());
    written.or(wanted).or(token.metadata.name.as_deref()).unwrap_or_default()
}

/// spec.suspend
pub(super) fn is_suspended(token: &Listed) -> bool {
    token.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or_default()
}

/// Where it is not known when the token was asked for, as if it were an hour before it expires, as most tokens are.
fn life(status: &IamTokenStatus) -> Option<Life> {
    let expires_at = status.expires_at.as_ref()?.0;
    let since = status.refreshed_at.as_ref().map(|at| at.0);
    Some(Life {
        since: since.or_else(|| expires_at.checked_sub(Duration::from_hours(1)).ok()).unwrap_or(expires_at),
        refresh_at: status.refresh_at.as_ref().map(|at| at.0),
        expires_at,
    })
}

fn state(token: &Listed, life: Option<&Life>, now: Timestamp) -> State {
    if token.metadata.deletion_timestamp.is_some() {
        return State::Deleting;
    }
    let Some((status, ready)) = token.status.as_ref().and_then(|status| Some((status, find(status, CONDITION_READY)?)))
    else {
        return State::New;
    };
    let said = ready.status == "True";
    let valid = said && life.is_some_and(|life| now < life.expires_at);
    match trouble(status) {
        _ if ready.reason == Reason::Suspended.as_str() => State::Suspended { ready: valid },
        _ if said && !valid => State::Unnoticed,
        Some(trouble) if trouble.reason == Reason::Refreshing.as_str() => State::Fetching,
        Some(trouble) => State::Failing { ready: valid, reason: trouble.reason.clone() },
        None if !valid => State::Failing { ready: false, reason: ready.reason.clone() },
        None if life.is_some_and(|life| is_late(life, now)) => State::Late,
        None => State::Ready,
    }
}

fn is_late(life: &Life, now: Timestamp) -> bool {
    life.refresh_at.is_some_and(|at| between(at, now) >= LATE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NOW, token};
    use super::*;

    fn glance(name: &str) -> (State, String, String) {
        let token = token(name);
        let glance = Glance::new(&token, NOW.parse().unwrap());
        (glance.state.clone(), glance.left(), glance.refresh())
    }

    #[test]
    fn each_status_has_its_words() {
        let failing = |ready, reason: &str| State::Failing { ready, reason: reason.into() };
        for (name, state, left, refresh) in [
            ("well", State::Ready, "40m", "in 27m"),
            ("late", State::Late, "5m", "late by 8m"),
            ("fading", failing(true, "IamUnreachable"), "5m", "late by 8m"),
            ("refused", failing(false, "CredentialRejected"), "expired", "late by 50m"),
            ("missing", failing(false, "SourceNotFound"), "", ""),
            ("paused", State::Suspended { ready: true }, "30m", ""),
            ("dead", State::Suspended { ready: false }, "expired", ""),
            ("silent", State::Unnoticed, "expired", "late by 60m"),
            ("first", State::Fetching, "", ""),
            ("new", State::New, "", ""),
            ("leaving", State::Deleting, "40m", "in 27m"),
        ] {
            assert_eq!(glance(name), (state, left.to_owned(), refresh.to_owned()), "{name}");
        }
    }

    #[test]
    fn one_whose_token_has_expired_is_never_ready() {
        for name in ["refused", "missing", "dead", "silent", "first", "new", "leaving"] {
            assert!(!glance(name).0.is_ready(), "{name}");
        }
        for name in ["well", "late", "fading", "paused"] {
            assert!(glance(name).0.is_ready(), "{name}");
        }
    }

    #[test]
    fn a_spec_that_does_not_decode_takes_nothing_from_the_status() {
        let mut token = token("well");
        token.spec = None;
        let glance = Glance::new(&token, NOW.parse().unwrap());
        assert_eq!((glance.state.is_ready(), glance.target()), (true, "well-token"));
    }
}
