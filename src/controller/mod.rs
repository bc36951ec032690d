//! The shell that sequences everything: watch -> observe -> decide -> act -> record -> requeue.

mod act;
mod action;
mod alarms;
mod budget;
mod context;
mod credentials;
mod health;
mod lead;
mod reconcile;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, BoxFuture, Shared};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use kube::runtime::controller::{Config, Error as ControllerError};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt as _};
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::{debug, info, warn};

use self::budget::Budgets;
use self::context::{Context, Orders, Process};
use self::credentials::{Credentials, Means};
pub use self::health::Health;
use self::health::Vitals;
use self::lead::Lead;
use self::steps::Steps;
use crate::api::{IamToken, Kept};
use crate::clock::Clock;
use crate::cluster::client::wait_for_crd;
use crate::cluster::deadline::{with_deadlines, with_signs};
use crate::cluster::events;
use crate::cluster::lease::Leases;
use crate::cluster::secrets::{self, Change};
use crate::cluster::server_time::ServerTime;
use crate::cluster::watch;
use crate::core::defaults::Defaults;
use crate::core::readiness::Secrets;
use crate::core::view::Key;
use crate::core::watchdog::Watched;
use crate::iam::Exchange;
use crate::iam::failover::Failover;
use crate::iam::order::Order;
use crate::iam::share::Sharing;
use crate::telemetry::metrics::{Metrics, Queue, Sources};

/// Resolves when the controller should finish what is in flight and end.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

/// How long the first list of Secrets may take before IamTokens are looked at without it, one by one.
const PATIENCE_FOR_SECRETS: Duration = Duration::from_secs(30);

/// How long what is in flight at the end may take: kubelet kills 30 s after it asked for the end, and the lease must be
/// given up before that.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(20);

/// So many looks may run at once beside those that work and those that write a status: they only look, or read anew.
/// kube has all that are due begin before it polls the first, and each takes some 18 KiB until it has ended.
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
    let looks = u16::try_from(2 * settings.concurrency + LOOKS).unwrap_or(u16::MAX);
    let mut vitals = vec![];
    let mut controllers = vec![];
    for namespace in scopes {
        let (call, calls) = unbounded_channel();
        vitals.push(Vitals::new(namespace.clone(), Arc::clone(&process.clock), call.clone()));
        process.credentials.serves(namespace.clone(), call.clone());
        let context = Context::new(process.clone(), vitals[vitals.len() - 1].clone(), call);
        controllers.push(run_scope(namespace, looks, Arc::new(context), calls, shutdown.clone()));
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

/// One controller for one namespace, or for all, with so many looks at once.
async fn run_scope(
    namespace: Option<String>,
    looks: u16,
    context: Arc<Context>,
    calls: UnboundedReceiver<Key>,
    shutdown: Shutdown,
) {
    let tokens: Api<Kept> = api(&heard(&context, Watched::IamTokens), namespace.as_deref());
    let plain: Api<IamToken> = api(&context.client, namespace.as_deref());
    let served = wait_for_crd(&plain, |why| context.vitals.note(|progress| progress.crd = Err(why.to_owned())));
    if let future::Either::Right(_) = future::select(Box::pin(served), shutdown.clone()).await {
        return;
    }
    context.vitals.note(|progress| progress.crd = Ok(()));
    let (reader, writer) = reflector::store();
    let (listed, progress) = (reader.clone(), context.vitals.clone());
    context.metrics.lists(move || progress.progress().tokens.then(|| listed.state()));
    let (observer, metrics) = (Arc::clone(&context), context.metrics.clone());
    let events = watch::events(tokens, Watched::IamTokens, metrics)
        .map(Ok)
        .modify(strip)
        .inspect(move |event| {
            if let Ok(event) = event {
                observe(&observer, event);
            }
        })
        .reflect(writer);
    let (changed, listed) = touched(events, &context);
    let (synced, secrets) = secret_changes(namespace.as_deref(), &context);
    info!(namespace = namespace.as_deref().unwrap_or("all"), "watching IamTokens");
    let looks = Controller::for_stream(changed, reader)
        .with_config(Config::default().concurrency(looks))
        .reconcile_on(secrets)
        .reconcile_on(received(calls).map(|key| object(&key)))
        .reconcile_all_on(listed)
        .reconcile_all_on(synced)
        .reconcile_all_on(context.lead.beginnings())
        .reconcile_all_on(context.steps.noticed())
        .graceful_shutdown_on(shutdown)
        .run(reconcile::reconcile, |_, never, _| match *never {}, Arc::clone(&context))
        .for_each(|result| {
            if let Err(ControllerError::ObjectNotFound(object)) = result {
                let namespace = object.namespace.unwrap_or_default();
                context.forget(&Key::new(namespace, object.name));
            }
            future::ready(())
        });
    future::select(Box::pin(looks), Box::pin(context.ring())).await;
}

/// Keeps the index in step with the IamTokens, before they are reconciled.
fn observe(context: &Context, event: &Event<Kept>) {
    let wake = match event {
        Event::Init => context.with_view(|view| {
            view.relist();
            vec![]
        }),
        Event::InitApply(token) | Event::Apply(token) => {
            let (key, token) = (key(token), token.open());
            let credential = token.spec.as_ref().and_then(|spec| spec.credential_ref.as_ref());
            let credential = credential.map(|reference| reference.name.as_str());
            context.credentials.with(|lenders| lenders.used_by(&key, credential));
            context.with_view(|view| view.put(&key, reconcile::claim(&token)))
        }
        Event::Delete(token) => {
            let key = key(token);
            debug!(iamtoken = %key, "deleted");
            context.forget(&key);
            context.with_view(|view| view.remove(&key))
        }
        Event::InitDone => {
            context.tokens_listed.notify_one();
            context.vitals.note(|progress| progress.tokens = true);
            context.with_view(crate::core::view::View::relisted)
        }
    };
    context.wake(wake);
}

/// The IamTokens that changed, one by one; and a stream that yields when a list is complete, once it is of use. Not before:
/// until then kube's store holds nothing of what the list brings, and a look finds a new one missing and an old one as
/// it was.
fn touched(
    events: impl Stream<Item = Result<Event<Kept>, watcher::Error>> + Send + 'static,
    context: &Arc<Context>,
) -> (impl Stream<Item = Result<Kept, watcher::Error>> + Send + 'static, impl Stream<Item = ()> + Send + 'static) {
    let (complete, lists) = unbounded_channel();
    let changed = events.filter_map(move |event| {
        future::ready(match event {
            Ok(Event::Apply(token) | Event::Delete(token)) => Some(Ok(token)),
            Ok(Event::InitDone) => {
                let _ = complete.send(());
                None
            }
            Ok(Event::Init | Event::InitApply(_)) => None,
            Err(error) => Some(Err(error)),
        })
    });
    let context = Arc::clone(context);
    (changed, received(lists).filter(move |()| future::ready(context.is_synced())))
}

/// The watch on Secrets begins once all IamTokens are known, so that none that they name is passed over. Returns a
/// stream that yields once all Secrets are known, and one of the IamTokens to look at again.
fn secret_changes(
    namespace: Option<&str>,
    context: &Arc<Context>,
) -> (impl Stream<Item = ()> + Send + 'static, impl Stream<Item = ObjectRef<Kept>> + Send + 'static) {
    let api = api(&heard(context, Watched::Secrets), namespace);
    let (first, synced) = tokio::sync::oneshot::channel();
    let mut first = Some(first);
    let [begin, viewer, lister, reader, late] = std::array::from_fn(|_| Arc::clone(context));
    let changes = secrets::watch(api, context.metrics.clone(), move |apply| viewer.with_view(|view| apply(view)));
    let changes = stream::once(async move { begin.tokens_listed.notified().await })
        .flat_map(|()| stream::empty::<Change>())
        .chain(changes)
        .map(move |change| match change {
            Change::Wake(keys) => keys,
            Change::Listed(keys) => {
                if let Some(first) = first.take() {
                    let _ = first.send(());
                }
                lister.vitals.note(|progress| progress.secrets = Secrets::Listed);
                keys
            }
        })
        .flat_map(stream::iter)
        .filter(move |_| future::ready(reader.is_synced()))
        .map(|key| object(&key));
    let synced = stream::once(async move {
        let in_time = tokio::time::timeout(PATIENCE_FOR_SECRETS, synced).await.is_ok();
        if !in_time {
            warn!("the list of Secrets takes long: is the operator allowed to list and watch them?");
            late.vitals.note(|progress| progress.secrets = Secrets::Late);
        }
        late.set_synced();
    });
    (synced, changes)
}

/// The client of a watch: each of its requests and each piece of an answer is a sign that the watch is alive.
fn heard(context: &Context, watched: Watched) -> Client {
    let vitals = context.vitals.clone();
    with_signs(&context.client, move || vitals.heard(watched))
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// What the store need not keep.
fn strip(token: &mut Kept) {
    token.managed_fields_mut().clear();
    token.annotations_mut().retain(|name, _| name == crate::api::REFRESH_REQUESTED);
}

fn received<T: Send>(channel: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(channel, async |mut channel| Some((channel.recv().await?, channel)))
}

fn key(token: &Kept) -> Key {
    Key::new(token.namespace().unwrap_or_default(), token.name_any())
}

fn object(key: &Key) -> ObjectRef<Kept> {
    ObjectRef::new(&key.name).within(&key.namespace)
}
