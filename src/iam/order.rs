//! Who goes first: a limit on how many work at once, and the nearest deadline next. Whoever must wait is called by name
//! and holds no task meanwhile, so that ten thousand can wait.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use crate::core::view::Key;

/// The queue and the places. Clones are handles to the same one.
#[derive(Clone)]
pub struct Order {
    state: Arc<Mutex<State>>,
}

struct State {
    free: usize,
    queue: BTreeMap<(Timestamp, Key), UnboundedSender<Key>>,
    deadlines: HashMap<Key, Timestamp>,
    called: HashSet<Key>,
}

/// A place among those who work. Given up when dropped; then the next in line is called.
pub struct Permit {
    order: Order,
}

// === impl Order ===

impl Order {
    /// As many places as `limit`, at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let state =
            State { free: limit.max(1), queue: BTreeMap::new(), deadlines: HashMap::new(), called: HashSet::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A place now, or one in line by `deadline`; then `call` receives the key when it is its turn, and the next
    /// `admit` for it succeeds.
    #[must_use]
    pub fn admit(&self, key: &Key, deadline: Timestamp, call: &UnboundedSender<Key>) -> Option<Permit> {
        let mut state = self.state();
        if state.called.remove(key) {
            return Some(Permit { order: self.clone() });
        }
        if state.free > 0 {
            state.free -= 1;
            state.leave(key);
            return Some(Permit { order: self.clone() });
        }
        state.leave(key);
        state.queue.insert((deadline, key.clone()), call.clone());
        state.deadlines.insert(key.clone(), deadline);
        None
    }

    /// The place that the key was called to, if it was.
    #[must_use]
    pub fn called(&self, key: &Key) -> Option<Permit> {
        self.state().called.remove(key).then(|| Permit { order: self.clone() })
    }

    /// The key will not come: its place in line, or the place that it was called to, is given to the next.
    pub fn forget(&self, key: &Key) {
        let mut state = self.state();
        state.leave(key);
        if state.called.remove(key) {
            state.next();
        }
    }

    /// How many wait in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().queue.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave(&mut self, key: &Key) {
        if let Some(deadline) = self.deadlines.remove(key) {
            self.queue.remove(&(deadline, key.clone()));
        }
    }

    /// A place is free: calls the next in line.
    fn next(&mut self) {
        while let Some(((_, key), call)) = self.queue.pop_first() {
            self.deadlines.remove(&key);
            if call.send(key.clone()).is_ok() {
                self.called.insert(key);
                return;
            }
        }
        self.free += 1;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.order.state().next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    fn key(name: &str) -> Key {
        Key { namespace: "ns".into(), name: name.into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_nearest_deadline_is_called_next() {
        let (call, mut calls) = unbounded_channel();
        let order = Order::new(1);
        let first = order.admit(&key("first"), at(9), &call).unwrap();
        assert!(order.admit(&key("late"), at(3), &call).is_none());
        assert!(order.admit(&key("soon"), at(2), &call).is_none());
        assert!(order.admit(&key("never had one"), Timestamp::MIN, &call).is_none());
        drop(first);
        for name in ["never had one", "soon", "late"] {
            assert_eq!(calls.try_recv().unwrap(), key(name));
            drop(order.admit(&key(name), at(9), &call).unwrap());
        }
        assert!(calls.try_recv().is_err());
    }

    #[test]
    fn a_place_is_kept_for_the_one_called() {
        let (call, mut calls) = unbounded_channel();
        let order = Order::new(1);
        let first = order.admit(&key("a"), at(1), &call).unwrap();
        assert!(order.admit(&key("b"), at(1), &call).is_none());
        drop(first);
        assert!(order.admit(&key("c"), at(0), &call).is_none());
        assert_eq!(calls.try_recv().unwrap(), key("b"));
        assert!(order.admit(&key("b"), at(1), &call).is_some());
    }

    #[test]
    fn the_forgotten_leave_no_gap() {
        let (call, mut calls) = unbounded_channel();
        let order = Order::new(1);
        let first = order.admit(&key("a"), at(1), &call).unwrap();
        assert!(order.admit(&key("b"), at(1), &call).is_none());
        assert!(order.admit(&key("c"), at(2), &call).is_none());
        drop(first);
        order.forget(&key("b"));
        assert_eq!([calls.try_recv().unwrap(), calls.try_recv().unwrap()], [key("b"), key("c")]);
        order.forget(&key("c"));
        assert!(order.admit(&key("d"), at(1), &call).is_some());
    }

    #[test]
    fn coming_again_moves_the_place_in_line() {
        let (call, _calls) = unbounded_channel();
        let order = Order::new(1);
        let _first = order.admit(&key("a"), at(1), &call).unwrap();
        assert!(order.admit(&key("b"), at(5), &call).is_none());
        assert!(order.admit(&key("b"), at(1), &call).is_none());
        assert_eq!(order.waiting(), 1);
    }
}
