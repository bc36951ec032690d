//! `spec.accountId`: a token of another account is never written.

use iam_token_operator::api::CONDITION_STALLED;
use serde_json::json;
use testkit::fake_iam::DEFAULT_ACCOUNT;

use crate::harness::World;
use crate::history::History;

const OTHER: &str = "fa4e0000000000000000000000000bad";

#[tokio::test]
async fn a_guard_that_is_corrected_lets_the_token_through() {
    let world = World::start().await;
    let key = world.iam.service_id_key(&format!("{}-guarded", world.namespace));
    world.put_key("guarded-key", &key).await;
    world.put_token("guarded", &json!({"apiKeySecretRef": {"name": "guarded-key"}, "accountId": OTHER})).await;
    let stalled = world.condition("guarded", CONDITION_STALLED, "AccountMismatch").await;
    assert!(stalled.message.contains("correct spec.accountId"), "{}", stalled.message);
    assert_eq!(world.data("guarded").await, None);
    world.change_spec("guarded", &json!({"accountId": DEFAULT_ACCOUNT})).await;
    world.ready("guarded").await;
    assert_eq!(world.status("guarded").await.identity.unwrap().account_id.as_deref(), Some(DEFAULT_ACCOUNT));
}

#[tokio::test]
async fn a_guard_that_comes_later_keeps_the_other_accounts_token_out() {
    let world = World::start().await;
    let history = History::of(&world).await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"accountId": OTHER})).await;
    let stalled = world.condition("hpcs", CONDITION_STALLED, "AccountMismatch").await;
    assert!(stalled.message.contains("Use a key of that account"), "{}", stalled.message);
    assert_eq!(world.data("hpcs").await.unwrap(), data);
    let from = history.all("hpcs").len();
    world.change_spec("hpcs", &json!({"accountId": null})).await;
    history.ready("hpcs", from).await.unwrap();
    assert!(world.iam.calls_of(&key).len() <= 3, "{} calls", world.iam.calls_of(&key).len());
}
