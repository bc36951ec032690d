//! One controller, for one namespace or for all: what its watches bring goes into the view, and calls for looks.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, future};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::Shutdown;
use super::context::Context;
use super::looks;
use super::reconcile::reconcile;
use crate::api::{Delivered, IamToken};
use crate::cluster::client::wait_for_crd;
use crate::cluster::deadline::with_signs;
use crate::cluster::secrets::{self, Change};
use crate::cluster::watch;
use crate::core::kept::Kept;
use crate::core::readiness::Secrets;
use crate::core::view::{Key, View};
use crate::core::watchdog::Watched;

/// How long the first list of Secrets may take before IamTokens are looked at without it, one by one.
const PATIENCE_FOR_SECRETS: Duration = Duration::from_secs(30);

/// Runs until `shutdown` resolves and the looks that had begun have ended, of which there are so many at once.
pub(super) async fn run(
    namespace: Option<String>,
    at_once: usize,
    context: Arc<Context>,
    calls: UnboundedReceiver<Key>,
    shutdown: Shutdown,
) {
    let namespace = namespace.as_deref();
    let plain: Api<IamToken> = api(&context.client, namespace);
    let served = wait_for_crd(&plain, |why| context.vitals.note(|progress| progress.crd = Err(why.to_owned())));
    if let future::Either::Right(_) = future::select(Box::pin(served), shutdown.clone()).await {
        return;
    }
    context.vitals.note(|progress| progress.crd = Ok(()));
    let listed = Arc::clone(&context);
    context.metrics.lists(move || {
        let all = || listed.with_view(|view| view.tokens().map(Arc::clone).collect());
        listed.vitals.progress().tokens.then(all)
    });
    info!(namespace = namespace.unwrap_or("all"), "watching IamTokens");
    let feeds = async {
        let watches = future::join(follow_tokens(namespace, &context), follow_secrets(namespace, &context));
        let (begun, set_back) = (context.lead.beginnings(), context.steps.noticed());
        let all = future::join(look_at_all(&context, begun), look_at_all(&context, set_back));
        future::join4(watches, begin(&context), all, context.ring()).await;
    };
    let looks = looks::run(|key| reconcile(key, &context), at_once, calls, shutdown);
    future::select(Box::pin(looks), Box::pin(feeds)).await;
}

/// Keeps the view in step with the IamTokens.
async fn follow_tokens(namespace: Option<&str>, context: &Context) {
    let tokens: Api<Delivered> = api(&heard(context, Watched::IamTokens), namespace);
    let mut events = pin!(watch::events(tokens, Watched::IamTokens, context.metrics.clone()));
    while let Some(event) = events.next().await {
        observe(context, event);
    }
}

fn observe(context: &Context, event: Event<Delivered>) {
    match event {
        Event::Init => context.with_view(View::relist),
        Event::InitApply(token) => context.wake(put(context, token.into())),
        Event::Apply(token) => {
            let token = Kept::from(token);
            let key = token.key.clone();
            context.wake([vec![key], put(context, token)].concat());
        }
        Event::Delete(token) => {
            let key = Kept::from(token).key;
            debug!(iamtoken = %key, "deleted");
            context.forget(&key);
            context.wake([vec![key.clone()], context.with_view(|view| view.remove(&key))].concat());
        }
        Event::InitDone => {
            context.wake(context.with_view(View::relisted));
            context.tokens_listed.notify_one();
            context.vitals.note(|progress| progress.tokens = true);
            if context.is_synced() {
                context.wake_all();
            }
        }
    }
}

fn put(context: &Context, token: Kept) -> Vec<Key> {
    context.credentials.with(|lenders| lenders.used_by(&token.key, token.lender.as_deref()));
    context.with_view(|view| view.put(token))
}

/// Keeps the view in step with the Secrets. The watch begins once all IamTokens are known, so that none that they name
/// is passed over.
async fn follow_secrets(namespace: Option<&str>, context: &Arc<Context>) {
    context.tokens_listed.notified().await;
    let (api, viewer) = (api(&heard(context, Watched::Secrets), namespace), Arc::clone(context));
    let changes = secrets::watch(api, context.metrics.clone(), move |apply| viewer.with_view(|view| apply(view)));
    let mut changes = pin!(changes);
    while let Some(change) = changes.next().await {
        let keys = match change {
            Change::Wake(keys) => keys,
            Change::Listed(keys) => {
                context.vitals.note(|progress| progress.secrets = Secrets::Listed);
                context.secrets_listed.notify_one();
                keys
            }
        };
        if context.is_synced() {
            context.wake(keys);
        }
    }
}

/// The first looks at all, once all Secrets are known or their list takes long.
async fn begin(context: &Context) {
    if timeout(PATIENCE_FOR_SECRETS, context.secrets_listed.notified()).await.is_err() {
        warn!("the list of Secrets takes long: is the operator allowed to list and watch them?");
        context.vitals.note(|progress| progress.secrets = Secrets::Late);
    }
    context.set_synced();
    context.wake_all();
}

/// Has all looked at whenever the stream yields.
async fn look_at_all(context: &Context, when: impl Stream<Item = ()>) {
    let mut when = pin!(when);
    while let Some(()) = when.next().await {
        context.wake_all();
    }
}

/// The client of a watch: each of its requests and each piece of an answer is a sign that the watch is alive.
fn heard(context: &Context, watched: Watched) -> Client {
    let vitals = context.vitals.clone();
    with_signs(&context.client, move || vitals.heard(watched))
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
