//! The watch on Secrets that IamTokens may name: metadata only and without a store. What it delivers goes into the [`View`], which keeps
//! nothing of Secrets that no IamToken names.

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt as _};

use super::watch;
use crate::core::observed::Facts;
use crate::core::view::{Key, View};
use crate::core::watchdog::Watched;
use crate::telemetry::metrics::Metrics;

/// What a watch event came to.
#[derive(Debug)]
pub enum Change {
    /// These IamTokens must be looked at again.
    Wake(Vec<Key>),
    /// The list is complete: all that exists is known.
    Listed(Vec<Key>),
}

/// [`watch::events`]; `note` lends the view.
pub fn watch(
    secrets: Api<PartialObjectMeta<Secret>>,
    metrics: Metrics,
    note: impl Fn(&mut dyn FnMut(&mut View)) + Send + 'static,
) -> impl Stream<Item = Change> + Send {
    watch::events(secrets, Watched::Secrets, metrics).map(move |event| {
        let mut change = Change::Wake(vec![]);
        note(&mut |view| change = apply(view, &event));
        change
    })
}

fn apply(view: &mut View, event: &Event<PartialObjectMeta<Secret>>) -> Change {
    match event {
        Event::Init => {
            view.relist_secrets();
            Change::Wake(vec![])
        }
        Event::InitApply(secret) | Event::Apply(secret) => {
            Change::Wake(view.present(&key(secret), || Facts::of(&secret.metadata)))
        }
        Event::Delete(secret) => Change::Wake(view.absent(&key(secret), secret.metadata.resource_version.as_deref())),
        Event::InitDone => Change::Listed(view.relisted_secrets()),
    }
}

fn key(secret: &PartialObjectMeta<Secret>) -> Key {
    Key::new(secret.namespace().unwrap_or_default(), secret.name_any())
}
