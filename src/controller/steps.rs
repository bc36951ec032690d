//! The wall clock's steps. Timers go by the monotonic clock, so a machine that was suspended or a clock that was set
//! would leave everybody asleep: all IamTokens are looked at anew. What was noted before a clock was set back is moved
//! along with it.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::watch;
use tracing::warn;

use crate::clock::Clock;
use crate::core::lease::Step;
use crate::iam::share::Sharing;

/// How often both clocks are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// All steps that were noticed.
#[derive(Clone)]
pub(super) struct Steps {
    /// By how much the clock was set back in all.
    set_back: Arc<watch::Sender<Duration>>,
}

// === impl Steps ===

impl Steps {
    pub(super) fn new() -> Self {
        Self { set_back: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }

    /// By how much the wall clock was set back in all.
    pub(super) fn set_back(&self) -> Duration {
        *self.set_back.borrow()
    }

    /// Yields whenever the wall clock has made a step.
    pub(super) fn noticed(&self) -> impl Stream<Item = ()> + Send + use<> {
        stream::unfold(self.set_back.subscribe(), async |mut changes| {
            changes.changed().await.ok()?;
            Some(((), changes))
        })
    }

    /// Compares the clocks for ever.
    pub(super) async fn watch(self, clock: Arc<dyn Clock>, sharing: Sharing) {
        let mut before = clock.moment();
        loop {
            tokio::time::sleep(COMPARE_EVERY).await;
            let now = clock.moment();
            match now.step_since(before) {
                None => {}
                Some(Step::Ahead(by)) => {
                    warn!("the wall clock went {} s ahead: set, or the machine was suspended", by.as_secs());
                    self.set_back.send_modify(|_| {});
                }
                Some(Step::Back(by)) => {
                    warn!("the wall clock was set back by {} s", by.as_secs());
                    sharing.set_back(by);
                    self.set_back.send_modify(|all| *all += by);
                }
            }
            before = now;
        }
    }
}
