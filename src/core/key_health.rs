//! How the API key fares that tokens are fetched with: when IAM is asked about it, and what is said of the answer.
//!
//! A key that is about to expire, or is disabled, is told before the refreshes fail. That it is locked is no danger: such
//! a key can be exchanged, but not changed (IBM Cloud docs, "Managing service ID API keys").

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::plan::Source;
use super::schedule::{earlier, whole_seconds};
use super::status::{Note, Situation, condition, find, note};
use crate::api::{CONDITION_API_KEY_AT_RISK, IamTokenStatus, Reason};

/// So long before a key expires it is told.
const NOTICE: Duration = Duration::from_hours(14 * 24);

/// IAM is asked about one key at most once in this time, whatever it answers.
const RARELY: Duration = Duration::from_hours(6);

/// The same for a key at risk: somebody may have moved its expiry or enabled it, and looks for the effect.
const SOONER: Duration = Duration::from_mins(5);

/// What IAM says of an API key (IBM's OpenAPI of IAM Identity, `ApiKey`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyHealth {
    /// When it becomes invalid, if it ever does.
    pub expires_at: Option<Timestamp>,
    /// It cannot be changed before it is unlocked.
    pub locked: bool,
    /// It cannot be exchanged.
    pub disabled: bool,
}

/// What is known of an API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing yet, since this process began: what the status said before stands.
    #[default]
    NotYet,
    /// IAM was asked and does not tell, or it is not asked.
    Untold,
    /// This.
    Told(KeyHealth),
}

/// The API key of one `IamToken`.
#[derive(Clone, Copy, Debug)]
pub struct ApiKey<'a> {
    /// The Secret that holds it.
    secret: &'a str,
    /// The key in the Secret's data.
    key: &'a str,
    /// What is known of it.
    known: Known,
}

// === impl Known ===

impl Known {
    /// What is known once IAM has been asked again; `None` where it did not tell. What it told before is believed until
    /// the key, which has just been exchanged, should have expired.
    #[must_use]
    pub fn after(self, answer: Option<KeyHealth>, now: Timestamp) -> Self {
        match (answer, self) {
            (Some(health), _) => Self::Told(health),
            (None, Self::Told(health)) if !health.disabled && health.expires_at.is_some_and(|at| now < at) => self,
            (None, _) => Self::Untold,
        }
    }

    /// Whether IAM is to be asked, which it was last at `asked`. Instants are monotonic.
    #[must_use]
    pub fn is_due(self, asked: Instant, steady: Instant, now: Timestamp) -> bool {
        let at_risk = matches!(self, Self::Told(health) if health.reason(now).is_some());
        steady.saturating_duration_since(asked) >= if at_risk { SOONER } else { RARELY }
    }
}

// === impl KeyHealth ===

impl KeyHealth {
    fn reason(self, now: Timestamp) -> Option<Reason> {
        match self.expires_at {
            _ if self.disabled => Some(Reason::ApiKeyDisabled),
            Some(at) if at <= now => Some(Reason::ApiKeyExpired),
            Some(at) if earlier(at, NOTICE) <= now => Some(Reason::ApiKeyExpiring),
            _ => None,
        }
    }
}

// === impl ApiKey ===

impl<'a> ApiKey<'a> {
    /// `None` where the credential is no API key.
    #[must_use]
    pub fn of(source: &'a Source, known: Known) -> Option<Self> {
        match source {
            Source::ApiKey { name, key } => Some(Self { secret: name, key, known }),
            Source::ServiceAccount { .. } => None,
        }
    }

    /// When something else is to be said of it, if nothing happens before.
    #[must_use]
    pub fn changes_at(self, now: Timestamp) -> Option<Timestamp> {
        let Known::Told(KeyHealth { expires_at: Some(at), disabled: false, .. }) = self.known else { return None };
        [earlier(at, NOTICE), at].into_iter().find(|at| *at > now)
    }

    /// What is wrong and what to do.
    fn risk(self, health: KeyHealth, now: Timestamp) -> Option<(Reason, String)> {
        let reason = health.reason(now)?;
        let key = format!("The API key at key {} of Secret {}", self.key, self.secret);
        let at = health.expires_at.map(|at| whole_seconds(at).to_string()).unwrap_or_default();
        let replace = "create a new one and put it into the Secret; it is taken at once";
        let locked =
            if health.locked { " It is locked: its expiry can be moved only once it is unlocked." } else { "" };
        let message = match reason {
            Reason::ApiKeyDisabled => {
                format!("{key} is disabled in IAM, which gives no more tokens for it. Enable it, or {replace}.")
            }
            Reason::ApiKeyExpired => {
                format!("{key} expired at {at}: IAM gives no more tokens for it. Now {replace}.{locked}")
            }
            _ => format!(
                "{key} expires at {at}: from then on IAM gives no tokens for it. Before that, {replace}.{locked}"
            ),
        };
        Some((reason, message))
    }
}

/// Says in `status`, which follows the one `before`, how the API key fares.
pub(super) fn tell(status: &mut IamTokenStatus, before: &IamTokenStatus, s: &Situation<'_>, now: Timestamp) {
    let Some(api_key) = s.api_key else { return };
    match api_key.known {
        Known::NotYet if before.observed_generation == Some(s.generation) => {
            status.api_key_expires_at.clone_from(&before.api_key_expires_at);
            status.conditions.extend(find(before, CONDITION_API_KEY_AT_RISK).cloned());
        }
        Known::NotYet | Known::Untold => {}
        Known::Told(health) => {
            status.api_key_expires_at = health.expires_at.map(|at| Time(whole_seconds(at)));
            status.conditions.extend(api_key.risk(health, now).map(|(reason, message)| {
                condition(before, s.generation, CONDITION_API_KEY_AT_RISK, true, reason, message, now)
            }));
        }
    }
}

/// The event that the step from one status to the next is worth: one when a key comes to be at risk, or at another.
#[must_use]
pub fn transition(before: &IamTokenStatus, after: &IamTokenStatus) -> Option<Note> {
    let risk = find(after, CONDITION_API_KEY_AT_RISK)?;
    let old = find(before, CONDITION_API_KEY_AT_RISK).is_some_and(|old| old.reason == risk.reason);
    note(true, risk, &risk.message).filter(|_| !old)
}

#[cfg(test)]
mod tests;
