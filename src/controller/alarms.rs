//! When each `IamToken` is looked at again if nothing happens before.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use crate::core::view::Key;

/// Calls for each `IamToken` when its time has come.
#[derive(Default)]
pub(super) struct Alarms {
    set: Mutex<Set>,
    /// The first one has changed.
    changed: Notify,
}

#[derive(Default)]
struct Set {
    times: HashMap<Key, Instant>,
    order: BTreeSet<(Instant, Key)>,
}

// === impl Alarms ===

impl Alarms {
    /// The `IamToken` is called for after so long, or not at all, whatever was set before.
    pub(super) fn set(&self, key: &Key, after: Option<Duration>) {
        let at = after.and_then(|after| Instant::now().checked_add(after));
        let mut set = self.lock();
        let first = set.first();
        set.put(key, at);
        if set.first() != first {
            self.changed.notify_one();
        }
    }

    /// Calls, for ever.
    pub(super) async fn ring(&self, call: &UnboundedSender<Key>) {
        loop {
            let (due, next) = self.lock().due(Instant::now());
            for key in due {
                let _ = call.send(key);
            }
            let time = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => future::pending().await,
                }
            };
            future::select(Box::pin(time), Box::pin(self.changed.notified())).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Set ===

impl Set {
    fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    fn put(&mut self, key: &Key, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.times.insert(key.clone(), at),
            None => self.times.remove(key),
        };
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, key.clone()));
        }
    }

    /// Takes those whose time has come, and tells when the next one's does.
    fn due(&mut self, now: Instant) -> (Vec<Key>, Option<Instant>) {
        let mut due = vec![];
        while let Some((_, key)) = self.order.first().filter(|(at, _)| *at <= now) {
            let key = key.clone();
            self.put(&key, None);
            due.push(key);
        }
        (due, self.first())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    fn begin() -> (Arc<Alarms>, UnboundedReceiver<Key>) {
        let (call, calls) = unbounded_channel();
        let alarms = Arc::new(Alarms::default());
        let ringer = Arc::clone(&alarms);
        tokio::spawn(async move { ringer.ring(&call).await });
        (alarms, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_called_for_in_its_time_and_once() {
        let (alarms, mut calls) = begin();
        let begun = Instant::now();
        alarms.set(&key("late"), Some(3 * SECOND));
        sleep(SECOND).await;
        alarms.set(&key("soon"), Some(SECOND));
        assert_eq!((calls.recv().await, begun.elapsed()), (Some(key("soon")), 2 * SECOND));
        assert_eq!((calls.recv().await, begun.elapsed()), (Some(key("late")), 3 * SECOND));
        sleep(100 * SECOND).await;
        assert!(calls.try_recv().is_err());
        assert!(alarms.lock().times.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_word_counts() {
        let (alarms, mut calls) = begin();
        let begun = Instant::now();
        for after in [Some(SECOND), Some(5 * SECOND), None, Some(4 * SECOND)] {
            alarms.set(&key("a"), after);
            alarms.set(&key("b"), after.filter(|after| *after != 4 * SECOND));
        }
        assert_eq!((calls.recv().await, begun.elapsed()), (Some(key("a")), 4 * SECOND));
        sleep(100 * SECOND).await;
        assert!(calls.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_due_at_once_need_not_wait() {
        let (alarms, mut calls) = begin();
        alarms.set(&key("a"), Some(Duration::ZERO));
        alarms.set(&key("b"), Some(Duration::ZERO));
        let begun = Instant::now();
        let called = [calls.recv().await, calls.recv().await];
        assert_eq!(called, [Some(key("a")), Some(key("b"))]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
