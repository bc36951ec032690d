//! The API server as whoever calls a command may ask it.

mod refusal;

use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Config};
use serde_json::Value;

use self::refusal::Asked;
pub(super) use self::refusal::Refusal;
use super::Error;
use crate::api::IamToken;
use crate::cluster::DEADLINE;
use crate::cluster::client::{client, directly};

/// Who writes, as managed fields say. Not `kubectl…`: Flux takes what such a manager wrote for a mistake and undoes it
/// (fluxcd.io, "Kustomization", on the fields that kubectl manages).
pub(super) const MANAGER: &str = "iamtoken-cli";

/// Where the cluster is, named as `kubectl` does.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Site {
    /// The namespace; that of the kubeconfig's context by default
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// The context of the kubeconfig; its current one by default
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,

    /// The kubeconfig; KUBECONFIG or ~/.kube/config by default
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A way to the API server.
pub(super) struct Cluster {
    client: Client,
    /// The one that is meant where none is named.
    pub namespace: String,
}

// === impl Site ===

impl Site {
    pub(super) async fn connect(&self) -> Result<Cluster, Error> {
        let config = self.config().await?;
        let agent = concat!("iam-token-operator/", env!("CARGO_PKG_VERSION"), " cli");
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = client(config, agent).map_err(|error| format!("the kubeconfig can't be used: {error}"))?;
        Ok(Cluster { client, namespace })
    }

    async fn config(&self) -> Result<Config, Error> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        if let Some(file) = &self.kubeconfig {
            let named = |error| format!("--kubeconfig {}: {}", file.display(), causes(&error));
            let from = Kubeconfig::read_from(file).map_err(named)?;
            let used = Config::from_custom_kubeconfig(from.clone(), &options).await.map_err(named)?;
            return Ok(directly(used, Some(&from), self.context.as_deref())?);
        }
        let config = if self.context.is_some() {
            Config::from_kubeconfig(&options).await.map_err(|error| causes(&error))
        } else {
            Config::infer().await.map_err(|error| causes(&error))
        };
        let config = config.map_err(|error| {
            format!("there is no kubeconfig that can be used ({error}). Name one with --kubeconfig or KUBECONFIG.")
        })?;
        Ok(directly(config, Kubeconfig::read().ok().as_ref(), self.context.as_deref())?)
    }
}

// === impl Cluster ===

impl Cluster {
    /// The IamTokens of the namespace, or of all of them.
    pub(super) async fn list(&self, all: bool, selector: Option<&str>) -> Result<Vec<DynamicObject>, Refusal> {
        let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
        let (client, resource) = (self.client.clone(), resource());
        let api = if all { Api::all_with(client, &resource) } else { self.tokens() };
        let namespace = (!all).then_some(self.namespace.as_str());
        Ok(ask(&Asked { verb: "list", what: "IamTokens", name: None, namespace }, api.list(&params)).await?.items)
    }

    /// One IamToken. Where there is none, the error names those that there are.
    pub(super) async fn get(&self, name: &str) -> Result<DynamicObject, Error> {
        match self.get_opt(name).await? {
            Some(object) => Ok(object),
            None => Err(Error::Failed(self.missing(name).await)),
        }
    }

    /// One IamToken, or none.
    pub(super) async fn get_opt(&self, name: &str) -> Result<Option<DynamicObject>, Refusal> {
        ask(&self.asked("get", "IamToken", name), self.tokens().get_opt(name)).await
    }

    async fn missing(&self, name: &str) -> String {
        let namespace = &self.namespace;
        let start = format!("IamToken {name} does not exist in namespace {namespace}.");
        match self.list(false, None).await {
            Ok(found) if found.is_empty() => {
                format!("{start} There is none in it: kubectl iamtoken list -A shows those of all namespaces.")
            }
            Ok(found) => {
                let names: Vec<_> = found.iter().filter_map(|object| object.metadata.name.as_deref()).collect();
                let more = if names.len() > 10 { ", …" } else { "" };
                format!("{start} There are: {}{more}.", names[..names.len().min(10)].join(", "))
            }
            Err(refusal) if refusal.code == Some(404) => refusal.text,
            Err(_) => start,
        }
    }

    /// Changes an IamToken by a merge patch, and returns it as it is then.
    pub(super) async fn patch(&self, name: &str, patch: &Value) -> Result<DynamicObject, Refusal> {
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let (tokens, patch) = (self.tokens(), Patch::Merge(patch));
        ask(&self.asked("patch", "IamToken", name), tokens.patch(name, &params, &patch)).await
    }

    /// The events of IamTokens of this name.
    pub(super) async fn events(&self, name: &str) -> Result<Vec<Event>, Refusal> {
        self.events_with(&format!("involvedObject.kind=IamToken,involvedObject.name={name}")).await
    }

    /// The events of this very object, and of none of the same name before it.
    pub(super) async fn events_of(&self, object: &DynamicObject) -> Result<Vec<Event>, Refusal> {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.events_with(&format!("involvedObject.kind=IamToken,involvedObject.uid={uid}")).await
    }

    /// By the older of the two APIs that events have: the ClusterRole `view` grants that one alone.
    async fn events_with(&self, fields: &str) -> Result<Vec<Event>, Refusal> {
        let params = ListParams::default().fields(fields);
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let asked = Asked { verb: "list", what: "Events", name: None, namespace: Some(&self.namespace) };
        Ok(ask(&asked, api.list(&params)).await?.items)
    }

    /// A Secret of the namespace.
    pub(super) async fn secret(&self, name: &str) -> Result<Secret, Refusal> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        ask(&self.asked("get", "Secret", name), api.get(name)).await
    }

    fn tokens(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource())
    }

    fn asked<'a>(&'a self, verb: &'static str, what: &'static str, name: &'a str) -> Asked<'a> {
        Asked { verb, what, name: Some(name), namespace: Some(&self.namespace) }
    }
}

fn resource() -> ApiResource {
    ApiResource::erase::<IamToken>(&())
}

async fn ask<T>(asked: &Asked<'_>, request: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(|error| Refusal::of(asked, &error)),
        Err(_) => Err(Refusal::silence(DEADLINE)),
    }
}

/// An error with what caused it. Not for errors that could hold a part of an answer.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
