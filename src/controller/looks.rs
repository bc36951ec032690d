//! Which `IamToken` is looked at when: each by one look at a time, some at once, in the order in which they were called
//! for, and once more where one was called for while it was looked at.

use std::collections::{HashMap, VecDeque};

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Shutdown;
use crate::core::view::Key;

/// Who is called for.
#[derive(Default)]
struct Calls {
    waiting: VecDeque<Key>,
    states: HashMap<Key, State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running,
    /// It runs, and was called for once more.
    Again,
}

/// Looks at whom `calls` names, at so many at once, until `shutdown` resolves and what was begun has ended.
pub(super) async fn run<F: Future<Output = ()>>(
    look: impl Fn(Key) -> F,
    at_once: usize,
    mut calls: UnboundedReceiver<Key>,
    mut shutdown: Shutdown,
) {
    let (mut queue, mut running) = (Calls::default(), FuturesUnordered::new());
    let mut over = false;
    while !over || !running.is_empty() {
        while let Ok(key) = calls.try_recv() {
            queue.call(key);
        }
        while !over && running.len() < at_once {
            let Some(key) = queue.begin() else { break };
            running.push(look(key.clone()).map(|()| key));
        }
        tokio::select! {
            biased;
            () = &mut shutdown, if !over => over = true,
            Some(key) = running.next() => queue.end(key),
            call = calls.recv(), if !over => match call {
                Some(key) => queue.call(key),
                None => over = true,
            },
        }
    }
}

// === impl Calls ===

impl Calls {
    fn call(&mut self, key: Key) {
        match self.states.get_mut(&key) {
            Some(state) if *state == State::Running => *state = State::Again,
            Some(_) => {}
            None => {
                self.states.insert(key.clone(), State::Waiting);
                self.waiting.push_back(key);
            }
        }
    }

    /// Whose look begins now.
    fn begin(&mut self) -> Option<Key> {
        let key = self.waiting.pop_front()?;
        self.states.insert(key.clone(), State::Running);
        Some(key)
    }

    fn end(&mut self, key: Key) {
        if self.states.remove(&key) == Some(State::Again) {
            self.call(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use futures::future;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    /// Looks of a second each at those who are called for, until so long after the beginning; the names of those whose
    /// look ended, and how many ran at once at most.
    async fn looked(at_once: usize, called: &[(&str, f32)], until: f32) -> (Vec<String>, u32) {
        let (call, calls) = unbounded_channel();
        let (ended, now, most) = (RefCell::new(vec![]), Cell::new(0), Cell::new(0));
        let look = async |key: Key| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            sleep(SECOND).await;
            now.set(now.get() - 1);
            ended.borrow_mut().push(key.name.to_string());
        };
        let all_called = future::join_all(called.iter().map(async |(name, at)| {
            sleep(SECOND.mul_f32(*at)).await;
            let _ = call.send(key(name));
        }));
        let shutdown = sleep(SECOND.mul_f32(until)).boxed().shared();
        future::join(run(&look, at_once, calls, shutdown), all_called).await;
        (ended.take(), most.get())
    }

    #[tokio::test(start_paused = true)]
    async fn in_order_and_so_many_at_once() {
        let called = [("a", 0.), ("b", 0.), ("c", 0.), ("d", 0.), ("a", 0.)];
        let (ended, most) = looked(2, &called, 9.).await;
        assert_eq!((ended.concat().as_str(), most), ("abcd", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn once_more_where_it_is_called_for_meanwhile_and_never_twice_at_once() {
        let (ended, most) = looked(5, &[("a", 0.), ("a", 0.2), ("a", 0.4), ("a", 2.5)], 9.).await;
        assert_eq!((ended.concat().as_str(), most), ("aaa", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_ended_and_nothing_else_begun() {
        let (ended, _) = looked(1, &[("a", 0.), ("b", 0.)], 0.5).await;
        assert_eq!(ended.concat(), "a");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_where_nobody_can_call_any_more() {
        let (call, calls) = unbounded_channel();
        let _ = call.send(key("a"));
        drop(call);
        let looks = Cell::new(0);
        run(async |_| looks.set(looks.get() + 1), 5, calls, future::pending().boxed().shared()).await;
        assert_eq!(looks.get(), 1);
    }
}
