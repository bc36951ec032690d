//! Workloads that read the token from their environment are restarted for each token: once, not too often, and not for
//! anything else.

use std::time::{Duration, Instant};

use iam_token_operator::api::{REFRESH_REQUESTED, WorkloadStatus};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::control_plane::{AuditEvent, AuditMark};
use tokio::time::sleep;

use crate::harness::workloads::{
    KINDS, allow_restarts, annotations, put_workload, restarts, until_restarted, workloads,
};
use crate::harness::{World, condition, eventually};

/// Long enough for the operator to do what it wants to.
const DONE_BY_NOW: Duration = Duration::from_secs(2);

/// One of each kind, that the operator may restart, and an IamToken `hpcs` that wants it to. Returns the API key.
async fn scene(world: &World, min_period: &str) -> String {
    allow_restarts(world, &["web"]).await;
    for kind in KINDS {
        put_workload(world, kind, "web").await;
    }
    let key = world.iam.service_id_key(&world.namespace);
    world.put_key("key", &key).await;
    let named = KINDS.map(|kind| json!({"kind": kind, "name": "web"}));
    let restart = json!({"workloads": named, "minPeriod": min_period});
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "key"}, "restart": restart})).await;
    key
}

async fn until_all_restarted(world: &World, times: i64) {
    for kind in KINDS {
        until_restarted(world, kind, "web", times).await;
    }
}

/// Waits until the status tells of the last restart of each.
async fn told(world: &World, before: &[WorkloadStatus]) -> Vec<WorkloadStatus> {
    eventually("the restarts in the status", async || {
        let status = world.status("hpcs").await;
        if status.restarts.len() == 3 && status.restarts != before { Ok(status.restarts) } else { Err(status) }
    })
    .await
}

async fn ask_for_another(world: &World, value: &str, before: &Value) -> Value {
    world.annotate("hpcs", REFRESH_REQUESTED, value).await;
    world.changed("hpcs", before).await
}

/// The operator's requests for workloads.
async fn requests(world: &World, mark: AuditMark) -> Vec<(String, String, u16)> {
    let events = world.plane.audit_since(mark).await.into_iter();
    let ours = events.filter(|event: &AuditEvent| event.user_agent.starts_with("iam-token-operator/"));
    let ours = ours.filter(|event| event.namespace == world.namespace && event.group == "apps");
    ours.map(|event| (event.verb, event.resource, event.code)).collect()
}

#[tokio::test]
async fn each_token_restarts_each_workload_once_and_changes_nothing_else_of_it() {
    let world = World::start().await;
    let mark = world.plane.audit_mark().await;
    scene(&world, "1s").await;
    let mut spec = workloads(&world, "Deployment").get("web").await.unwrap().data["spec"].clone();
    let mut data = world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    let mut before = told(&world, &[]).await;
    for times in 2..4 {
        sleep(Duration::from_secs(1)).await;
        data = ask_for_another(&world, &times.to_string(), &data).await;
        until_all_restarted(&world, times).await;
        before = told(&world, &before).await;
        let status = world.status("hpcs").await;
        assert_eq!((status.conditions.len(), status.restarts.len()), (1, 3), "{status:#?}");
        assert_eq!(before[0].expires_at, status.expires_at.unwrap());
        for kind in KINDS {
            let expected = json!({"restart.iamtoken.dev/hpcs": before[0].token_digest});
            assert_eq!(annotations(&world, kind, "web").await, expected, "{kind}");
        }
    }
    sleep(DONE_BY_NOW).await;
    until_all_restarted(&world, 3).await;
    let requests = requests(&world, mark).await;
    assert_eq!(requests.len(), 9, "{requests:?}");
    assert!(requests.iter().all(|(verb, _, code)| verb == "patch" && *code == 200), "{requests:?}");

    let deployment = workloads(&world, "Deployment").get("web").await.unwrap();
    spec["template"]["metadata"]["annotations"] = annotations(&world, "Deployment", "web").await;
    assert_eq!(deployment.data["spec"], spec);
    let managers = deployment.metadata.managed_fields.unwrap();
    assert!(managers.iter().any(|entry| entry.manager.as_deref() == Some("iam-token-operator-restart")));
    let token = data["token"].as_str().unwrap();
    assert!(!serde_json::to_string(&deployment.data).unwrap().contains(token), "the token itself was written there");
}

#[tokio::test]
async fn one_event_counts_all_restarts_of_a_workload() {
    let world = World::start().await;
    scene(&world, "1s").await;
    let data = world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    sleep(Duration::from_secs(1)).await;
    ask_for_another(&world, "1", &data).await;
    until_all_restarted(&world, 2).await;
    let found = eventually("the events", async || {
        let all = world.events().await.into_iter();
        let ours = all.filter(|event| event.reason.as_deref() == Some("WorkloadRestarted"));
        let seen: Vec<_> =
            ours.map(|event| (event.note, event.type_, event.series.map(|series| series.count))).collect();
        if seen.iter().filter(|(.., count)| *count == Some(2)).count() == 3 { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!(found.len(), 3, "{found:?}");
    let text = "Deployment web was restarted, so that its pods read the new token.";
    assert!(found.iter().any(|(note, ..)| note.as_deref() == Some(text)), "{found:?}");
    assert!(found.iter().all(|(_, type_, _)| type_.as_deref() == Some("Normal")), "{found:?}");
}

#[tokio::test]
async fn an_event_that_is_gone_is_published_anew() {
    let world = World::start().await;
    scene(&world, "1s").await;
    let data = world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    world.events().await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    events.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    ask_for_another(&world, "1", &data).await;
    until_all_restarted(&world, 2).await;
    let left = world.events().await.into_iter();
    let counts: Vec<_> = left.map(|event| (event.reason, event.series.map(|series| series.count))).collect();
    assert_eq!(counts, vec![(Some("WorkloadRestarted".to_owned()), None); 3]);
}

#[tokio::test]
async fn a_new_process_restarts_nobody_whether_or_not_its_predecessor_could_say_what_it_did() {
    let mut world = World::start().await;
    scene(&world, "1s").await;
    world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    let said = told(&world, &[]).await;
    for forgotten in [false, true] {
        if forgotten {
            world.operator.kill();
            let patch = Patch::Merge(json!({"status": {"restarts": null}}));
            world.tokens().patch_status("hpcs", &PatchParams::default(), &patch).await.unwrap();
        }
        let mark = world.plane.audit_mark().await;
        world.restart(&[]).await;
        if forgotten {
            let again = told(&world, &[]).await;
            assert_eq!(again[0].token_digest, said[0].token_digest);
        }
        sleep(DONE_BY_NOW).await;
        let requests = requests(&world, mark).await;
        assert_eq!(requests.len(), if forgotten { 3 } else { 0 }, "{requests:?}");
        until_all_restarted(&world, 1).await;
    }
}

#[tokio::test]
async fn a_restart_that_comes_too_soon_is_put_off_and_then_made_once_with_the_newest_token() {
    let world = World::start().await;
    scene(&world, "12s").await;
    let mut data = world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    let begin = Instant::now();
    let before = told(&world, &[]).await;
    for value in ["1", "2"] {
        data = ask_for_another(&world, value, &data).await;
    }
    sleep(DONE_BY_NOW).await;
    let status = world.status("hpcs").await;
    assert!(condition(&status, "Stalled").is_none(), "{status:#?}");
    assert!(begin.elapsed() < Duration::from_secs(11), "too slow a machine for this test");
    until_all_restarted(&world, 1).await;

    world.change_spec("hpcs", &json!({"suspend": true})).await;
    sleep(Duration::from_secs(13).saturating_sub(begin.elapsed())).await;
    until_all_restarted(&world, 1).await;
    world.change_spec("hpcs", &json!({"suspend": false})).await;
    until_all_restarted(&world, 2).await;
    let after = told(&world, &before).await;
    let since = after[0].restarted_at.0.duration_since(before[0].restarted_at.0);
    assert!(since.as_secs() >= 12, "{since:?}");
    let record = world.secrets().get("hpcs").await.unwrap().metadata.annotations.unwrap();
    assert!(record["iamtoken.dev/record"].contains(&after[0].token_digest), "not for the newest token");
    sleep(DONE_BY_NOW).await;
    until_all_restarted(&world, 2).await;
}

#[tokio::test]
async fn the_same_token_in_another_dress_restarts_nobody() {
    let world = World::start().await;
    let key = scene(&world, "1s").await;
    let data = world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    sleep(Duration::from_secs(1)).await;
    let target = json!({"labels": {"team": "a"}, "data": [{"key": "token", "format": "AccessToken"}]});
    world.change_spec("hpcs", &json!({"target": target})).await;
    let reshaped = world.changed("hpcs", &data).await;
    let edit = Patch::Merge(json!({"metadata": {"labels": {"team": "b"}}}));
    world.secrets().patch("hpcs", &PatchParams::default(), &edit).await.unwrap();
    eventually("the label repaired", async || {
        let labels = world.secrets().get("hpcs").await.unwrap().metadata.labels.unwrap();
        if labels["team"] == "a" { Ok(()) } else { Err(labels) }
    })
    .await;
    sleep(DONE_BY_NOW).await;
    assert_eq!(reshaped, json!({"token": data["token"]}));
    until_all_restarted(&world, 1).await;
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn two_iamtokens_restart_one_workload_each_for_its_own() {
    let world = World::start().await;
    scene(&world, "1s").await;
    world.ready("hpcs").await;
    until_all_restarted(&world, 1).await;
    let restart = json!({"workloads": [{"kind": "Deployment", "name": "web"}], "minPeriod": "1s"});
    world.put_token("other", &json!({"apiKeySecretRef": {"name": "key"}, "restart": restart})).await;
    world.ready("other").await;
    until_restarted(&world, "Deployment", "web", 2).await;
    sleep(DONE_BY_NOW).await;
    assert_eq!(restarts(&world, "Deployment", "web").await, 2, "they undo each other's");
    let annotations = annotations(&world, "Deployment", "web").await;
    let names: Vec<_> = annotations.as_object().unwrap().keys().collect();
    assert_eq!(names, ["restart.iamtoken.dev/hpcs", "restart.iamtoken.dev/other"]);
    // Named no longer, nothing is kept of it.
    world.change_spec("hpcs", &json!({"restart": null})).await;
    eventually("forgotten", async || {
        let status = world.status("hpcs").await;
        if status.restarts.is_empty() { Ok(()) } else { Err(status) }
    })
    .await;
}
