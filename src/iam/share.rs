//! One exchange for all who want the same: whoever asks while it runs waits for it, whoever asks just after gets its
//! result, whoever follows is told of it, and a failure is not repeated by the next one before its time.

mod keys;
mod trace;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{Instrument as _, Span};

use self::keys::Keys;
use super::order::Permit;
use super::{Ask, AskId, Exchange, Grant};
use crate::clock::Clock;
use crate::core::failure::{Cause, Failure, Kind};
use crate::core::rate::Rate;
use crate::core::schedule::{Retry, earlier, retry_at, since};
use crate::core::view::Key;
use crate::telemetry::metrics::Metrics;

/// A token is kept for those who ask just after for a tenth of its life, but not longer than this.
const AT_HAND: Duration = Duration::from_mins(1);

/// However many persons ask, one credential is tried only so often.
const INSISTENCE: Duration = Duration::from_secs(5);

/// A failure that nobody asked about for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Shares exchanges.
#[derive(Clone)]
pub struct Sharing {
    exchange: Arc<dyn Exchange>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    slots: Arc<Mutex<HashMap<AskId, Slot>>>,
    rates: Arc<Mutex<HashMap<AskId, Rate>>>,
    followers: Arc<Mutex<Followers>>,
    keys: Keys,
    grants: Arc<AtomicU64>,
}

type Followers = BTreeMap<(AskId, Key), UnboundedSender<Key>>;

type Flight = Shared<BoxFuture<'static, Outcome>>;

enum Slot {
    /// With the span of the ask that began it.
    Flying(Flight, Span),
    /// With its number.
    AtHand(Grant, u64),
    Cooling(Refused),
}

/// How an ask begins.
enum Begun {
    /// An exchange of its own.
    Own(Flight),
    /// One that another ask began.
    Joined(Flight),
    /// What is known without any.
    Known(Outcome),
}

/// What becomes of an ask.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A token.
    Granted(Grant),
    /// None, and not before the time that [`retry_at`] gives for it.
    Refused(Refused),
    /// No answer yet; the exchange goes on, and the next to ask joins it.
    Pending,
}

/// The last failure for a credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// What went wrong.
    pub failure: Failure,
    /// How often in a row.
    pub attempts: u32,
    /// When the last answer, or none, came.
    pub failed_at: Timestamp,
    /// The draw of the credential.
    pub jitter: u16,
}

/// What makes the one who asks different from others who ask the same.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// A token at hand will do only if it was asked for after this.
    pub newer_than: Option<Timestamp>,
    /// A token will do only if it lives at least as long as this.
    pub outlives: Option<Timestamp>,
    /// When the token that is in place dies.
    pub expires_at: Option<Timestamp>,
    /// Since when a person has been asking: a failure from before does not make it too early for a try, unless IAM
    /// throttles or has named a time.
    pub insisted_since: Option<Timestamp>,
    /// How long to wait for an answer.
    pub patience: Duration,
}

// === impl Sharing ===

impl Sharing {
    /// Shares the exchanges that `exchange` makes, and counts the shared ones.
    #[must_use]
    pub fn new(exchange: Arc<dyn Exchange>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self {
            exchange,
            clock,
            metrics,
            slots: Arc::default(),
            rates: Arc::default(),
            followers: Arc::default(),
            keys: Keys::default(),
            grants: Arc::default(),
        }
    }

    /// Gets a token, by an exchange of its own only where nobody else's will do. `place` is kept until that has ended,
    /// however long the one who asked waits for it, and is told how the endpoint fared.
    pub async fn ask(&self, ask: Ask, want: Want, place: Option<Arc<Permit>>) -> Outcome {
        let landed = async |flight| tokio::time::timeout(want.patience, flight).await.unwrap_or(Outcome::Pending);
        let outcome = match self.begin(ask, want, place) {
            Begun::Own(flight) => return landed(flight).await,
            Begun::Joined(flight) => landed(flight).await,
            Begun::Known(outcome) => outcome,
        };
        if matches!(outcome, Outcome::Granted(_)) {
            self.metrics.shared();
        }
        trace::ends(&outcome);
        outcome
    }

    fn begin(&self, ask: Ask, want: Want, place: Option<Arc<Permit>>) -> Begun {
        let mut slots = self.slots();
        let attempts = match slots.get(&ask.id()) {
            Some(Slot::Flying(flight, begun_by)) => {
                trace::joins(Some(begun_by));
                return Begun::Joined(flight.clone());
            }
            Some(Slot::AtHand(grant, _)) if want.is_met_by(grant, self.clock.now()) => {
                trace::joins(None);
                return Begun::Known(Outcome::Granted(grant.clone()));
            }
            Some(Slot::Cooling(refused)) if refused.holds(want, self.clock.now()) => {
                return Begun::Known(Outcome::Refused(refused.clone()));
            }
            Some(Slot::Cooling(refused)) => refused.attempts,
            Some(Slot::AtHand(..)) | None => 0,
        };
        match self.take(&ask) {
            Err(refused) => Begun::Known(Outcome::Refused(*refused)),
            Ok(()) => Begun::Own(self.take_off(&mut slots, ask, attempts, place)),
        }
    }

    /// When the token that is at hand for this ask was asked for.
    #[must_use]
    pub fn at_hand(&self, id: AskId) -> Option<Timestamp> {
        match self.slots().get(&id) {
            Some(Slot::AtHand(grant, _)) if is_good(grant, self.clock.now()) => Some(grant.since()),
            _ => None,
        }
    }

    /// The failure that an ask would be answered with, so that nobody need read a key for it.
    #[must_use]
    pub fn cooling(&self, id: AskId, want: Want) -> Option<Refused> {
        match self.slots().get(&id) {
            Some(Slot::Cooling(refused)) if refused.holds(want, self.clock.now()) => Some(refused.clone()),
            _ => None,
        }
    }

    /// From now on `call` receives the key whenever a token for this ask has come.
    pub fn follow(&self, id: AskId, key: &Key, call: &UnboundedSender<Key>) {
        lock(&self.followers).insert((id, key.clone()), call.clone());
    }

    /// No longer.
    pub fn unfollow(&self, id: AskId, key: &Key) {
        let mut followers = lock(&self.followers);
        followers.remove(&(id, key.clone()));
        if followers_of(&followers, id).next().is_none() {
            self.keys.forget(id);
        }
    }

    /// Tells all who follow, if that is more than the one who asked.
    fn call_followers(&self, id: AskId) {
        let followers = lock(&self.followers);
        if followers_of(&followers, id).nth(1).is_some() {
            followers_of(&followers, id).for_each(|((_, key), call)| drop(call.send(key.clone())));
        }
    }

    /// The wall clock was set back: what it said before is moved along.
    pub fn set_back(&self, by: Duration) {
        for slot in self.slots().values_mut() {
            match slot {
                Slot::Flying(..) => {}
                Slot::AtHand(grant, _) => grant.life.since = earlier(grant.life.since, by),
                Slot::Cooling(refused) => refused.failed_at = earlier(refused.failed_at, by),
            }
        }
    }

    /// Takes one exchange of the credential's rate.
    fn take(&self, ask: &Ask) -> Result<(), Box<Refused>> {
        let moment = self.clock.moment();
        let mut rates = lock(&self.rates);
        rates.entry(ask.id()).or_default().take(moment.steady).map_err(|wait| {
            let failure = Failure::unanswered(Kind::Paced(wait), &ask.endpoint);
            Box::new(Refused { failure, attempts: 1, failed_at: moment.wall, jitter: ask.jitter() })
        })
    }

    fn take_off(
        &self,
        slots: &mut HashMap<AskId, Slot>,
        ask: Ask,
        attempts: u32,
        place: Option<Arc<Permit>>,
    ) -> Flight {
        trace::begins();
        let now = self.clock.now();
        slots.retain(|id, slot| {
            let old = matches!(slot, Slot::Cooling(refused) if since(now, refused.failed_at) > FORGOTTEN);
            if old {
                lock(&self.rates).remove(id);
            }
            !old
        });
        let (id, jitter, endpoint) = (ask.id(), ask.jitter(), ask.endpoint.clone());
        // A task of its own: it ends even where nobody waits any longer.
        let landing = tokio::spawn(self.clone().fly(ask, attempts, place).in_current_span());
        let sharing = self.clone();
        let flight = landing.map(move |landed| {
            landed.unwrap_or_else(|_| {
                let failure = Failure::unanswered(Kind::Unreachable(Cause::Broken), &endpoint);
                sharing.cool(id, Refused { failure, attempts: attempts.saturating_add(1), failed_at: now, jitter })
            })
        });
        let flight = flight.boxed().shared();
        slots.insert(id, Slot::Flying(flight.clone(), Span::current()));
        flight
    }

    async fn fly(self, ask: Ask, attempts: u32, place: Option<Arc<Permit>>) -> Outcome {
        let (id, jitter) = (ask.id(), ask.jitter());
        let (result, question) = match self.exchange.exchange_and_ask(ask).await {
            Ok((grant, question)) => (Ok(grant), question),
            Err(failure) => (Err(failure), None),
        };
        let failed_at = self.clock.now();
        if let Some(place) = place {
            match &result {
                Err(failure) if failure.is_of_endpoint() => place.failed(failure.clone()),
                _ => place.answered(),
            }
        }
        let outcome = match result {
            Ok(grant) => {
                if let Some(rate) = lock(&self.rates).get_mut(&id) {
                    rate.granted(grant.life.lasts);
                }
                let number = self.grants.fetch_add(1, Ordering::Relaxed);
                self.slots().insert(id, Slot::AtHand(grant.clone(), number));
                self.call_followers(id);
                if self.is_curious(id) {
                    self.wonder(id, question);
                }
                tokio::spawn(self.clone().put_away(id, number, grant.life.lasts));
                Outcome::Granted(grant)
            }
            Err(failure) => self.cool(id, Refused { failure, attempts: attempts.saturating_add(1), failed_at, jitter }),
        };
        trace::ends(&outcome);
        outcome
    }

    fn cool(&self, id: AskId, refused: Refused) -> Outcome {
        self.slots().insert(id, Slot::Cooling(refused.clone()));
        Outcome::Refused(refused)
    }

    async fn put_away(self, id: AskId, number: u64, lasts: Duration) {
        tokio::time::sleep((lasts / 10).min(AT_HAND)).await;
        let mut slots = self.slots();
        if matches!(slots.get(&id), Some(Slot::AtHand(_, other)) if *other == number) {
            slots.remove(&id);
            let mut rates = lock(&self.rates);
            if rates.get(&id).is_some_and(|rate| rate.is_whole(self.clock.moment().steady)) {
                rates.remove(&id);
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<AskId, Slot>> {
        lock(&self.slots)
    }
}

/// Those who follow an ask.
fn followers_of(followers: &Followers, id: AskId) -> impl Iterator<Item = (&(AskId, Key), &UnboundedSender<Key>)> {
    let first = (id, Key::new("", ""));
    followers.range(first..).take_while(move |((other, _), _)| *other == id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Want ===

impl Want {
    /// Whether the token lives as long as it must. A second of doubt is left to the clocks: times are cut to seconds.
    #[must_use]
    pub fn is_outlived_by(&self, grant: &Grant) -> bool {
        self.outlives.is_none_or(|at| since(at, grant.life.expires_at()) <= Duration::from_secs(1))
    }

    fn is_met_by(&self, grant: &Grant, now: Timestamp) -> bool {
        is_good(grant, now) && self.newer_than.is_none_or(|than| grant.since() > than) && self.is_outlived_by(grant)
    }
}

/// Neither has it died, nor was it dated by a clock that has been set back since.
fn is_good(grant: &Grant, now: Timestamp) -> bool {
    now < grant.life.expires_at() && !grant.life.is_from_the_future(now)
}

// === impl Refused ===

impl Refused {
    /// Whether it is from before a person asked, and nothing that they must wait out.
    #[must_use]
    pub fn yields_to(&self, want: Want) -> bool {
        let throttled = matches!(self.failure.kind, Kind::Throttled(_));
        let named = matches!(self.failure.retry(), Retry::After(_));
        !throttled && !named && want.insisted_since.is_some_and(|since| self.failed_at < since)
    }

    /// Whether it is too early for another try.
    fn holds(&self, want: Want, now: Timestamp) -> bool {
        let retry = self.failure.retry();
        if self.yields_to(want) && since(now, self.failed_at) >= INSISTENCE {
            return false;
        }
        let next = retry_at(retry, self.attempts, self.failed_at, want.expires_at, self.jitter);
        next.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests;
