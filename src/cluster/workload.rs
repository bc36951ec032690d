//! Restarting a workload, as `kubectl rollout restart` does it: an annotation of its pod template changes.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call;
use crate::api::{RESTART_MANAGER, Workload, WorkloadKind};
use crate::core::problem::{ApiKind, ApiProblem, Problem};

/// One merge patch, which can't create anything: has this annotation of the pod template say `value`. Where it says so
/// already, nothing happens.
///
/// # Errors
/// Where there is no such workload, or the API server refuses it or gives no answer.
pub async fn restart(
    client: &Client,
    namespace: &str,
    workload: &Workload,
    annotation: &str,
    value: &str,
) -> Result<(), Problem> {
    let change = (annotation, value);
    let patched = match workload.kind {
        WorkloadKind::Deployment => annotate::<Deployment>(client, namespace, workload, change).await,
        WorkloadKind::StatefulSet => annotate::<StatefulSet>(client, namespace, workload, change).await,
        WorkloadKind::DaemonSet => annotate::<DaemonSet>(client, namespace, workload, change).await,
    };
    patched.map_err(|problem| meaning(problem, workload))
}

async fn annotate<K>(
    client: &Client,
    namespace: &str,
    workload: &Workload,
    (annotation, value): (&str, &str),
) -> Result<(), ApiProblem>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {annotation: value}}}}});
    let params = PatchParams { field_manager: Some(RESTART_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(patch);
    call(|| format!("restart {workload}"), api.patch_metadata(&workload.name, &params, &patch)).await?;
    Ok(())
}

fn meaning(problem: ApiProblem, workload: &Workload) -> Problem {
    let workload = workload.to_string();
    match (problem.kind, problem.code) {
        (_, Some(404)) => Problem::WorkloadNotFound { workload },
        (ApiKind::Conflict | ApiKind::Unavailable, _) => Problem::Api(problem),
        (_, code) => Problem::RestartDenied { workload, code },
    }
}
