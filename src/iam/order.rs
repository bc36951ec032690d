//! Who goes first: a limit on how many work at once, and the nearest deadline next. Whoever must wait is called by name
//! and holds no task meanwhile, so that ten thousand can wait.
//!
//! There is a lane for each endpoint, one for those that stand in for each other, and one for work that asks IAM nothing.
//! While an endpoint fails, or all that stand in for each other do, the lane lets one through at a time ([`Breaker`]); the
//! others keep their places in it.

mod line;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use self::line::{Line, Turn};
use crate::core::endpoint::Endpoint;
use crate::core::failure::Failure;
use crate::core::view::Key;

#[cfg(doc)]
use crate::core::breaker::Breaker;

/// Who is asked, and who in its place if it fails; nobody where none of IAM is.
pub type Lane = Vec<Endpoint>;

/// The queue and the places. Clones are handles to the same one.
#[derive(Clone)]
pub struct Order {
    line: Arc<Mutex<Line>>,
}

/// A place among those who work. Given up when dropped; then the next in line is called.
pub struct Permit {
    order: Order,
    turn: Turn,
}

// === impl Order ===

impl Order {
    /// As many places as `limit`, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { line: Arc::new(Mutex::new(Line::new(limit))) }
    }

    /// A place now, or one in line by `deadline`; then `call` receives the key when it is its turn, and the next
    /// `admit` for it succeeds.
    #[must_use]
    pub fn admit(&self, key: &Key, lane: Lane, deadline: Timestamp, call: &UnboundedSender<Key>) -> Option<Permit> {
        let now = now();
        let turn = self.change(|line| {
            if let Some(turn) = line.called(key) {
                if turn.is_in(&lane) {
                    return Some(turn);
                }
                line.give_up(&turn);
            }
            line.stand(key, lane, deadline, call.clone(), now);
            line.dispatch(Some(key), now);
            line.called(key)
        });
        turn.map(|turn| Permit { order: self.clone(), turn })
    }

    /// The place that the key was called to, if it was.
    #[must_use]
    pub fn called(&self, key: &Key) -> Option<Permit> {
        let turn = self.line().called(key);
        turn.map(|turn| Permit { order: self.clone(), turn })
    }

    /// The key will not come: its place in line, or the place that it was called to, is given to the next.
    pub fn forget(&self, key: &Key) {
        self.change(|line| {
            line.leave(key);
            if let Some(turn) = line.called(key) {
                line.give_up(&turn);
            }
            line.dispatch(None, now());
        });
    }

    /// How many wait in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line().waiting()
    }

    /// How long the one has been waiting in line that came first.
    #[must_use]
    pub fn longest_wait(&self) -> Option<Duration> {
        self.line().oldest().map(|since| now().saturating_duration_since(since))
    }

    /// How long the key has been waiting in line.
    #[must_use]
    pub fn waited(&self, key: &Key) -> Option<Duration> {
        self.line().since(key).map(|since| now().saturating_duration_since(since))
    }

    /// Why whoever is asked in this lane is asked by one at a time now, if it is so.
    #[must_use]
    pub fn trouble(&self, lane: &Lane) -> Option<Failure> {
        self.line().trouble(lane).cloned()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the line, and sees to it that somebody comes when the next probe may be made.
    fn change<T>(&self, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut line = self.line();
        let result = act(&mut line);
        self.arm(&mut line);
        result
    }

    fn arm(&self, line: &mut Line) {
        if let Some(at) = line.alarm()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.clone().ring(at));
        }
    }

    async fn ring(self, at: Instant) {
        tokio::time::sleep_until(at.into()).await;
        let mut line = self.line();
        line.ring(at, now());
        self.arm(&mut line);
    }
}

/// By tokio's monotonic clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

// === impl Permit ===

impl Permit {
    /// Whether it lets one ask whoever is asked in this lane.
    #[must_use]
    pub fn is_in(&self, lane: &Lane) -> bool {
        self.turn.is_in(lane)
    }

    /// The endpoint answered; what it said of one credential is no matter here.
    pub fn answered(&self) {
        self.order.change(|line| {
            line.answered(&self.turn);
            line.dispatch(None, now());
        });
    }

    /// The endpoint failed.
    pub fn failed(&self, failure: Failure) {
        self.order.change(|line| {
            line.failed(&self.turn, failure, now());
            line.dispatch(None, now());
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.order.change(|line| {
            line.give_up(&self.turn);
            line.dispatch(None, now());
        });
    }
}

#[cfg(test)]
mod tests;
