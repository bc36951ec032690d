//! What can be wrong with a credential: each is named, and the last good token stays.

use iam_token_operator::api::{CONDITION_READY, CONDITION_STALLED, IamToken, REFRESH_REQUESTED};
use kube::Api;
use serde_json::{Value, json};

use crate::harness::{
    OPERATOR_NAMESPACE, Operator, Start, World, allow_operator, condition, eventually, kubeconfig, put_token,
};
use crate::setup::{
    PROFILE, allow_tokens, claims, forbid_tokens, of_service_account, put_profile, put_service_account, world,
};

/// `Stalled` for this reason, in these words; the token in place stays as it is.
async fn stalled(world: &World, name: &str, reason: &str, words: &[&str], data: Option<&Value>) {
    let found = world.condition(name, CONDITION_STALLED, reason).await;
    for word in words {
        assert!(found.message.contains(word), "{word:?} is missing in: {}", found.message);
    }
    let status = world.status(name).await;
    let ready = condition(&status, CONDITION_READY).unwrap();
    assert_eq!(ready.status == "True", data.is_some(), "{status:#?}");
    assert_eq!(world.data(name).await.as_ref(), data);
}

/// A ready token of a ServiceAccount.
async fn ready(world: &World) -> Value {
    put_service_account(world, "client").await;
    put_profile(world, &["client"], &[]);
    world.put_token("hpcs", &of_service_account("client")).await;
    world.ready("hpcs").await
}

#[tokio::test]
async fn a_profile_that_does_not_admit_the_service_account() {
    let world = world().await;
    let data = ready(&world).await;
    put_profile(&world, &[], &[]);
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    let words = ["BXNIM0398E", "does not admit", "spec.trustedProfile"];
    stalled(&world, "hpcs", "ProfileNotEligible", &words, Some(&data)).await;
    put_profile(&world, &["client"], &[]);
    world.annotate("hpcs", REFRESH_REQUESTED, "2").await;
    world.condition("hpcs", CONDITION_READY, "TokenValid").await;
}

#[tokio::test]
async fn a_profile_that_does_not_admit_the_api_key() {
    let world = world().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"trustedProfile": {"id": PROFILE}})).await;
    stalled(&world, "hpcs", "ProfileNotEligible", &["BXNIM0398E", "identity"], Some(&data)).await;
    put_profile(&world, &[], &[&key]);
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    let now = world.changed("hpcs", &data).await;
    assert_eq!(claims(&now)["sub_type"], "Profile");
}

#[tokio::test]
async fn a_service_account_that_does_not_exist() {
    let world = world().await;
    let data = ready(&world).await;
    put_profile(&world, &["client", "missing"], &[]);
    world.change_spec("hpcs", &of_service_account("missing")).await;
    let words = ["ServiceAccount missing does not exist", "spec.serviceAccountRef"];
    stalled(&world, "hpcs", "ServiceAccountNotFound", &words, Some(&data)).await;
    put_service_account(&world, "missing").await;
    world.changed("hpcs", &data).await;
    world.condition("hpcs", CONDITION_READY, "TokenValid").await;
}

#[tokio::test]
async fn an_operator_that_may_not_ask_for_tokens() {
    let world = world().await;
    let data = ready(&world).await;
    forbid_tokens(&world).await;
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    let words = ["ServiceAccount client", "(HTTP 403)", "serviceAccountTokens"];
    stalled(&world, "hpcs", "TokenRequestRefused", &words, Some(&data)).await;
    allow_tokens(&world).await;
    world.changed("hpcs", &data).await;
}

/// The operator runs in its own namespace here, where a tenant names its ServiceAccount.
#[tokio::test]
async fn never_the_operators_own_identity() {
    let world = world().await;
    allow_operator(&world.client, OPERATOR_NAMESPACE).await;
    let _operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(world.plane).await,
        namespaces: &[OPERATOR_NAMESPACE.to_owned()],
        endpoints: &[world.iam.url()],
        log_level: "info",
        more: &[],
    });
    let tokens: Api<IamToken> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    put_token(&world.client, OPERATOR_NAMESPACE, "thief", &of_service_account("iam-token-operator")).await;
    let message = eventually("the thief refused", async || {
        let status = tokens.get("thief").await.unwrap().status.unwrap_or_default();
        let stalled = condition(&status, CONDITION_STALLED).filter(|c| c.reason == "TokenRequestRefused").cloned();
        stalled.ok_or(status)
    })
    .await
    .message;
    assert!(message.contains("the operator's own"), "{message}");
    assert_eq!(world.iam.calls().len(), 0);
}

#[tokio::test]
async fn a_token_of_another_account() {
    let world = world().await;
    let data = ready(&world).await;
    world.change_spec("hpcs", &json!({"accountId": "0000000000000000000000000000000f"})).await;
    stalled(&world, "hpcs", "AccountMismatch", &["BXNIM0141E", "spec.accountId"], Some(&data)).await;
    world.change_spec("hpcs", &json!({"accountId": null})).await;
    world.condition("hpcs", CONDITION_READY, "TokenValid").await;
}
