//! What changes is followed at once, and nothing is asked for that is still good.

use std::time::Duration;

use iam_token_operator::api::REFRESH_REQUESTED;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{World, eventually};

async fn merge_secret(world: &World, name: &str, patch: Value) -> Secret {
    world.secrets().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

#[tokio::test]
async fn a_rotated_key_is_exchanged_at_once_and_a_label_is_not() {
    let world = World::start().await;
    let old = world.put_pair("hpcs").await;
    let first = world.ready("hpcs").await;
    merge_secret(&world, "hpcs-key", json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.iam.calls_of(&old).len(), 1, "a label was exchanged");

    let new = world.iam.service_id_key("rotated");
    world.put_key("hpcs-key", &new).await;
    let second = world.changed("hpcs", &first).await;
    let claims = world.iam.verify(second["token"].as_str().unwrap()).unwrap();
    let identity = world.iam.identity_of(&new).unwrap();
    assert_eq!(claims["iam_id"], json!(identity.iam_id));
    assert_eq!((world.iam.exchanges_of(&old), world.iam.exchanges_of(&new)), (1, 1));
}

#[tokio::test]
async fn a_deleted_target_is_made_anew() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.delete_secret("hpcs").await;
    let data = eventually("made anew", async || world.data("hpcs").await.ok_or(())).await;
    world.iam.verify(data["token"].as_str().unwrap()).unwrap();
}

#[tokio::test]
async fn an_edited_target_is_restored_without_asking_iam() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let good = world.ready("hpcs").await;
    for edit in [
        json!({"stringData": {"token": "spoilt"}}),
        json!({"data": {"authorization": null}}),
        json!({"stringData": {"expiration": "0", "authorization": "spoilt"}}),
        json!({"metadata": {"labels": {"iamtoken.dev/managed": "no"}}}),
        json!({"metadata": {"ownerReferences": null}}),
    ] {
        merge_secret(&world, "hpcs", edit.clone()).await;
        eventually(&format!("{edit} undone"), async || {
            let secret = world.secrets().get("hpcs").await.unwrap();
            let labels = secret.metadata.labels.clone().unwrap_or_default();
            let owned = secret.metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1);
            let managed = labels.get("iamtoken.dev/managed").is_some_and(|value| value == "true");
            let data = crate::harness::data_of(&secret);
            if data == good && managed && owned { Ok(()) } else { Err((managed, owned)) }
        })
        .await;
    }
    assert_eq!(world.iam.calls_of(&key).len(), 1);
}

#[tokio::test]
async fn a_target_with_no_trace_of_the_token_left_gets_a_new_one() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let first = world.ready("hpcs").await;
    merge_secret(&world, "hpcs", json!({"stringData": {"token": "spoilt", "authorization": "spoilt"}})).await;
    let data = eventually("a valid token", async || {
        let data = world.data("hpcs").await.unwrap();
        if world.iam.verify(data["token"].as_str().unwrap()).is_ok() { Ok(data) } else { Err(()) }
    })
    .await;
    assert_eq!(data["authorization"], format!("Bearer {}", data["token"].as_str().unwrap()));
    assert!(data != first && world.iam.exchanges_of(&key) <= 2);
}

#[tokio::test]
async fn what_others_add_to_the_target_stays() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    world.put_pair("hpcs").await;
    let first = world.ready("hpcs").await;
    let theirs =
        json!({"stringData": {"ca.crt": "theirs"}, "metadata": {"labels": {"app.kubernetes.io/name": "theirs"}}});
    merge_secret(&world, "hpcs", theirs).await;
    eventually("a refresh", async || {
        let data = world.data("hpcs").await.unwrap();
        if data["token"] == first["token"] { Err(()) } else { Ok(()) }
    })
    .await;
    let secret = world.secrets().get("hpcs").await.unwrap();
    assert_eq!(crate::harness::data_of(&secret)["ca.crt"], "theirs");
    assert_eq!(secret.metadata.labels.unwrap()["app.kubernetes.io/name"], "theirs");
}

#[tokio::test]
async fn a_changed_target_is_rewritten_without_asking_iam() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let first = world.ready("hpcs").await;
    let target = json!({"labels": {"team": "a"}, "data": [{"key": "only", "format": "AccessToken"}]});
    world.change_spec("hpcs", &json!({"target": target})).await;
    eventually("rewritten", async || {
        let secret = world.secrets().get("hpcs").await.unwrap();
        let labelled = secret.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("team"));
        let data = crate::harness::data_of(&secret);
        if labelled && data == json!({"only": first["token"]}) { Ok(()) } else { Err(labelled) }
    })
    .await;
    assert_eq!(world.iam.calls_of(&key).len(), 1);
}

#[tokio::test]
async fn a_requested_refresh_is_done_and_echoed() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    for value in ["2026-01-01T00:00:00Z", "again"] {
        world.annotate("hpcs", REFRESH_REQUESTED, value).await;
        data = world.changed("hpcs", &data).await;
        eventually("echoed", async || {
            let echo = world.status("hpcs").await.last_handled_refresh;
            if echo.as_deref() == Some(value) { Ok(()) } else { Err(echo) }
        })
        .await;
    }
    assert_eq!(world.iam.exchanges_of(&key), 3);
}

#[tokio::test]
async fn a_restart_asks_and_writes_nothing() {
    let mut world = World::start().await;
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let before = world.secrets().get("hpcs").await.unwrap().metadata.resource_version;
    let token = world.tokens().get("hpcs").await.unwrap().metadata.resource_version;
    let mark = world.plane.audit_mark().await;
    world.restart(&[]).await;
    assert_eq!(world.iam.calls_of(&key).len(), 1);
    assert_eq!(world.secrets().get("hpcs").await.unwrap().metadata.resource_version, before);
    assert_eq!(world.tokens().get("hpcs").await.unwrap().metadata.resource_version, token);
    let requests = world.plane.audit_since(mark).await;
    let ours = requests
        .iter()
        .filter(|event| event.namespace == world.namespace && event.user_agent.starts_with("iam-token-operator/"))
        .filter(|event| !event.name.starts_with("canary"));
    let verbs: Vec<_> = ours.map(|event| (event.verb.clone(), event.resource.clone())).collect();
    assert!(verbs.iter().all(|(verb, _)| verb == "list" || verb == "watch"), "{verbs:?}");

    world.delete_secret("hpcs").await;
    eventually("made anew by the new process", async || world.data("hpcs").await.ok_or(())).await;
}

#[tokio::test]
async fn who_undoes_each_repair_is_told_and_answered_ever_more_slowly() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let mark = world.plane.audit_mark().await;
    let theirs = json!({"metadata": {"labels": {"iamtoken.dev/managed": "no"}}});
    for _ in 0..120 {
        merge_secret(&world, "hpcs", theirs.clone()).await;
        sleep(Duration::from_millis(50)).await;
    }
    world.condition("hpcs", "Stalled", "TargetAltered").await;
    let ready = world.status("hpcs").await.conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "the token is as good as before");
    let requests = world.plane.audit_since(mark).await;
    let ours = requests.iter().filter(|event| event.user_agent.starts_with("iam-token-operator/"));
    let repairs =
        ours.filter(|event| event.namespace == world.namespace && event.verb == "patch" && event.resource == "secrets");
    assert!((3..=12).contains(&repairs.clone().count()), "{} repairs", repairs.count());
    assert_eq!(world.iam.calls_of(&key).len(), 1);
}
