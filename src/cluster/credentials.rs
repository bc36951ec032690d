//! What is watched for the sake of `ClusterIamCredentials`, and the writing of their status.

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{PartialObjectMeta, Patch, PatchParams};
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::{call, watch};
use crate::api::{FIELD_MANAGER, ListedCredential};
use crate::core::lenders::{Lenders, News};
use crate::core::observed::Facts;
use crate::core::problem::ApiProblem;
use crate::core::view::Key;
use crate::core::watchdog::Watched;
use crate::telemetry::metrics::Metrics;

/// A change, to be made to what is known; it returns the `IamTokens` that must be looked at again.
pub type Change = Box<dyn FnOnce(&mut Lenders) -> Vec<Key> + Send>;

/// The `ClusterIamCredentials`.
pub fn credentials(client: Client, metrics: Metrics) -> impl Stream<Item = Change> + Send {
    let api: Api<ListedCredential> = Api::all(client);
    watch::events(api, Watched::ClusterIamCredentials, metrics).map(|event| -> Change {
        Box::new(move |lenders| match event {
            Event::Init => lenders.relist(),
            Event::InitApply(credential) | Event::Apply(credential) => lenders.put(&credential),
            Event::Delete(credential) => lenders.remove(&credential.name_any()),
            Event::InitDone => lenders.relisted(),
        })
    })
}

/// The labels of namespaces.
pub fn namespaces(client: Client, metrics: Metrics) -> impl Stream<Item = Change> + Send {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
    watch::events(api, Watched::Namespaces, metrics).map(|event| -> Change {
        Box::new(move |lenders| match event {
            Event::Init => lenders.relist_namespaces(),
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                lenders.put_namespace(&namespace.name_any(), namespace.labels())
            }
            Event::Delete(namespace) => lenders.remove_namespace(&namespace.name_any()),
            Event::InitDone => lenders.relisted_namespaces(),
        })
    })
}

/// The metadata of the Secrets of one namespace that keys may be read in.
pub fn secrets(client: Client, namespace: String, metrics: Metrics) -> impl Stream<Item = Change> + Send {
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(client, &namespace);
    watch::events(api, Watched::Secrets, metrics).map(move |event| -> Change {
        let namespace = namespace.clone();
        let key = |secret: &PartialObjectMeta<Secret>| Key::new(namespace.as_str(), secret.name_any());
        match event {
            Event::Init => Box::new(move |lenders| lenders.relist_secrets(&namespace)),
            Event::InitApply(secret) | Event::Apply(secret) => {
                let key = key(&secret);
                Box::new(move |lenders| lenders.present(&key, || Facts::of(&secret.metadata)))
            }
            Event::Delete(secret) => {
                let key = key(&secret);
                Box::new(move |lenders| lenders.absent(&key))
            }
            Event::InitDone => Box::new(move |lenders| lenders.relisted_secrets(&namespace)),
        }
    })
}

/// One server-side apply of the whole status, to the credential in the state that it is about.
///
/// # Errors
/// `Conflict` where it has changed; otherwise where the API server refuses it or gives no answer.
pub async fn write_status(client: &Client, news: &News) -> Result<(), ApiProblem> {
    let api: Api<ListedCredential> = Api::all(client.clone());
    let patch = Patch::Apply(json!({
        "apiVersion": "iamtoken.dev/v1alpha1",
        "kind": "ClusterIamCredential",
        "metadata": {"name": news.name, "uid": news.mark.uid, "resourceVersion": news.mark.version},
        "status": news.status,
    }));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let action = || format!("write the status of ClusterIamCredential {}", news.name);
    call(action, api.patch_status(&news.name, &params, &patch)).await.map(|_| ())
}
