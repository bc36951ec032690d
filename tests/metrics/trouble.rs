//! What goes wrong is told.

use std::time::Duration;

use serde_json::json;
use testkit::fake_iam::{Fault, KeyState, Times};
use testkit::proxy::{Proxy, Road};

use crate::harness::{Operator, Start, kubeconfig};
use crate::scrape::{scrape, until};
use crate::{SCRAPED, world, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key_is_told_with_iams_transaction_id() {
    let world = world().await;
    let key = world.iam.service_id_key(&world.namespace);
    world.iam.set_key_state(&key, KeyState::Disabled);
    world.put_key("key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    let message = world.condition("hpcs", "Stalled", "CredentialRejected").await.message;
    // A look is counted at its end, just after its status was written.
    let scrape = until(&world.operator, "stalled and counted", |scrape| {
        scrape.value("tokens", &[("state", "stalled")]) == Some(1.0)
            && scrape.value("reconciles_total", &[("outcome", "failed")]) == Some(1.0)
    })
    .await;
    assert_eq!(scrape.of_token("ready", "hpcs"), Some(0.0));
    assert_eq!(scrape.of_token("expiry_timestamp_seconds", "hpcs"), None);
    assert_eq!(scrape.value("tokens", &[("state", "not_ready")]), Some(1.0));
    assert_eq!(scrape.value("exchanges_total", &[("result", "CredentialRejected")]), Some(1.0));
    assert_eq!(scrape.value("exchanges_total", &[("result", "ok")]), Some(0.0));
    let ids: Vec<_> = scrape.exemplars().map(|labels| &labels["transaction_id"]).collect();
    assert_eq!(ids.len(), 1);
    assert!(message.contains(ids[0].as_str()), "{ids:?}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_a_person_must_change_is_told() {
    let world = world().await;
    let spec = json!({"apiKeySecretRef": {"name": "key"}, "endpoint": "https://other.example"});
    world.put_token("hpcs", &spec).await;
    world.condition("hpcs", "Stalled", "EndpointNotAllowed").await;
    let refused = until(&world.operator, "refused", |scrape| {
        scrape.value("reconciles_total", &[("outcome", "refused")]) >= Some(1.0)
    })
    .await;
    assert!(!refused.text.contains("other.example"), "a label from a spec: {}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_iam_that_is_ahead_is_told() {
    let world = world().await;
    world.iam.set_clock_offset(120);
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let skew = scrape(&world.operator).await.value("clock_skew_seconds", &[("endpoint", &world.iam.url())]).unwrap();
    assert!((skew - 120.0).abs() <= 2.0, "{skew}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_line_is_told() {
    let world = world_with(&["--concurrency", "1"]).await;
    let slow = Fault::Delay { millis: 4000, then: None };
    world.iam.fault_any(slow, Times::Forever);
    for name in ["one", "two", "three"] {
        world.put_pair(name).await;
    }
    until(&world.operator, "two in line for a second", |scrape| {
        scrape.value("exchange_queue_depth", &[]) == Some(2.0)
            && scrape.value("exchange_queue_oldest_age_seconds", &[]) > Some(1.0)
    })
    .await;
    world.iam.clear_faults();
    until(&world.operator, "none in line", |scrape| {
        scrape.value("exchange_queue_depth", &[]) == Some(0.0)
            && scrape.value("exchange_queue_oldest_age_seconds", &[]) == Some(0.0)
            && scrape.value("tokens", &[("state", "ready")]) == Some(3.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_fail_and_requests_without_an_answer_are_told() {
    let mut world = world().await;
    world.operator.kill();
    let road = Proxy::start(world.plane.address()).await.unwrap();
    world.operator = Operator::start(&Start {
        kubeconfig: &world.plane.kubeconfig_through(&kubeconfig(world.plane).await, road.address()),
        namespaces: std::slice::from_ref(&world.namespace),
        endpoints: &[world.iam.url()],
        log_level: "info",
        more: &SCRAPED,
    });
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let before = scrape(&world.operator).await;
    assert_eq!(before.sum("watch_restarts_total", &[]), 0.0);
    assert_eq!(before.sum("api_requests_total", &[("code", "0")]), 0.0);
    road.set(Road::Reset);
    until(&world.operator, "both watches", |scrape| {
        ["iamtokens", "secrets"].iter().all(|it| scrape.value("watch_restarts_total", &[("resource", it)]) >= Some(1.0))
            && scrape.sum("api_requests_total", &[("verb", "watch"), ("code", "0")]) >= 1.0
    })
    .await;
    road.set(Road::Open);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = scrape(&world.operator).await;
    assert_eq!(after.of_token("ready", "hpcs"), Some(1.0), "what was known is told all the while");
}
