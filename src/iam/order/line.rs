//! The line itself. Pure but for the calls that it makes: time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::Lane;
use crate::core::breaker::{Admission, Breaker};
use crate::core::failure::Failure;
use crate::core::view::Key;

/// Places, and who waits for them.
pub(super) struct Line {
    free: usize,
    lanes: BTreeMap<Lane, Waiting>,
    places: HashMap<Key, Place>,
    called: HashMap<Key, Turn>,
    /// When somebody should look whether a probe may be made, and when somebody will.
    wanted: Option<Instant>,
    armed: Option<Instant>,
}

/// Those who wait in one lane, and how whoever is asked in it fares.
#[derive(Default)]
struct Waiting {
    queue: BTreeMap<(Timestamp, Key), UnboundedSender<Key>>,
    breaker: Breaker,
}

/// A place in line.
pub(super) struct Place {
    lane: Lane,
    deadline: Timestamp,
    since: Instant,
}

/// A place among those who work.
#[derive(Clone)]
pub(super) struct Turn {
    lane: Lane,
    probe: bool,
}

// === impl Turn ===

impl Turn {
    /// Whether it lets one ask whoever is asked in this lane.
    pub(super) fn is_in(&self, lane: &Lane) -> bool {
        lane.is_empty() || self.lane == *lane
    }
}

// === impl Line ===

impl Line {
    pub(super) fn new(limit: usize) -> Self {
        let (lanes, places, called, wanted, armed) = Default::default();
        Self { free: limit.max(1), lanes, places, called, wanted, armed }
    }

    /// Takes a place in line, or another one than before.
    pub(super) fn stand(
        &mut self,
        key: &Key,
        lane: Lane,
        deadline: Timestamp,
        call: UnboundedSender<Key>,
        now: Instant,
    ) {
        let since = self.leave(key).map_or(now, |place| place.since);
        self.lanes.entry(lane.clone()).or_default().queue.insert((deadline, key.clone()), call);
        self.places.insert(key.clone(), Place { lane, deadline, since });
    }

    pub(super) fn leave(&mut self, key: &Key) -> Option<Place> {
        let place = self.places.remove(key)?;
        if let Some(lane) = self.lanes.get_mut(&place.lane) {
            lane.queue.remove(&(place.deadline, key.clone()));
        }
        Some(place)
    }

    /// Calls those whose turn it is, each once; `me`, if it is one of them, needs no call.
    pub(super) fn dispatch(&mut self, me: Option<&Key>, now: Instant) {
        self.wanted = None;
        while self.free > 0 {
            let Some(lane) = self.next_lane(now) else { return };
            let waiting = self.lanes.entry(lane.clone()).or_default();
            let Some(((_, key), call)) = waiting.queue.pop_first() else { return };
            self.places.remove(&key);
            if me != Some(&key) && call.send(key.clone()).is_err() {
                continue;
            }
            let probe = waiting.breaker.admits(now) == Admission::Probe;
            if probe {
                waiting.breaker.probe();
            }
            self.free -= 1;
            self.called.insert(key, Turn { lane, probe });
        }
    }

    /// The lane whose first in line goes next.
    fn next_lane(&mut self, now: Instant) -> Option<Lane> {
        let mut next: Option<(&(Timestamp, Key), &Lane)> = None;
        for (lane, waiting) in &self.lanes {
            let Some((first, _)) = waiting.queue.first_key_value() else { continue };
            match waiting.breaker.admits(now) {
                Admission::Free | Admission::Probe if next.is_none_or(|(best, _)| first < best) => {
                    next = Some((first, lane));
                }
                Admission::NotBefore(at) => self.wanted = Some(self.wanted.map_or(at, |wanted| wanted.min(at))),
                _ => {}
            }
        }
        next.map(|(_, lane)| lane.clone())
    }

    /// When to [`ring`](Self::ring), where nobody will yet.
    pub(super) fn alarm(&mut self) -> Option<Instant> {
        let at = self.wanted.filter(|at| self.armed.is_none_or(|armed| *at < armed))?;
        self.armed = Some(at);
        Some(at)
    }

    /// It is time.
    pub(super) fn ring(&mut self, at: Instant, now: Instant) {
        self.armed.take_if(|armed| *armed == at);
        self.dispatch(None, now);
    }

    /// The turn that the key was called to, which it takes.
    pub(super) fn called(&mut self, key: &Key) -> Option<Turn> {
        self.called.remove(key)
    }

    pub(super) fn give_up(&mut self, turn: &Turn) {
        self.free += 1;
        if turn.probe
            && let Some(lane) = self.lanes.get_mut(&turn.lane)
        {
            lane.breaker.probed();
        }
    }

    pub(super) fn answered(&mut self, turn: &Turn) {
        if let Some(lane) = self.lanes.get_mut(&turn.lane) {
            lane.breaker.answered();
        }
    }

    pub(super) fn failed(&mut self, turn: &Turn, failure: Failure, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&turn.lane) {
            lane.breaker.failed(failure, now);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.places.len()
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.places.values().map(|place| place.since).min()
    }

    pub(super) fn since(&self, key: &Key) -> Option<Instant> {
        self.places.get(key).map(|place| place.since)
    }

    pub(super) fn trouble(&self, lane: &Lane) -> Option<&Failure> {
        self.lanes.get(lane)?.breaker.trouble()
    }
}
