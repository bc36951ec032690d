//! Workloads that the operator restarts. No controller runs: what would roll them out is a new generation.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use super::{World, eventually, grant, withdraw};

pub const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// What the chart's `workloadRestarts` grants with these names, in the world's namespace; all names where empty.
pub async fn allow_restarts(world: &World, names: &[&str]) {
    let mut rule =
        json!({"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["patch"]});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    grant(&world.client, &world.namespace, "restart", &json!([rule])).await;
}

pub async fn forbid_restarts(world: &World) {
    withdraw(&world.client, &world.namespace, "restart").await;
}

pub fn workloads(world: &World, kind: &str) -> Api<DynamicObject> {
    let resource = GroupVersionKind::gvk("apps", "v1", kind);
    let plural = format!("{}s", kind.to_lowercase());
    let resource = ApiResource::from_gvk_with_plural(&resource, &plural);
    Api::namespaced_with(world.client.clone(), &world.namespace, &resource)
}

/// A workload whose pods read the token of Secret `hpcs` from an environment variable.
pub fn workload(kind: &str, name: &str) -> Value {
    let secret = json!({"name": "IAM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hpcs", "key": "token"}}});
    let pod = json!({"containers": [{"name": "app", "image": "registry.example/app", "env": [secret]}]});
    let labels = json!({"app": name});
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    });
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

pub async fn put_workload(world: &World, kind: &str, name: &str) {
    let object = serde_json::from_value(workload(kind, name)).unwrap();
    workloads(world, kind).create(&PostParams::default(), &object).await.unwrap();
}

/// How often it was restarted, or otherwise changed.
pub async fn restarts(world: &World, kind: &str, name: &str) -> i64 {
    workloads(world, kind).get(name).await.unwrap().metadata.generation.unwrap() - 1
}

pub async fn until_restarted(world: &World, kind: &str, name: &str, times: i64) {
    eventually(&format!("{kind} {name} restarted {times} times"), async || {
        let found = restarts(world, kind, name).await;
        if found == times { Ok(()) } else { Err(found) }
    })
    .await;
}

/// The annotations of its pod template.
pub async fn annotations(world: &World, kind: &str, name: &str) -> Value {
    let object = workloads(world, kind).get(name).await.unwrap();
    object.data["spec"]["template"]["metadata"]["annotations"].clone()
}
