//! `--default-renew-before`, `--default-account-id`

use iam_token_operator::api::{CONDITION_STALLED, IamTokenStatus};
use serde_json::{Value, json};
use testkit::fake_iam::DEFAULT_ACCOUNT;

use crate::harness::World;

const OTHER: &str = "fa4e0000000000000000000000000bad";

async fn put(world: &World, name: &str, more: &Value) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    world.put_key(&format!("{name}-key"), &key).await;
    let mut spec = json!({"apiKeySecretRef": {"name": format!("{name}-key")}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.put_token(name, &spec).await;
    key
}

/// How far through its life the token is refreshed, in percent.
fn rests_for(status: &IamTokenStatus) -> i64 {
    let [begins, refreshes, ends] =
        [&status.refreshed_at, &status.refresh_at, &status.expires_at].map(|time| time.as_ref().unwrap().0.as_second());
    (refreshes - begins) * 100 / (ends - begins)
}

#[tokio::test]
async fn what_the_admin_sets_holds_for_iamtokens_that_say_nothing() {
    let world = World::start_more(&["--default-renew-before=40%", "--default-account-id", DEFAULT_ACCOUNT]).await;
    let key = put(&world, "plain", &json!({})).await;
    world.ready("plain").await;
    let rest = rests_for(&world.status("plain").await);
    assert!((55..=60).contains(&rest), "{rest} %");
    assert_eq!(world.iam.calls_of(&key)[0].tenant.as_deref(), Some(DEFAULT_ACCOUNT), "IAM is told, too");

    put(&world, "own", &json!({"renewBefore": "10%", "accountId": OTHER})).await;
    let told = world.condition("own", CONDITION_STALLED, "AccountMismatch").await;
    assert!(
        told.message.contains("correct spec.accountId, for which the admin may have set a default"),
        "{}",
        told.message
    );
    world.change_spec("own", &json!({"accountId": null})).await;
    world.ready("own").await;
    let rest = rests_for(&world.status("own").await);
    assert!((85..=90).contains(&rest), "{rest} %");
}

#[tokio::test]
async fn a_token_of_another_account_than_the_admins_is_refused() {
    let world = World::start_more(&["--default-account-id", OTHER]).await;
    put(&world, "plain", &json!({})).await;
    world.condition("plain", CONDITION_STALLED, "AccountMismatch").await;
    assert_eq!(world.data("plain").await, None);
    world.change_spec("plain", &json!({"accountId": DEFAULT_ACCOUNT})).await;
    world.ready("plain").await;
}
