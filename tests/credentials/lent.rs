//! Keys that stay where those who use their tokens can't read them.

use std::time::Duration;

use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use testkit::fake_iam::{DEFAULT_ACCOUNT, FakeIam, Fault, KeyState, Profile, Times};

use crate::harness::{
    OPERATOR_NAMESPACE, Operator, Start, World, condition, data_of, eventually, new_namespace, prepared, put_secret,
};
use crate::lender::Bank;
use crate::setup::claims;

fn both(bank: &Bank) -> Value {
    json!({"names": [bank.world.namespace, bank.other]})
}

#[tokio::test]
async fn one_exchange_serves_all_who_are_admitted_and_nobody_gets_the_key() {
    let (bank, key) = Bank::open_with(both).await;
    let home = bank.world.namespace.clone();
    let mut tokens = vec![];
    for (namespace, name) in [(&home, "a"), (&home, "b"), (&bank.other, "a")] {
        bank.put_token(namespace, name).await;
        tokens.push(bank.ready(namespace, name).await);
    }
    assert_eq!(bank.world.iam.exchanges_of(&key), 1);
    assert!(tokens.iter().all(|data| data["token"] == tokens[0]["token"]));
    assert_eq!(bank.credential_says(CONDITION_READY, "CredentialUsable").await.status, "True");

    let next = bank.world.iam.service_id_key("next");
    bank.put_key(&next).await;
    for (namespace, name) in [(&home, "a"), (&home, "b"), (&bank.other, "a")] {
        eventually("the token of the new key", async || {
            let data = bank.ready(namespace, name).await;
            if data["token"] == tokens[0]["token"] { Err(data) } else { Ok(()) }
        })
        .await;
    }
    assert_eq!(bank.world.iam.exchanges_of(&next), 1);
    for namespace in [&home, &bank.other] {
        let secrets: Api<Secret> = Api::namespaced(bank.world.client.clone(), namespace);
        let secrets = secrets.list(&ListParams::default()).await.unwrap().items;
        assert!(!secrets.is_empty(), "nothing there to look at");
        let seen: String = secrets.iter().map(|secret| data_of(secret).to_string()).collect();
        assert!(!seen.contains(&key) && !seen.contains(&next), "the key is in namespace {namespace}");
    }
    bank.insist("a").await;
    bank.world.iam.set_key_state(&next, KeyState::Disabled);
    bank.insist("b").await;
    bank.stalled("b", "CredentialNotReady").await;
    bank.world.assert_hidden(&[key, next]).await;
}

#[tokio::test]
async fn a_namespace_that_is_not_admitted_is_told_so_and_gets_in_and_out_by_its_label() {
    let (bank, key) = Bank::open_with(|_| json!({"selector": {"matchLabels": {"payments": "yes"}}})).await;
    let home = bank.world.namespace.clone();
    bank.put_token(&home, "hpcs").await;
    let message = bank.stalled("hpcs", "NamespaceNotAdmitted").await;
    assert!(message.contains(&format!("namespace {home}")) && message.contains("allowedNamespaces"), "{message}");
    assert!(!message.contains(&bank.vault) && !message.contains("shared-key"), "{message}");
    assert_eq!(bank.world.iam.calls().len(), 0);

    bank.label(&home, &json!({"payments": "yes"})).await;
    let data = bank.ready(&home, "hpcs").await;
    bank.label(&home, &json!({"payments": null})).await;
    bank.stalled("hpcs", "NamespaceNotAdmitted").await;
    bank.insist("hpcs").await;
    let status = bank.status("hpcs").await;
    let ready = condition(&status, CONDITION_READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "RefreshFailing"), "its token is still good");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bank.world.data("hpcs").await, Some(data), "it is left, and not refreshed");
    assert_eq!(bank.world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_off_the_list_ends_its_refreshes() {
    let (bank, key) = Bank::open_with(both).await;
    bank.world.iam.set_lifetime(12);
    let home = bank.world.namespace.clone();
    for namespace in [&home, &bank.other] {
        bank.put_token(namespace, "hpcs").await;
        bank.ready(namespace, "hpcs").await;
    }
    bank.change_credential(&json!({"allowedNamespaces": {"names": [bank.other]}})).await;
    bank.stalled("hpcs", "NamespaceNotAdmitted").await;
    eventually("the token dead", async || {
        let status = bank.status("hpcs").await;
        let ready = condition(&status, CONDITION_READY).unwrap();
        if ready.reason == "NamespaceNotAdmitted" && ready.status == "False" { Ok(()) } else { Err(status) }
    })
    .await;
    bank.ready(&bank.other, "hpcs").await;
    assert!(bank.world.iam.exchanges_of(&key) > 1, "the others are refreshed as before");
}

#[tokio::test]
async fn a_credential_that_is_missing_changed_or_deleted() {
    let bank = Bank::open().await;
    let home = bank.world.namespace.clone();
    let keys = ["one", "two"].map(|name| bank.world.iam.service_id_key(&format!("{}-{name}", bank.vault)));
    bank.put_key(&keys[0]).await;
    bank.put_token(&home, "hpcs").await;
    let message = bank.stalled("hpcs", "CredentialNotFound").await;
    assert!(message.contains(&bank.credential) && message.contains("spec.credentialRef.name"), "{message}");

    bank.put_credential(&json!({"allowedNamespaces": both(&bank)})).await;
    let first = bank.ready(&home, "hpcs").await;
    put_secret(&bank.world.client, &bank.vault, "other-key", &json!({"k": keys[1]})).await;
    let other = json!({"apiKeySecretRef": {"name": "other-key", "key": "k"}});
    bank.change_credential(&other).await;
    let second = bank.world.changed("hpcs", &first).await;
    assert_ne!(claims(&second)["iam_id"], claims(&first)["iam_id"]);

    bank.delete_credential().await;
    bank.stalled("hpcs", "CredentialNotFound").await;
    assert_eq!(bank.world.data("hpcs").await, Some(second));
    assert_eq!(bank.world.iam.exchanges(), 2);
}

#[tokio::test]
async fn a_key_that_iam_rejects_is_the_admins_to_know_of_and_mend() {
    let (bank, key) = Bank::open_with(both).await;
    let home = bank.world.namespace.clone();
    bank.put_token(&home, "hpcs").await;
    let data = bank.ready(&home, "hpcs").await;
    bank.world.iam.set_key_state(&key, KeyState::Disabled);
    bank.insist("hpcs").await;
    let message = bank.stalled("hpcs", "CredentialNotReady").await;
    assert!(message.contains(&format!("kubectl describe clusteriamcredential {}", bank.credential)), "{message}");
    for hidden in [&bank.vault, "shared-key", "BXNIM", &bank.world.iam.url()] {
        assert!(!message.contains(hidden), "{hidden} is in: {message}");
    }
    assert_eq!(bank.world.data("hpcs").await, Some(data));
    let told = bank.credential_says(CONDITION_STALLED, "CredentialRejected").await.message;
    for word in [&*format!("In namespace {}", bank.vault), "BXNIM0462E", "disabled"] {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
    bank.put_key(&bank.world.iam.service_id_key("mended")).await;
    bank.ready(&home, "hpcs").await;
    assert_eq!(bank.credential_says(CONDITION_READY, "CredentialUsable").await.status, "True");
}

#[tokio::test]
async fn an_iam_that_is_down_passes_and_is_told_as_that() {
    let (bank, _) = Bank::open_with(both).await;
    let home = bank.world.namespace.clone();
    bank.world.iam.fault_any(Fault::status(503), Times::Forever);
    bank.put_token(&home, "hpcs").await;
    let message = bank.world.condition("hpcs", CONDITION_RECONCILING, "IamUnavailable").await.message;
    assert!(message.contains("again by itself") && !message.contains(&bank.world.iam.url()), "{message}");
    let told = bank.credential_says(CONDITION_RECONCILING, "IamUnavailable").await.message;
    assert!(told.contains(&bank.world.iam.url()), "{told}");
    bank.world.iam.clear_faults();
    bank.ready(&home, "hpcs").await;
}

#[tokio::test]
async fn a_secret_that_is_missing_or_out_of_reach() {
    let bank = Bank::open().await;
    let home = bank.world.namespace.clone();
    bank.put_credential(&json!({"allowedNamespaces": both(&bank)})).await;
    bank.credential_says(CONDITION_STALLED, "SourceNotFound").await;
    bank.put_token(&home, "hpcs").await;
    let message = bank.stalled("hpcs", "CredentialNotReady").await;
    assert!(!message.contains("shared-key"), "{message}");
    bank.put_key(&bank.world.iam.service_id_key(&bank.vault)).await;
    let data = bank.ready(&home, "hpcs").await;

    let elsewhere = json!({"apiKeySecretRef": {"namespace": bank.other}});
    bank.change_credential(&elsewhere).await;
    bank.stalled("hpcs", "CredentialNotReady").await;
    let told = bank.credential_says(CONDITION_STALLED, "InvalidSpec").await.message;
    // Which namespaces it may be instead, the operators of the other tests say too.
    for word in [&bank.other, "clusterCredentials.namespaces"] {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
    assert_eq!(bank.world.data("hpcs").await, Some(data));
}

#[tokio::test]
async fn a_service_account_can_be_lent_too() {
    let bank = Bank::open().await;
    let (home, client) = (bank.world.namespace.clone(), &bank.world.client);
    bank.world.trust_cluster().await;
    let account = serde_json::from_value(json!({"metadata": {"name": "client"}})).unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &bank.vault);
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let mut profile = Profile::new("Profile-fa4e0000-0000-0000-0000-000000000002", "lent", DEFAULT_ACCOUNT);
    profile.service_accounts = [format!("{}/client", bank.vault)].into();
    let id = profile.id.clone();
    bank.world.iam.add_profile(profile);
    bank.put_credential(&json!({
        "apiKeySecretRef": null, "serviceAccountRef": {"namespace": bank.vault, "name": "client"},
        "trustedProfile": {"id": id}, "allowedNamespaces": both(&bank),
    }))
    .await;
    bank.put_token(&home, "hpcs").await;
    assert_eq!(claims(&bank.ready(&home, "hpcs").await)["sub_type"], "Profile");
    accounts.delete("client", &DeleteParams::default()).await.unwrap();
    bank.insist("hpcs").await;
    let message = bank.stalled("hpcs", "CredentialNotReady").await;
    assert!(!message.contains("ServiceAccount"), "{message}");
    bank.credential_says(CONDITION_STALLED, "ServiceAccountNotFound").await;
}

#[tokio::test]
async fn who_becomes_what_is_the_lenders_to_say() {
    let (bank, _) = Bank::open_with(both).await;
    for (field, value) in
        [("trustedProfile", json!({"id": "p"})), ("endpoint", json!("https://e")), ("accountId", json!("a"))]
    {
        let mut spec = bank.spec();
        spec[field] = value;
        let token = json!({
            "apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": "hpcs"}, "spec": spec,
        });
        let token = serde_json::from_value(token).unwrap();
        let refused = bank.world.tokens().create(&PostParams::default(), &token).await.unwrap_err().to_string();
        assert!(refused.contains("ClusterIamCredential's own"), "{refused}");
    }
}

/// The list can't be had, and nobody else is held up by that.
#[tokio::test]
async fn without_the_right_to_list_credentials_all_others_go_on() {
    let plane = prepared().await;
    let client = plane.admin();
    let (namespace, iam) = (new_namespace(&client).await, FakeIam::start());
    let who = json!({"kind": "ServiceAccount", "name": "stranger", "namespace": OPERATOR_NAMESPACE});
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "stranger"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "iam-token-operator"},
        "subjects": [who],
    }))
    .unwrap();
    Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &binding).await.unwrap();
    let operator = Operator::start(&Start {
        kubeconfig: &plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, "stranger").await,
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: "info",
        more: &["--credential-namespaces", "vault"],
    });
    let world = World { plane, client, namespace, iam, operator };
    world.put_token("lent", &json!({"credentialRef": {"name": "any"}})).await;
    world.put_pair("own").await;
    world.ready("own").await;
    assert!(world.status("lent").await.conditions.is_empty(), "it may yet come");
    tokio::time::sleep(Duration::from_secs(20)).await; // Of the 30 s that the list may take.
    let found = world.condition("lent", CONDITION_RECONCILING, "ApiServerUnavailable").await;
    assert!(found.message.contains("ClusterIamCredentials could not be listed"), "{}", found.message);
}
