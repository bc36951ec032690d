//! What a process remembers of an `IamToken` between two looks.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::budget::Routine;
use super::decide::Work;
use super::observed::{Facts, Seen};
use super::pace::Pace;
use super::problem::Problem;
use super::record::Mark;
use super::restart::Restarts;
use super::schedule::{self, earlier};
use super::short::Short;

/// What a process remembers of an `IamToken` between two looks. Losing it costs at most a read or a try.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The last refresh, if it failed. Boxed, as are others, as most `IamTokens` never have it.
    pub trouble: Option<Box<Trouble>>,
    /// The last of all other work, if it failed: neither must quicken or hold up the other.
    pub hitch: Option<Box<Trouble>>,
    /// A later state of the source Secret that was found to hold the same key.
    pub same_key: Option<Box<Mark>>,
    /// A state of the target that no token can be recovered from.
    pub unrecoverable: Option<Box<Mark>>,
    /// The last value of the annotation that asks for a refresh, and when it was first seen.
    pub request: Option<Box<(String, Timestamp)>>,
    /// How often in a row the target was repaired.
    pub repairs: Pace,
    /// The target as our own last write left it. Where that is not as planned, some admission rule changes what we
    /// write, and writing it again would go on for ever.
    pub written: Option<Mark>,
    /// What this process did last, which tells what is routine.
    pub routine: Routine,
    /// The token in the target.
    pub token: Option<Met>,
    /// Restarts of workloads, and those that failed: each by itself, so that none holds up a refresh or another.
    pub restarts: Restarts,
}

/// A token that this process has met. Its times were noted by a clock that may not be the one that is read now: this
/// process's before it was set back, or another node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// [`Record::token`](super::record::Record::token)
    token: Short,
    /// How much older it is than its noted times say.
    older_by: Duration,
}

/// Clocks that differ by no more are taken to agree.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// A failed try.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What was tried.
    pub work: Work,
    /// Why it failed.
    pub problem: Problem,
    /// How often in a row.
    pub attempts: u32,
    /// When.
    pub failed_at: Timestamp,
    /// The draw that spreads retries.
    pub jitter: u16,
    /// What it was tried with.
    pub inputs: Inputs,
}

/// How a try failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Why.
    pub problem: Problem,
    /// When.
    pub at: Timestamp,
    /// How often in a row, where others tried the same.
    pub attempts: Option<u32>,
    /// The draw that spreads retries.
    pub jitter: u16,
}

/// What a try depends on: where one of these changes, a new try is worth making at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    pub(super) generation: i64,
    pub(super) lender: Option<i64>,
    pub(super) requested: Option<String>,
    pub(super) source: Option<Mark>,
    pub(super) target: Option<Mark>,
}

// === impl Memory, Trouble ===

impl Memory {
    /// The annotation that asks for a refresh has this value.
    pub fn note_request(&mut self, requested: Option<&str>, now: Timestamp) {
        if self.request.as_ref().map(|request| request.0.as_str()) != requested {
            self.request = requested.map(|value| Box::new((value.to_owned(), now)));
        }
    }

    /// Reads the times noted on the target by the clock as it is now. A token that another process wrote is no younger
    /// than it is by the API server's clock, which is `server_ahead` seconds ahead of ours and was as much ahead of the
    /// other's as that one noted.
    pub fn correct(&mut self, target: &mut Seen, server_ahead: Option<i64>) {
        let Seen::Present(facts) = target else { return };
        let Some(record) = &mut facts.record else { return };
        let met = match self.token.take() {
            Some(met) if met.token == record.token => met,
            _ => {
                let behind = server_ahead.zip(record.server_ahead).map(|(ours, theirs)| ours.saturating_sub(theirs));
                let behind = Duration::from_secs(behind.and_then(|behind| behind.try_into().ok()).unwrap_or_default());
                let older_by = if behind > CLOCKS_AGREE { behind } else { Duration::ZERO };
                Met { token: record.token.clone(), older_by }
            }
        };
        // As in [`Record::parse`](super::record::Record::parse): what is noted may be of any time.
        record.refreshed_at = earlier(record.refreshed_at, met.older_by).max(Timestamp::UNIX_EPOCH);
        record.skew = record.skew.saturating_add(met.older_by.as_secs().try_into().unwrap_or(i64::MAX));
        self.token = Some(met);
    }

    /// This process wrote this token, and noted its times by its own clock.
    pub fn wrote(&mut self, token: &Short) {
        self.token = Some(Met { token: token.clone(), older_by: Duration::ZERO });
    }

    /// The wall clock was set back: what it said before is moved along.
    pub fn set_back(&mut self, by: Duration) {
        for trouble in [&mut self.trouble, &mut self.hitch].into_iter().flatten() {
            trouble.failed_at = earlier(trouble.failed_at, by);
        }
        if let Some(request) = &mut self.request {
            request.1 = earlier(request.1, by);
        }
        self.repairs.set_back(by);
        self.routine.set_back(by);
        self.restarts.set_back(by);
        if let Some(met) = &mut self.token {
            met.older_by = met.older_by.saturating_add(by);
        }
    }

    /// A try has failed. Of restarts, [`Self::restarts`] is told.
    pub fn failed(&mut self, failed: Failed, work: Work, inputs: Inputs) {
        if matches!(work, Work::Restart(_)) {
            return;
        }
        let slot = if matches!(work, Work::Refresh(_)) { &mut self.trouble } else { &mut self.hitch };
        let before = slot.take().filter(|trouble| trouble.problem.reason() == failed.problem.reason());
        let again = before.map_or(1, |trouble| trouble.attempts.saturating_add(1));
        *slot = Some(Box::new(Trouble {
            work,
            problem: failed.problem,
            attempts: failed.attempts.unwrap_or(again),
            failed_at: failed.at,
            jitter: failed.jitter,
            inputs,
        }));
    }

    /// A try has succeeded and left the target in this state. That writes it anew is no cure for a key that is refused.
    pub fn succeeded(&mut self, work: Work, target: Option<&Facts>) {
        if matches!(work, Work::Restart(_)) {
            return;
        }
        if matches!(work, Work::Refresh(_)) {
            self.trouble = None;
            self.hitch.take_if(|hitch| hitch.work != Work::Remove);
        } else {
            self.hitch = None;
            if let Some(trouble) = &mut self.trouble {
                trouble.inputs.target = target.map(|facts| facts.mark.clone());
            }
        }
    }
}

impl Trouble {
    /// When the next try may be made; `expires_at` is when the token in place dies.
    #[must_use]
    pub fn retry_at(&self, expires_at: Option<Timestamp>) -> Option<Timestamp> {
        schedule::retry_at(self.problem.retry(), self.attempts, self.failed_at, expires_at, self.jitter)
    }
}

#[cfg(test)]
mod tests;
