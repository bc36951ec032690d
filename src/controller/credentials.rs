//! Keeps what is known of the `ClusterIamCredentials`, and says in their status how they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, future};
use kube::Client;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tracing::warn;

use super::context::Process;
use super::health::Vitals;
use super::lead::Lead;
use crate::clock::Clock;
use crate::cluster::credentials::{self as edge, Change};
use crate::cluster::deadline::with_signs;
use crate::cluster::target::Targets;
use crate::core::asker::Lender;
use crate::core::defaults::Defaults;
use crate::core::key_health::Known;
use crate::core::lenders::Lenders;
use crate::core::problem::{ApiKind, Problem};
use crate::core::view::Key;
use crate::core::watchdog::Watched;
use crate::telemetry::metrics::Metrics;

/// How long the first lists may take before `IamTokens` are told that they do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Changes that come together are said in one status.
const GATHERING: Duration = Duration::from_millis(250);

/// A status that could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(15);

/// What all controllers of the process know of the `ClusterIamCredentials`.
#[derive(Clone)]
pub(super) struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    namespaces: Vec<String>,
    lenders: Mutex<Lenders>,
    /// How to have an `IamToken` looked at: for each controller, the namespace that it watches, or all.
    calls: Mutex<Vec<(Option<String>, UnboundedSender<Key>)>>,
    news: Notify,
    late: AtomicBool,
}

/// What the watches and the statuses need.
pub(super) struct Means {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lead: Lead,
    pub(super) metrics: Metrics,
    /// Of the watches on what is no namespace's, then those on each namespace that credentials may be lent from.
    pub(super) vitals: Vec<Vitals>,
}

// === impl Means ===

impl Means {
    pub(super) fn new(process: &Process) -> Self {
        let clock = Arc::clone(&process.clock);
        let namespaces = process.credentials.inner.namespaces.iter().cloned().map(Some);
        // Nothing is ever called for there: they have no looks, only watches.
        let vitals = |namespace| Vitals::new(namespace, Arc::clone(&clock), unbounded_channel().0);
        let vitals = [None].into_iter().chain(namespaces).map(vitals).collect();
        let (client, lead, metrics) = (process.client.clone(), process.lead.clone(), process.metrics.clone());
        Self { client, clock, lead, metrics, vitals }
    }
}

// === impl Credentials ===

impl Credentials {
    /// Credentials are lent from these namespaces; where there are none, nothing is lent or watched.
    pub(super) fn new(namespaces: Vec<String>, defaults: &Defaults) -> Self {
        let lenders = Mutex::new(Lenders::new(namespaces.iter().cloned(), defaults));
        let (calls, news, late) = Default::default();
        Self { inner: Arc::new(Inner { namespaces, lenders, calls, news, late }) }
    }

    /// The controller of this namespace, or of all, has its IamTokens looked at so.
    pub(super) fn serves(&self, namespace: Option<String>, call: UnboundedSender<Key>) {
        lock(&self.inner.calls).push((namespace, call));
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Lenders) -> T) -> T {
        look(&mut lock(&self.inner.lenders))
    }

    /// Whether the first lists take long.
    pub(super) fn is_late(&self) -> bool {
        self.inner.late.load(Ordering::Relaxed)
    }

    /// A try to use the credential has ended.
    pub(super) fn report(&self, lender: &Lender, trouble: Option<&Problem>) {
        if !self.with(|lenders| lenders.report(&lender.name, lender.generation, trouble.cloned())) {
            return;
        }
        if let Some(problem) = trouble {
            let (reason, transaction_id) = (problem.reason(), problem.transaction_id());
            warn!(clusteriamcredential = lender.name, %reason, transaction_id, "{}", problem.message());
        }
        self.inner.news.notify_one();
    }

    /// What is known of the API key that is lent.
    pub(super) fn told_of_key(&self, lender: &Lender, known: Known) {
        if self.with(|lenders| lenders.told_of_key(&lender.name, lender.generation, known)) {
            self.inner.news.notify_one();
        }
    }

    /// Watches and says what is known, for ever.
    pub(super) async fn run(self, means: Means) {
        if self.inner.namespaces.is_empty() {
            return future::pending().await;
        }
        let mut changes = stream::select_all(self.watches(&means));
        let watches = async {
            while let Some(change) = changes.next().await {
                self.make(change);
            }
        };
        let late = async {
            tokio::time::sleep(PATIENCE).await;
            if !self.with(|lenders| lenders.is_listed()) {
                self.inner.late.store(true, Ordering::Relaxed);
                self.wake(self.with(|lenders| lenders.all_users()));
            }
        };
        future::join3(watches, late, self.say(&means)).await;
    }

    fn watches(&self, means: &Means) -> Vec<BoxStream<'static, Change>> {
        let heard = |vitals: &Vitals, watched| {
            let vitals = vitals.clone();
            with_signs(&means.client, move || vitals.heard(watched))
        };
        let metrics = || means.metrics.clone();
        let of_cluster = &means.vitals[0];
        let secrets = self.inner.namespaces.iter().zip(&means.vitals[1..]);
        let secrets = secrets.map(|(namespace, vitals)| {
            edge::secrets(heard(vitals, Watched::Secrets), namespace.clone(), metrics()).boxed()
        });
        let credentials = edge::credentials(heard(of_cluster, Watched::ClusterIamCredentials), metrics()).boxed();
        let namespaces = edge::namespaces(heard(of_cluster, Watched::Namespaces), metrics()).boxed();
        secrets.chain([credentials, namespaces]).collect()
    }

    fn make(&self, change: Change) {
        self.wake(self.with(change));
        self.inner.news.notify_one();
    }

    fn wake(&self, keys: Vec<Key>) {
        let calls = lock(&self.inner.calls);
        for key in keys {
            let watched = |namespace: &Option<String>| namespace.as_ref().is_none_or(|it| *it == key.namespace);
            for (_, call) in calls.iter().filter(|(namespace, _)| watched(namespace)) {
                let _ = call.send(key.clone());
            }
        }
    }

    /// Says in each status what is known, where that is news.
    async fn say(&self, means: &Means) {
        loop {
            let _ = tokio::time::timeout(AGAIN, self.inner.news.notified()).await;
            tokio::time::sleep(GATHERING).await;
            if !means.lead.holds() {
                continue;
            }
            for secret in self.with(|lenders| lenders.unknown()) {
                self.look(&secret, &means.client).await;
            }
            for news in self.with(|lenders| lenders.news(means.clock.now())) {
                let Err(problem) = edge::write_status(&means.client, &news).await else { continue };
                self.with(|lenders| lenders.unsaid(&news));
                if problem.kind != ApiKind::Conflict && problem.code != Some(404) {
                    let problem = Problem::Api(problem);
                    warn!(clusteriamcredential = news.name, reason = %problem.reason(), "{}", problem.message());
                }
            }
        }
    }

    /// Looks at a Secret that no watch has delivered since somebody named it.
    async fn look(&self, secret: &Key, client: &Client) {
        match Targets::new(client, &secret.namespace).look(&secret.name).await {
            Ok(seen) => self.wake(self.with(|lenders| lenders.looked(secret, seen))),
            Err(problem) => {
                let problem = Problem::Api(problem);
                warn!(%secret, reason = %problem.reason(), "{}", problem.message());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
