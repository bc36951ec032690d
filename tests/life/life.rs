//! A token is written, described, refreshed and let go.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{World, condition, eventually};

#[tokio::test]
async fn a_token_is_written_and_described() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let token = data["token"].as_str().unwrap();
    assert_eq!(data["authorization"], format!("Bearer {token}"));
    let claims = world.iam.verify(token).expect("a valid token");
    let expiration: i64 = data["expiration"].as_str().unwrap().parse().unwrap();
    assert!((expiration - claims["exp"].as_i64().unwrap()).abs() <= 1);

    let status = world.status("hpcs").await;
    assert_eq!(status.expires_at.unwrap().0.as_second(), expiration);
    let identity = status.identity.unwrap();
    assert_eq!(identity.iam_id.as_deref(), claims["iam_id"].as_str());
    assert_eq!(identity.subject_type.as_deref(), Some("ServiceId"));
    assert_eq!(identity.account_id.as_deref(), claims["account"]["bss"].as_str());
    assert_eq!(status.target.unwrap().name, "hpcs");
    assert_eq!(status.conditions.len(), 1, "{:#?}", status.conditions);
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn every_format_is_written_as_asked_for() {
    let world = World::start().await;
    let key = world.iam.service_id_key("formats");
    world.put_key("k", &key).await;
    let target = json!({
        "name": "out", "type": "example.com/token",
        "labels": {"app": "x"}, "annotations": {"note": "y"},
        "data": [{"key": "a", "format": "AccessToken"}, {"key": "b", "format": "Bearer"},
                 {"key": "c", "format": "Expiration"}, {"key": "token.json", "format": "Json"}],
    });
    world.put_token("t", &json!({"apiKeySecretRef": {"name": "k"}, "target": target})).await;
    world.ready("t").await;
    let secret = world.secrets().get("out").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("example.com/token"));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["app"], "x");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()["note"], "y");
    let data = crate::harness::data_of(&secret);
    assert_eq!(data["b"], format!("Bearer {}", data["a"].as_str().unwrap()));
    let json: serde_json::Value = serde_json::from_str(data["token.json"].as_str().unwrap()).unwrap();
    let keys: BTreeSet<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["access_token", "token_type", "expires_in", "expiration"]));
    assert_eq!(json["access_token"], data["a"]);
    assert_eq!(json["expiration"].to_string(), data["c"].as_str().unwrap());
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_expires_and_without_an_event() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    for _ in 0..4 {
        data = world.changed("hpcs", &data).await;
        world.iam.verify(data["token"].as_str().unwrap()).expect("a valid token");
        let status = world.status("hpcs").await;
        assert_eq!(condition(&status, "Ready").unwrap().status, "True");
    }
    let events = world.events().await;
    let reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, ["TokenValid"]);
}

#[tokio::test]
async fn a_suspended_token_dies_and_says_so() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"suspend": true})).await;
    let ready = world.condition("hpcs", "Ready", "Suspended").await;
    assert_eq!(ready.status, "True");
    let (left, status) = (world.data("hpcs").await.unwrap(), world.status("hpcs").await);
    let dies = status.expires_at.unwrap().0;
    assert_eq!(dies.as_second().to_string(), left["expiration"].as_str().unwrap());
    assert!(ready.message.contains(&format!("valid until {dies}")), "{}", ready.message);
    assert_eq!(status.refresh_at, None);
    let before = world.iam.exchanges_of(&key);
    let status = eventually("expired", async || {
        let status = world.status("hpcs").await;
        if condition(&status, "Ready").unwrap().status == "False" { Ok(status) } else { Err(status) }
    })
    .await;
    assert!(condition(&status, "Stalled").is_none() && condition(&status, "Reconciling").is_none());
    assert!(Timestamp::now() >= dies, "it was called dead before it was");
    assert_eq!(world.data("hpcs").await.unwrap(), left, "the dead token is left where it is");
    assert_eq!(world.iam.exchanges_of(&key), before);
    world.change_spec("hpcs", &json!({"suspend": null})).await;
    eventually("refreshed", async || {
        let status = world.status("hpcs").await;
        if condition(&status, "Ready").unwrap().reason == "TokenValid" { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_iamtoken_is_let_go() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let owner = world.secrets().get("hpcs").await.unwrap().metadata.owner_references.unwrap().remove(0);
    assert_eq!((owner.kind.as_str(), owner.controller), ("IamToken", Some(true)));
    world.tokens().delete("hpcs", &kube::api::DeleteParams::default()).await.unwrap();
    let before = world.iam.calls_of(&key).len();
    sleep(Duration::from_secs(5)).await;
    assert!(world.iam.calls_of(&key).len() <= before + 1, "asked on for a token that is gone");
}
