//! What all reconciles of one controller share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, OnceCell};

use super::alarms::Alarms;
use super::budget::Budgets;
use super::credentials::Credentials;
use super::health::Vitals;
use super::lead::Lead;
use super::steps::Steps;
use crate::clock::Clock;
use crate::cluster::events::Events;
use crate::cluster::server_time::ServerTime;
use crate::cluster::service_account;
use crate::core::budget::Dues;
use crate::core::defaults::Defaults;
use crate::core::failure::Failure;
use crate::core::lease::Moment;
use crate::core::memory::Memory;
use crate::core::observed::Seen;
use crate::core::plan::Plan;
use crate::core::problem::ApiProblem;
use crate::core::record::Mark;
use crate::core::short::Short;
use crate::core::view::{Key, View};
use crate::iam::AskId;
use crate::iam::order::{Lane, Order, Permit};
use crate::iam::share::Sharing;
use crate::telemetry::metrics::Metrics;

/// The handles and the small state that reconciles share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) defaults: Defaults,
    pub(super) sharing: Sharing,
    pub(super) events: Events,
    pub(super) lead: Lead,
    pub(super) vitals: Vitals,
    pub(super) steps: Steps,
    pub(super) server_time: ServerTime,
    pub(super) metrics: Metrics,
    /// Notified once all IamTokens that exist are known.
    pub(super) tokens_listed: Notify,
    /// Notified once all Secrets that exist are known.
    pub(super) secrets_listed: Notify,
    /// What is lent by `ClusterIamCredentials`.
    pub(super) credentials: Credentials,
    /// What each namespace has used of its budget.
    pub(super) budget: Budgets,
    /// When each `IamToken` is looked at again.
    pub(super) alarms: Alarms,
    own_name: Arc<OnceCell<String>>,
    clock: Arc<dyn Clock>,
    orders: Orders,
    call: UnboundedSender<Key>,
    view: Mutex<View>,
    remembered: Mutex<HashMap<Key, Box<Remembered>>>,
    synced: AtomicBool,
}

/// What all controllers of the process share.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) defaults: Defaults,
    pub(super) sharing: Sharing,
    pub(super) orders: Orders,
    pub(super) events: Events,
    pub(super) lead: Lead,
    pub(super) steps: Steps,
    pub(super) server_time: ServerTime,
    pub(super) metrics: Metrics,
    /// The user name of the operator itself, once somebody had to know.
    pub(super) own_name: Arc<OnceCell<String>>,
    pub(super) credentials: Credentials,
    pub(super) budget: Budgets,
}

/// Who may do anything, and who may only write a status: two lines, so that a slow IAM holds up no status.
#[derive(Clone)]
pub(super) struct Orders {
    pub(super) work: Order,
    pub(super) statuses: Order,
}

/// The places that one reconcile holds.
#[derive(Default)]
pub(super) struct Places {
    /// That of its work, which an exchange keeps until it has ended.
    pub(super) work: Option<Arc<Permit>>,
    status: Option<Permit>,
}

/// How one `IamToken` stands in line.
pub(super) struct InLine {
    /// How long it has waited.
    pub(super) waited: Duration,
    /// Why the endpoint that it is to ask is asked by one at a time, if it is.
    pub(super) trouble: Option<Failure>,
}

/// What is remembered of one `IamToken`. Losing it costs at most a read or a try.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// The `IamToken` that it is about: a successor of its name starts anew.
    pub(super) uid: Short,
    /// What decisions rest on.
    pub(super) memory: Memory,
    /// Which ask the source Secret in this state, and the spec with this digest, came to.
    pub(super) ask: Option<(Mark, Short, AskId)>,
    /// How it stands to the budget of its namespace.
    pub(super) dues: Dues,
    /// When its status was written last.
    pub(super) told: Option<Instant>,
    /// The `IamToken`'s resourceVersion after our own last write: an older copy is not acted upon.
    pub(super) written: u64,
    /// The resourceVersion of a copy that is known to be outdated, and was seen to be so before.
    pub(super) outdated: Option<u64>,
    /// [`Steps::set_back`] when it was last brought in step with the clock.
    set_back: Duration,
}

// === impl Remembered ===

impl Remembered {
    /// Which ask it is, if the source Secret is as it was when that was last known.
    pub(super) fn ask_id(&self, plan: &Plan, source: &Seen) -> Option<AskId> {
        let (mark, ask, id) = self.ask.as_ref()?;
        let unchanged = source.facts().is_none_or(|facts| facts.mark == *mark);
        (unchanged && *ask == plan.ask).then_some(*id)
    }
}

// === impl Context ===

impl Context {
    pub(super) fn new(process: Process, vitals: Vitals, call: UnboundedSender<Key>) -> Self {
        let Process { client, clock, defaults, sharing, orders, events, lead, steps, server_time, metrics, .. } =
            process;
        let (tokens_listed, secrets_listed, alarms, view, remembered, synced) = Default::default();
        Self {
            client,
            defaults,
            sharing,
            events,
            lead,
            vitals,
            steps,
            server_time,
            metrics,
            tokens_listed,
            secrets_listed,
            credentials: process.credentials,
            budget: process.budget,
            alarms,
            own_name: process.own_name,
            clock,
            orders,
            call,
            view,
            remembered,
            synced,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// Whether it is the ServiceAccount that the operator runs as.
    pub(super) async fn is_own(&self, who: &Key) -> Result<bool, ApiProblem> {
        let name = self.own_name.get_or_try_init(|| service_account::own_name(&self.client)).await?;
        Ok(*name == format!("system:serviceaccount:{}:{}", who.namespace, who.name))
    }

    /// Whether all Secrets that exist are known.
    pub(super) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }

    pub(super) fn set_synced(&self) {
        self.synced.store(true, Ordering::Relaxed);
    }

    pub(super) fn with_view<T>(&self, look: impl FnOnce(&mut View) -> T) -> T {
        look(&mut lock(&self.view))
    }

    /// What is remembered of the `IamToken` with this uid.
    pub(super) fn recall(&self, key: &Key, uid: &Short) -> Remembered {
        let set_back = self.steps.set_back();
        let remembered = lock(&self.remembered).get(key).filter(|it| it.uid == *uid).map(|it| Remembered::clone(it));
        let Some(mut remembered) = remembered else {
            return Remembered { uid: uid.clone(), set_back, ..Remembered::default() };
        };
        if let Some(by) = set_back.checked_sub(remembered.set_back).filter(|by| !by.is_zero()) {
            remembered.memory.set_back(by);
            remembered.set_back = set_back;
        }
        remembered
    }

    pub(super) fn remember(&self, key: &Key, remembered: Remembered) {
        lock(&self.remembered).insert(key.clone(), Box::new(remembered));
    }

    /// The `IamToken` is gone.
    pub(super) fn forget(&self, key: &Key) {
        let remembered = lock(&self.remembered).remove(key);
        if let Some((_, _, id)) = remembered.and_then(|remembered| remembered.ask) {
            self.sharing.unfollow(id, key);
        }
        self.orders.work.forget(key);
        self.orders.statuses.forget(key);
        self.vitals.forget(key);
        self.alarms.set(key, None);
        self.credentials.with(|lenders| lenders.used_by(key, None));
    }

    /// The places that the `IamToken` was called to, if it was.
    pub(super) fn called(&self, key: &Key) -> Places {
        let work = self.orders.work.called(key).map(Arc::new);
        Places { work, status: self.orders.statuses.called(key) }
    }

    /// Whether there is a place for work in this lane; if not, there is one in line by `deadline`.
    pub(super) fn admits_work(&self, key: &Key, lane: Lane, deadline: Timestamp, places: &mut Places) -> bool {
        places.work.take_if(|permit| !permit.is_in(&lane));
        if places.work.is_none() {
            places.work = self.orders.work.admit(key, lane, deadline, &self.call).map(Arc::new);
        }
        places.work.is_some()
    }

    /// How the `IamToken` stands in line for work.
    pub(super) fn in_line(&self, key: &Key, lane: &Lane) -> InLine {
        let trouble = self.orders.work.trouble(lane);
        InLine { waited: self.orders.work.waited(key).unwrap_or_default(), trouble }
    }

    /// Whether there is a place among those who write a status; if not, there is one in line. IAM holds nobody up there.
    pub(super) fn admits_status(&self, key: &Key, places: &mut Places) -> bool {
        if places.work.is_none() && places.status.is_none() {
            places.status = self.orders.statuses.admit(key, Lane::new(), self.now(), &self.call);
        }
        places.work.is_some() || places.status.is_some()
    }

    /// From now on the `IamToken` is looked at whenever a token for this ask has come, and no longer for the one before.
    pub(super) fn follow(&self, key: &Key, id: AskId, before: &Remembered) {
        match before.ask {
            Some((_, _, old)) if old == id => {}
            Some((_, _, old)) => self.sharing.unfollow(old, key),
            None => {}
        }
        self.sharing.follow(id, key, &self.call);
    }

    /// Has IamTokens looked at when their time has come, for ever.
    pub(super) async fn ring(&self) {
        self.alarms.ring(&self.call).await;
    }

    /// Has all IamTokens looked at again.
    pub(super) fn wake_all(&self) {
        self.wake(self.with_view(|view| view.tokens().map(|token| token.key.clone()).collect()));
    }

    /// Has these IamTokens looked at again.
    pub(super) fn wake(&self, keys: Vec<Key>) {
        for key in keys {
            let _ = self.call.send(key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
