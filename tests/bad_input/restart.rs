//! Workloads that can't be restarted: the token is refreshed all the same.

use std::time::Duration;

use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, REFRESH_REQUESTED};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::checks::{calm, put_good_key, ready_at_once, spec_of, stalled, within};
use crate::harness::workloads::{allow_restarts, forbid_restarts, put_workload, restarts, until_restarted, workloads};
use crate::harness::{World, eventually};

/// More than a retry may wait that is the third or fourth in a row.
const A_FEW_RETRIES: Duration = Duration::from_mins(1);

/// An IamToken `hpcs` that wants these Deployments restarted.
async fn put(world: &World, names: &[&str], min_period: &str) {
    put_good_key(world, "hpcs").await;
    let mut spec = spec_of("hpcs");
    let workloads: Vec<Value> = names.iter().map(|name| json!({"kind": "Deployment", "name": name})).collect();
    spec["restart"] = json!({"workloads": workloads, "minPeriod": min_period});
    world.put_token("hpcs", &spec).await;
}

/// The token in place is good, and a new one can be had; the condition says that something is wrong.
async fn refreshed_all_the_same(world: &World, value: &str) {
    let data = world.ready("hpcs").await;
    world.annotate("hpcs", REFRESH_REQUESTED, value).await;
    world.changed("hpcs", &data).await;
    world.condition("hpcs", CONDITION_READY, "RefreshFailing").await;
}

async fn until_well(world: &World) {
    within(A_FEW_RETRIES, "nothing wrong any more", async || {
        let status = world.status("hpcs").await;
        if status.conditions.len() == 1 && status.conditions[0].reason == "TokenValid" { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn a_workload_that_is_missing_is_named_and_restarted_once_it_is_there() {
    let world = World::start().await;
    allow_restarts(&world, &[]).await;
    put_workload(&world, "Deployment", "here").await;
    put(&world, &["missing", "here"], "1s").await;
    world.ready("hpcs").await;
    let found = world.condition("hpcs", CONDITION_RECONCILING, "WorkloadNotFound").await;
    for word in ["Deployment missing", "Create it", "spec.restart.workloads"] {
        assert!(found.message.contains(word), "{word:?} is missing in: {}", found.message);
    }
    until_restarted(&world, "Deployment", "here", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    refreshed_all_the_same(&world, "1").await;
    until_restarted(&world, "Deployment", "here", 2).await;
    put_workload(&world, "Deployment", "missing").await;
    until_well(&world).await;
    assert_eq!(restarts(&world, "Deployment", "missing").await, 1);
    assert_eq!(restarts(&world, "Deployment", "here").await, 2);
    calm(&world).await;
}

#[tokio::test]
async fn a_workload_that_is_deleted_later_is_named_at_the_next_token() {
    let world = World::start().await;
    allow_restarts(&world, &[]).await;
    put_workload(&world, "Deployment", "web").await;
    put(&world, &["web"], "1s").await;
    ready_at_once(&world, "hpcs").await;
    workloads(&world, "Deployment").delete("web", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    refreshed_all_the_same(&world, "1").await;
    world.condition("hpcs", CONDITION_RECONCILING, "WorkloadNotFound").await;
    world.change_spec("hpcs", &json!({"restart": null})).await;
    ready_at_once(&world, "hpcs").await;
    calm(&world).await;
}

#[tokio::test]
async fn who_may_not_restart_it_says_who_can_allow_it() {
    let world = World::start().await;
    put_workload(&world, "Deployment", "web").await;
    put(&world, &["web"], "1s").await;
    world.ready("hpcs").await;
    let words = ["Deployment web", "(HTTP 403)", "workloadRestarts.enabled", "workloadRestarts.names"];
    stalled(&world, "hpcs", "RestartDenied", &words).await;
    allow_restarts(&world, &["another"]).await;
    let mark = world.plane.audit_mark().await;
    refreshed_all_the_same(&world, "1").await;
    eventually("a try under the new role", async || {
        let requests = world.plane.audit_since(mark).await.into_iter();
        let of_it =
            |event: &testkit::control_plane::AuditEvent| event.namespace == world.namespace && event.group == "apps";
        let codes: Vec<u16> = requests.filter(of_it).map(|event| event.code).collect();
        if codes.contains(&403) { Ok(()) } else { Err(codes) }
    })
    .await;
    stalled(&world, "hpcs", "RestartDenied", &words).await;
    assert_eq!(restarts(&world, "Deployment", "web").await, 0);
    forbid_restarts(&world).await;
    allow_restarts(&world, &["web"]).await;
    until_well(&world).await;
    assert_eq!(restarts(&world, "Deployment", "web").await, 1);
    calm(&world).await;
}

#[tokio::test]
async fn a_period_that_outlasts_the_token_of_the_pods_is_named() {
    let world = World::start().await;
    world.iam.set_lifetime(8);
    allow_restarts(&world, &[]).await;
    put_workload(&world, "Deployment", "web").await;
    put(&world, &["web"], "45m").await;
    let first = world.ready("hpcs").await;
    let second = world.changed("hpcs", &first).await;
    stalled(&world, "hpcs", "RestartTooLate", &["Deployment web", "Shorten spec.restart.minPeriod"]).await;
    world.changed("hpcs", &second).await;
    assert_eq!(restarts(&world, "Deployment", "web").await, 1);
    world.change_spec("hpcs", &json!({"restart": {"minPeriod": "1s"}})).await;
    until_well(&world).await;
}
