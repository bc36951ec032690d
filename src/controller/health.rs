//! How this process is: what its probes say, and the watchdog's rounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, info, warn};

use super::Shutdown;
use super::lead::Lead;
use crate::clock::Clock;
use crate::core::readiness::{self, Progress, Verdict};
use crate::core::view::Key;
use crate::core::watchdog::{Finding, Watchdog, Watched};

/// How often the watchdog looks.
const ROUND: Duration = Duration::from_secs(10);

/// How the controllers of a process are. Empty until they run.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Mutex<Option<Inner>>>,
}

#[derive(Clone)]
struct Inner {
    vitals: Vec<Vitals>,
    /// Of what is known of the `ClusterIamCredentials`.
    credentials: Vec<Vitals>,
    lead: Lead,
    shutdown: Shutdown,
}

/// How one controller is.
#[derive(Clone)]
pub(super) struct Vitals {
    clock: Arc<dyn Clock>,
    call: UnboundedSender<Key>,
    state: Arc<Mutex<State>>,
}

struct State {
    watchdog: Watchdog,
    progress: Progress,
    /// The findings of the last round.
    found: Vec<Finding>,
}

/// One look that runs.
pub(super) struct Running<'a> {
    vitals: &'a Vitals,
    key: &'a Key,
    next: Option<Duration>,
}

// === impl Health ===

impl Health {
    /// Whether it is alive: `/livez`. It is not where only a restart helps.
    #[must_use]
    pub fn live(&self) -> Verdict {
        let findings = self.round();
        readiness::alive(&findings)
    }

    /// Whether it does its work, or stands by to do it: `/readyz`.
    #[must_use]
    pub fn ready(&self) -> Verdict {
        match lock(&self.inner).clone() {
            None => readiness::verdict(&[], false, false),
            Some(Inner { vitals, lead, shutdown, .. }) => {
                let progress: Vec<Progress> = vitals.iter().map(Vitals::progress).collect();
                readiness::verdict(&progress, lead.holds(), shutdown.now_or_never().is_some())
            }
        }
    }

    /// The controllers begin.
    pub(super) fn begins(&self, vitals: Vec<Vitals>, credentials: Vec<Vitals>, lead: Lead, shutdown: Shutdown) {
        *lock(&self.inner) = Some(Inner { vitals, credentials, lead, shutdown });
    }

    /// The watchdog's rounds, for ever.
    pub(super) async fn patrol(&self) {
        loop {
            tokio::time::sleep(ROUND).await;
            self.round();
        }
    }

    fn round(&self) -> Vec<Finding> {
        let inner = lock(&self.inner).clone();
        let all = inner.iter().flat_map(|inner| inner.vitals.iter().chain(&inner.credentials));
        all.flat_map(Vitals::round).collect()
    }
}

// === impl Vitals ===

impl Vitals {
    /// Of the controller that watches this namespace, or all; `call` has an `IamToken` looked at.
    pub(super) fn new(namespace: Option<String>, clock: Arc<dyn Clock>, call: UnboundedSender<Key>) -> Self {
        let (watchdog, progress) = (Watchdog::new(namespace.clone()), Progress::new(namespace));
        Self { clock, call, state: Arc::new(Mutex::new(State { watchdog, progress, found: vec![] })) }
    }

    /// A look has begun. It ends with what is returned.
    pub(super) fn look<'a>(&'a self, key: &'a Key) -> Running<'a> {
        self.stepped(key);
        Running { vitals: self, key, next: None }
    }

    /// A look has come a step further.
    pub(super) fn stepped(&self, key: &Key) {
        self.state().watchdog.stepped(key);
    }

    /// The `IamToken` is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.state().watchdog.forget(key);
    }

    /// A watch asked for something, or heard something.
    pub(super) fn heard(&self, watched: Watched) {
        self.state().watchdog.heard(watched);
    }

    /// It has come further with what it begins with.
    pub(super) fn note(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.state().progress);
    }

    pub(super) fn progress(&self) -> Progress {
        self.state().progress.clone()
    }

    /// Looks for what hangs and does what can be done about it. Returns what cannot be helped.
    fn round(&self) -> Vec<Finding> {
        let now = self.clock.moment();
        let mut state = self.state();
        let advice = state.watchdog.tick(now);
        for finding in advice.findings.iter().filter(|finding| !state.found.contains(finding)) {
            error!("{finding}");
        }
        if !state.found.is_empty() && advice.findings.is_empty() {
            info!("nothing hangs any more");
        }
        state.found.clone_from(&advice.findings);
        for key in advice.wake {
            warn!(iamtoken = %key, "the look is overdue: calling for it");
            let _ = self.call.send(key);
        }
        advice.findings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

// === impl Running ===

impl Running<'_> {
    /// It ends; the next one follows after so long, or when something changes.
    pub(super) fn ends(mut self, next: Option<Duration>) {
        self.next = next;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.vitals.state().watchdog.looked(self.key, self.next);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::clock::SystemClock;
    use crate::core::watchdog::LONGEST_DELAY;

    async fn rounds(vitals: &Vitals, lasts: Duration) -> Vec<Finding> {
        let mut found = vitals.round();
        for _ in 0..=lasts.as_secs() / ROUND.as_secs() {
            tokio::time::sleep(ROUND).await;
            found = vitals.round();
        }
        found
    }

    #[tokio::test(start_paused = true)]
    async fn an_overdue_look_is_called_for_once_before_it_is_found() {
        let (call, mut calls) = unbounded_channel();
        let vitals = Vitals::new(None, Arc::new(SystemClock), call);
        let key = Key::new("team-a", "hpcs");
        vitals.look(&key).ends(Some(Duration::from_mins(1)));
        assert_eq!(rounds(&vitals, Duration::from_mins(1)).await, []);
        assert!(calls.try_recv().is_err());
        assert_eq!(rounds(&vitals, LONGEST_DELAY).await, []);
        assert_eq!(calls.try_recv().as_ref(), Ok(&key));
        assert_eq!(rounds(&vitals, LONGEST_DELAY).await, [Finding::Overdue(key.clone())]);
        assert!(calls.try_recv().is_err());
        vitals.look(&key).ends(None);
        assert_eq!(vitals.round(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_dropped_is_not_missed() {
        let vitals = Vitals::new(None, Arc::new(SystemClock), unbounded_channel().0);
        let key = Key::new("team-a", "hpcs");
        drop(vitals.look(&key));
        assert_eq!(rounds(&vitals, Duration::from_hours(1)).await, []);
    }
}
