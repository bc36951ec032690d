//! The shell that sequences everything: watch -> observe -> decide -> act -> record -> requeue.

mod act;
mod action;
mod alarms;
mod budget;
mod context;
mod credentials;
mod health;
mod lead;
mod looks;
mod reconcile;
mod scope;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{self, BoxFuture, Shared};
use kube::Client;
use tokio::sync::mpsc::unbounded_channel;
use tracing::warn;

use self::budget::Budgets;
use self::context::{Context, Orders, Process};
use self::credentials::{Credentials, Means};
pub use self::health::Health;
use self::health::Vitals;
use self::lead::Lead;
use self::steps::Steps;
use crate::clock::Clock;
use crate::cluster::deadline::with_deadlines;
use crate::cluster::events;
use crate::cluster::lease::Leases;
use crate::cluster::server_time::ServerTime;
use crate::core::defaults::Defaults;
use crate::iam::Exchange;
use crate::iam::failover::Failover;
use crate::iam::order::Order;
use crate::iam::share::Sharing;
use crate::telemetry::metrics::{Metrics, Queue, Sources};

/// Resolves when the controller should finish what is in flight and end.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

/// How long what is in flight at the end may take: kubelet kills 30 s after it asked for the end, and the lease must be
/// given up before that.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(20);

/// So many looks may run at once beside those that work and those that write a status: they only look, or read anew. Each
/// takes some 18 KiB until it has ended.
const LOOKS: usize = 32;

/// What the admin decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespaces to watch; all where empty.
    pub namespaces: Vec<String>,
    /// Where keys may be sent, and what is so for IamTokens that don't say otherwise.
    pub defaults: Defaults,
    /// The namespaces that credentials may be lent from; none are lent where empty.
    pub credential_namespaces: Vec<String>,
    /// How many refreshes may run at once.
    pub concurrency: usize,
    /// How much is done for one namespace in a minute, beside routine refreshes; no limit where it is 0.
    pub namespace_budget: u32,
    /// The lease that replicas compete for; none where there is only one.
    pub lease: Option<LeaseSettings>,
}

/// The lease that replicas compete for.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// This replica's name in it, unlike any other's.
    pub identity: String,
}

/// What the controller stands on: replaced as a whole where it runs against simulated time, IAM and API server.
#[derive(Clone)]
pub struct World {
    /// The API server.
    pub client: Client,
    /// IAM.
    pub exchange: Arc<dyn Exchange>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// What tells how a run is.
#[derive(Clone, Default)]
pub struct Signs {
    /// What the probes say.
    pub health: Health,
    /// What is counted.
    pub metrics: Metrics,
}

/// Runs until `shutdown` resolves and what was in flight has ended.
pub async fn run(settings: Settings, world: World, shutdown: Shutdown) {
    run_with_signs(settings, world, shutdown, Signs::default()).await;
}

/// As [`run`], and the signs tell how it is.
pub async fn run_with_signs(settings: Settings, world: World, shutdown: Shutdown, signs: Signs) {
    let Signs { health, metrics } = signs;
    let server_time = ServerTime::default();
    let client = with_deadlines(&server_time.read_by(&world.client, Arc::clone(&world.clock)), &metrics);
    let lead = Lead::new(Arc::clone(&world.clock), settings.lease.as_ref().map(|lease| lease.identity.clone()));
    let orders = Orders { work: Order::new(settings.concurrency), statuses: Order::new(settings.concurrency) };
    let budget = Budgets::new(settings.namespace_budget, Arc::clone(&world.clock));
    metrics.begins(sources(&world.clock, &lead, &orders.work, &budget), &settings.defaults.endpoints);
    let exchange = Failover::new(world.exchange, Arc::clone(&world.clock), metrics.clone());
    let (events, publisher) = events::queue(client.clone(), Arc::clone(&world.clock));
    let process = Process {
        events,
        sharing: Sharing::new(Arc::new(exchange), Arc::clone(&world.clock), metrics.clone()),
        orders,
        defaults: settings.defaults.clone(),
        client: client.clone(),
        clock: world.clock,
        lead: lead.clone(),
        steps: Steps::new(),
        server_time,
        metrics,
        own_name: Arc::default(),
        credentials: Credentials::new(settings.credential_namespaces, &settings.defaults),
        budget: budget.clone(),
    };
    let clocks = process.steps.clone().watch(Arc::clone(&process.clock), process.sharing.clone());
    let scopes: Vec<Option<String>> = match settings.namespaces {
        namespaces if namespaces.is_empty() => vec![None],
        namespaces => namespaces.into_iter().map(Some).collect(),
    };
    let looks = 2 * settings.concurrency + LOOKS;
    let mut vitals = vec![];
    let mut controllers = vec![];
    for namespace in scopes {
        let (call, calls) = unbounded_channel();
        vitals.push(Vitals::new(namespace.clone(), Arc::clone(&process.clock), call.clone()));
        process.credentials.serves(namespace.clone(), call.clone());
        let context = Context::new(process.clone(), vitals[vitals.len() - 1].clone(), call);
        controllers.push(scope::run(namespace, looks, Arc::new(context), calls, shutdown.clone()));
    }
    let means = Means::new(&process);
    health.begins(vitals, means.vitals.clone(), lead.clone(), shutdown.clone());
    let clocks = future::join3(clocks, budget.watch(), process.credentials.clone().run(means));
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let end = end.map(drop).shared();
    let controllers = async {
        let late = async {
            future::select(Box::pin(shutdown), Box::pin(health.patrol())).await;
            tokio::time::sleep(PATIENCE_AT_THE_END).await;
        };
        if let future::Either::Right(_) = future::select(future::join_all(controllers), Box::pin(late)).await {
            warn!("what was in flight took longer than {} s and is given up", PATIENCE_AT_THE_END.as_secs());
        }
        let _ = ended.send(());
    };
    let campaign = async {
        if let Some(lease) = &settings.lease {
            let leases = Leases::new(&client, &lease.namespace, &lease.name);
            lead.campaign(leases, end.clone()).await;
        }
    };
    // What is in flight at the end is finished under the lease, which is given up only then.
    let all = future::join3(controllers, campaign, publisher.run(end.clone()));
    future::select(Box::pin(all), Box::pin(clocks)).await;
}

/// Where a scrape of the metrics looks, beside the lists of IamTokens.
fn sources(clock: &Arc<dyn Clock>, lead: &Lead, work: &Order, budget: &Budgets) -> Sources {
    let (clock, lead, work, budget) = (Arc::clone(clock), lead.clone(), work.clone(), budget.clone());
    let queue = move || Queue { waiting: work.waiting(), oldest: work.longest_wait().unwrap_or_default() };
    Sources {
        clock,
        leads: Box::new(move || lead.holds()),
        queue: Box::new(queue),
        over: Box::new(move || budget.over()),
    }
}
