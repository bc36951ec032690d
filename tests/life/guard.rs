//! What somebody else puts in the target's place between a look and a write is never overwritten.

use iam_token_operator::api::IamTokenSpec;
use iam_token_operator::cluster::target::Targets;
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::observed::Seen;
use iam_token_operator::core::plan::Plan;
use iam_token_operator::core::problem::{ApiKind, Problem};
use iam_token_operator::core::record::{Mark, Owner, Record};
use iam_token_operator::core::render::{self, Expect};
use iam_token_operator::core::view::Key;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, Client};
use secrecy::SecretString;
use serde_json::json;

use crate::harness::{data_of, new_namespace, prepared, put_secret};

/// The Secret `target` as the operator applies it where it expects it so.
fn rendered(namespace: &str, expect: &Expect) -> Secret {
    let spec: IamTokenSpec =
        serde_json::from_value(json!({"apiKeySecretRef": {"name": "key"}, "target": {"deletionPolicy": "Retain"}}))
            .unwrap();
    let endpoints = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    let key = Key::new(namespace, "target");
    let plan = Plan::new(&key, &spec, &endpoints.into(), |_| Err(Problem::NothingIsLent)).unwrap();
    let record = Record {
        owner: Owner { namespace: namespace.into(), name: "target".into(), uid: "uid-1".into() },
        refreshed_at: Timestamp::UNIX_EPOCH,
        lifetime: 3600,
        jitter: 0,
        source: Mark { uid: "s".into(), version: "1".into() },
        credential: "c".into(),
        token: "t".into(),
        ask: plan.ask.clone(),
        shape: plan.shape.clone(),
        refresh_requested: None,
        identity: None,
        skew: 0,
        server_ahead: None,
    };
    render::secret(&plan, &record, &SecretString::from("FAKE-token"), expect).unwrap()
}

async fn refused(client: &Client, namespace: &str, expect: &Expect) {
    let problem = Targets::new(client, namespace).apply(&rendered(namespace, expect)).await.unwrap_err();
    assert_eq!(problem.kind, ApiKind::Conflict, "{expect:?}");
}

async fn exactly(client: &Client, namespace: &str) -> Expect {
    let seen = Targets::new(client, namespace).look("target").await.unwrap();
    let mark = seen.facts().unwrap().mark.clone();
    Expect::Exactly { uid: mark.uid, version: mark.version }
}

#[tokio::test]
async fn a_secret_that_appeared_meanwhile_is_left_alone() {
    let client = prepared().await.admin();
    let namespace = new_namespace(&client).await;
    let theirs = json!({"token": "theirs"});
    put_secret(&client, &namespace, "target", &theirs).await;
    refused(&client, &namespace, &Expect::Absent).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    assert_eq!(data_of(&secrets.get("target").await.unwrap()), theirs);
}

#[tokio::test]
async fn a_secret_that_changed_vanished_or_was_replaced_meanwhile_is_left_alone() {
    let client = prepared().await.admin();
    let namespace = new_namespace(&client).await;
    let targets = Targets::new(&client, &namespace);
    targets.apply(&rendered(&namespace, &Expect::Absent)).await.expect("it can be made where there is none");
    let seen = exactly(&client, &namespace).await;
    put_secret(&client, &namespace, "target", &json!({"other": "x"})).await;
    refused(&client, &namespace, &seen).await;

    let seen = exactly(&client, &namespace).await;
    targets.apply(&rendered(&namespace, &seen)).await.expect("it can be written as it was seen");

    let seen = exactly(&client, &namespace).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    secrets.delete("target", &DeleteParams::default()).await.unwrap();
    refused(&client, &namespace, &seen).await;
    assert_eq!(targets.look("target").await.unwrap(), Seen::Absent);

    put_secret(&client, &namespace, "target", &json!({"token": "theirs"})).await;
    refused(&client, &namespace, &seen).await;
}
