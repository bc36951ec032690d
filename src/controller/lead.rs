//! Leading: one of several replicas acts, the others watch and wait.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::cluster::lease::{Failed, Leases, facts};
use crate::core::lease::{Candidate, LOOK_EVERY, RENEW_EVERY};

/// Whether this replica may act.
#[derive(Clone)]
pub(super) struct Lead {
    clock: Arc<dyn Clock>,
    /// `None` where it is the only one.
    candidate: Option<Arc<Mutex<Candidate>>>,
    changes: Arc<watch::Sender<bool>>,
    /// When it last began.
    began: Arc<Mutex<Timestamp>>,
}

// === impl Lead ===

impl Lead {
    /// `name` is this replica's in the lease; without one it is the only replica.
    pub(super) fn new(clock: Arc<dyn Clock>, name: Option<String>) -> Self {
        let changes = watch::Sender::new(name.is_none());
        let candidate = name.map(|name| Arc::new(Mutex::new(Candidate::new(name))));
        let began = Arc::new(Mutex::new(clock.now()));
        Self { clock, candidate, changes: Arc::new(changes), began }
    }

    /// Whether it may act now.
    pub(super) fn holds(&self) -> bool {
        self.candidate.as_ref().is_none_or(|it| lock(it).leads_for(self.clock.moment()).is_some())
    }

    /// When it began to act.
    pub(super) fn began(&self) -> Timestamp {
        *lock(&self.began)
    }

    /// Yields whenever it begins to lead.
    pub(super) fn beginnings(&self) -> impl Stream<Item = ()> + Send + use<> {
        let changes = self.changes.subscribe();
        stream::unfold(changes, async |mut changes| {
            loop {
                changes.changed().await.ok()?;
                if *changes.borrow_and_update() {
                    return Some(((), changes));
                }
            }
        })
    }

    /// Competes for the lease until `stop` resolves, then gives it up.
    pub(super) async fn campaign(self, leases: Leases, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let Some(candidate) = self.candidate.clone() else { return };
        let mut known = None;
        loop {
            known = self.round(&candidate, &leases, known).await;
            let pause = if self.holds() { RENEW_EVERY } else { LOOK_EVERY };
            if tokio::time::timeout(pause, &mut stop).await.is_ok() {
                break;
            }
        }
        if self.holds() {
            lock(&candidate).lost();
            self.tell();
            let _ = leases.write(known.as_ref(), None, self.clock.now()).await;
            info!("the lease is given up");
        }
    }

    /// One look and, where it may, one write. Returns the lease as it is now known.
    async fn round(&self, candidate: &Mutex<Candidate>, leases: &Leases, known: Option<Lease>) -> Option<Lease> {
        let known = match known.filter(|_| self.holds()) {
            Some(lease) => Some(lease),
            None => match leases.get().await {
                Ok(lease) => {
                    lock(candidate).saw(lease.as_ref().map(facts), self.clock.moment());
                    lease
                }
                Err(failed) => return self.failed(failed),
            },
        };
        let begun = self.clock.moment();
        let name = lock(candidate).name().to_owned();
        if !self.holds() && !lock(candidate).may_take(begun) {
            self.tell();
            return known;
        }
        match leases.write(known.as_ref(), Some(&name), begun.wall).await {
            Ok(lease) => {
                self.tell(); // Where the lead lapsed meanwhile, it begins anew.
                lock(candidate).renewed(facts(&lease).version, begun);
                self.tell();
                Some(lease)
            }
            Err(failed) => {
                // Somebody else wrote it, or an earlier write of our own that was not answered took effect: look again.
                if matches!(failed, Failed::Conflict | Failed::Refused(404)) {
                    lock(candidate).lost();
                }
                self.failed(failed)
            }
        }
    }

    fn failed(&self, failed: Failed) -> Option<Lease> {
        if let Failed::Refused(code) = failed {
            warn!(
                "the API server refuses the lease (HTTP {code}): grant the operator get, create and update of leases"
            );
        }
        self.tell();
        None
    }

    /// Tells those who wait, if it has begun or ended.
    fn tell(&self) {
        let leads = self.holds();
        if leads && !*self.changes.borrow() {
            *lock(&self.began) = self.clock.now();
        }
        let changed = self.changes.send_if_modified(|before| std::mem::replace(before, leads) != leads);
        match (changed, leads) {
            (true, true) => info!("leading"),
            (true, false) => warn!("no longer leading: another replica may act now"),
            (false, _) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
