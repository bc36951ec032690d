//! One exchange for all who want the same, and one failure for all.

use std::time::Duration;

use iam_token_operator::api::{CONDITION_RECONCILING, CONDITION_STALLED, REFRESH_REQUESTED};
use serde_json::json;
use testkit::fake_iam::{Fault, Times, fake_api_key};
use tokio::time::sleep;

use crate::harness::World;

const MANY: usize = 30;

/// As many IamTokens on one key, which lies in two Secrets. Returns their names and the key.
async fn put_many(world: &World, meets: Option<Fault>) -> (Vec<String>, String) {
    let key = world.iam.service_id_key(&format!("{}-shared", world.namespace));
    if let Some(fault) = meets {
        world.iam.fault(&key, fault, Times::Forever);
    }
    for secret in ["key-0", "key-1"] {
        world.put_key(secret, &key).await;
    }
    let names: Vec<String> = (0..MANY).map(|number| format!("shared-{number}")).collect();
    let puts = names.iter().enumerate().map(async |(number, name)| {
        world.put_token(name, &json!({"apiKeySecretRef": {"name": format!("key-{}", number % 2)}})).await;
    });
    futures::future::join_all(puts).await;
    (names, key)
}

#[tokio::test]
async fn many_on_one_key_make_one_exchange() {
    let world = World::start().await;
    world.iam.set_latency(Duration::from_millis(700));
    let (names, key) = put_many(&world, None).await;
    let first = world.ready(&names[0]).await;
    for name in &names {
        assert_eq!(world.ready(name).await, first, "{name}");
    }
    assert_eq!((world.iam.exchanges_of(&key), world.iam.calls_of(&key).len()), (1, 1));
    for name in &names {
        world.annotate(name, REFRESH_REQUESTED, "all at once").await;
    }
    let second = world.changed(&names[0], &first).await;
    for name in &names[1..] {
        assert_ne!(world.changed(name, &first).await["token"], first["token"], "{name}");
    }
    assert_ne!(second["token"], first["token"]);
    assert!(world.iam.calls_of(&key).len() <= 1 + 3, "{} calls", world.iam.calls_of(&key).len());
    assert_eq!(world.iam.most_at_once_of(&key), 1);
}

#[tokio::test]
async fn many_on_one_key_share_a_failure() {
    let world = World::start().await;
    world.iam.set_latency(Duration::from_millis(200));
    let (names, key) = put_many(&world, Some(Fault::status(503))).await;
    for name in &names {
        world.condition(name, CONDITION_RECONCILING, "IamUnavailable").await;
    }
    sleep(Duration::from_secs(2)).await;
    let calls = world.iam.calls_of(&key);
    let began = calls[0].at.elapsed().unwrap();
    let few = if began < Duration::from_secs(14) { 4 } else { 6 };
    assert!(calls.len() <= few, "{} calls in {began:?}", calls.len());
    world.iam.clear_faults();
    let first = world.ready(&names[0]).await;
    for name in &names {
        assert_eq!(world.ready(name).await, first, "{name}");
    }
    assert_eq!((world.iam.exchanges_of(&key), world.iam.most_at_once_of(&key)), (1, 1));
}

#[tokio::test]
async fn many_that_get_a_bad_key_ask_once_and_keep_what_they_have() {
    let world = World::start().await;
    let (names, _) = put_many(&world, None).await;
    for name in &names {
        world.ready(name).await;
    }
    let data = world.data(&names[0]).await.unwrap();
    let bad = fake_api_key("nobody-knows-this-one");
    for secret in ["key-0", "key-1"] {
        world.put_key(secret, &bad).await;
    }
    for name in &names {
        world.condition(name, CONDITION_STALLED, "CredentialRejected").await;
        assert_eq!(world.data(name).await.unwrap(), data, "{name}");
    }
    assert_eq!(world.iam.calls_of(&bad).len(), 1);
}

#[tokio::test]
async fn one_who_insists_for_all_of_them_does_not_flood_iam() {
    let world = World::start().await;
    let (names, key) = put_many(&world, Some(Fault::error("BXNIM0415E"))).await;
    for name in &names {
        world.condition(name, CONDITION_STALLED, "CredentialRejected").await;
    }
    assert_eq!(world.iam.calls_of(&key).len(), 1);
    for name in &names {
        world.annotate(name, REFRESH_REQUESTED, "kubectl annotate iamtokens --all").await;
    }
    sleep(Duration::from_secs(8)).await;
    let calls = world.iam.calls_of(&key).len();
    assert!((2..=6).contains(&calls), "{calls} calls");
}
