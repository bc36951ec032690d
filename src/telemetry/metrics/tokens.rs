//! What is told of the IamTokens: how many are how, and of some of them each by its name.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::labels::State;
use crate::core::kept::{Glance, Kept};
use crate::core::schedule::later;

/// IamTokens, as a watch knows them.
pub type List = Vec<Arc<Kept>>;

/// A refresh may take so long before it is called overdue.
const OVERDUE_AFTER: Duration = Duration::from_mins(1);

/// What is told of all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally<'a> {
    counts: [usize; State::ALL.len()],
    /// The first time at which one expires that is not suspended.
    earliest_expiry: Option<Timestamp>,
    /// Those that have series of their own, by namespace and name.
    shown: Vec<Token<'a>>,
    /// How many have none.
    omitted: usize,
}

/// What is told of one.
#[derive(Debug, PartialEq)]
struct Token<'a> {
    namespace: &'a str,
    name: &'a str,
    glance: Glance,
    is: [bool; State::ALL.len()],
}

// === impl Tally ===

impl<'a> Tally<'a> {
    /// As it is `now`. Where there are more than `limit`, only those have series that something is wrong with, those
    /// that expire first before others, and no more than `limit` of them.
    pub(super) fn of(list: &'a List, limit: usize, now: Timestamp) -> Self {
        let mut tally = Self::default();
        let all = list.len();
        for token in list.iter().map(|token| Token::of(token, now)) {
            for (count, is) in tally.counts.iter_mut().zip(token.is) {
                *count += usize::from(is);
            }
            if !token.is(State::Suspended) {
                tally.earliest_expiry = tally.earliest_expiry.into_iter().chain(token.glance.expires_at).min();
            }
            if all <= limit || token.needs_attention() {
                tally.shown.push(token);
            }
        }
        if tally.shown.len() > limit {
            tally.shown.sort_unstable_by_key(|token| (token.glance.expires_at, token.namespace, token.name));
            tally.shown.truncate(limit);
        }
        tally.shown.sort_unstable_by_key(|token| (token.namespace, token.name));
        tally.omitted = all - tally.shown.len();
        tally
    }

    pub(super) fn encode(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut counts = to.encode_descriptor(
            "tokens",
            "IamTokens in this state. ready and not_ready make up all; the others overlap.",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in State::ALL.iter().zip(self.counts) {
            counts.encode_family(&[("state", *state)])?.encode_gauge(&count)?;
        }
        if let Some(at) = self.earliest_expiry {
            let help = "When the first token of an IamToken that is not suspended expires or has expired.";
            let name = "tokens_earliest_expiry_timestamp";
            to.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?.encode_gauge(&at.as_second())?;
        }
        let help = "IamTokens without series of their own, for --metrics-per-object-limit.";
        to.encode_descriptor("tokens_omitted", help, None, MetricType::Gauge)?.encode_gauge(&self.omitted)?;
        self.encode_shown(to)
    }

    fn encode_shown(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (seconds, mut all) = (Some(&Unit::Seconds), Each { to, tokens: &self.shown });
        let at = |at: Option<Timestamp>| at.map(Timestamp::as_second);
        let help = "When the token in the target expires.";
        all.encode("token_expiry_timestamp", help, seconds, |token| at(token.glance.expires_at))?;
        let help = "When the next refresh is due.";
        all.encode("token_next_refresh_timestamp", help, seconds, |token| at(token.glance.refresh_at))?;
        let help = "When the token in the target was asked for.";
        all.encode("token_last_refresh_timestamp", help, seconds, |token| at(token.glance.refreshed_at))?;
        let help = "When the API key expires, where it does and IAM lets its identity read that.";
        all.encode("api_key_expiry_timestamp", help, seconds, |token| at(token.glance.api_key_expires_at))?;
        let help = "1 while the target holds a token that is valid now, else 0.";
        all.encode("token_ready", help, None, |token| Some(i64::from(token.is(State::Ready))))?;
        let help = "1 while spec.suspend is true, else 0.";
        all.encode("token_suspended", help, None, |token| Some(i64::from(token.is(State::Suspended))))?;
        let help = "1 while a person must act, else 0.";
        all.encode("token_stalled", help, None, |token| Some(i64::from(token.is(State::Stalled))))
    }
}

/// Writes one family of series after another.
struct Each<'e, 'd, 't> {
    to: &'e mut DescriptorEncoder<'d>,
    tokens: &'t [Token<'t>],
}

impl Each<'_, '_, '_> {
    fn encode(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl Fn(&Token<'_>) -> Option<i64>,
    ) -> fmt::Result {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let mut family = self.to.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for token in self.tokens {
            if let Some(value) = value(token) {
                let labels = [("namespace", token.namespace), ("name", token.name)];
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

// === impl Token ===

impl<'a> Token<'a> {
    fn of(token: &'a Kept, now: Timestamp) -> Self {
        let glance = token.glance;
        let ready = glance.ready && glance.expires_at.is_some_and(|at| now < at);
        let is = |state| match state {
            State::Ready => ready,
            State::NotReady => !ready,
            State::Suspended => glance.suspended,
            State::Stalled => glance.stalled,
            State::Reconciling => glance.reconciling,
            State::Overdue => !glance.suspended && glance.refresh_at.is_some_and(|at| later(at, OVERDUE_AFTER) < now),
        };
        Self {
            namespace: &token.key.namespace,
            name: &token.key.name,
            glance,
            is: std::array::from_fn(|place| is(State::ALL[place])),
        }
    }

    fn is(&self, state: State) -> bool {
        self.is[state as usize]
    }

    fn needs_attention(&self) -> bool {
        let wrong = [State::NotReady, State::Stalled, State::Reconciling, State::Overdue];
        !self.is(State::Suspended) && (self.glance.key_at_risk || wrong.into_iter().any(|state| self.is(state)))
    }
}

#[cfg(test)]
mod tests;
