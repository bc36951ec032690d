//! Every target holds a token of its own key and of no other, whatever runs beside it.

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use std::time::Duration;
use testkit::fake_iam::{FakeIam, fake_api_key};

use crate::harness::{
    Operator, Start, allow_operator, data_of, eventually, kubeconfig, new_namespace, prepared, put_secret, put_token,
};

const NAMESPACES: usize = 50;
const ROTATIONS: usize = 3;

#[tokio::test]
async fn fifty_namespaces_with_the_same_names_never_mix_their_tokens() {
    let plane = prepared().await;
    let client = plane.admin();
    let iam = FakeIam::start();
    iam.set_lifetime(6);
    iam.set_latency(Duration::from_millis(20));
    let mut namespaces = vec![];
    for _ in 0..NAMESPACES {
        let namespace = new_namespace(&client).await;
        allow_operator(&client, &namespace).await;
        namespaces.push(namespace);
    }
    let _operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(plane).await,
        namespaces: &namespaces,
        endpoints: &[iam.url()],
        log_level: "info",
        more: &["--concurrency", "50"],
    });
    for rotation in 0..ROTATIONS {
        stream::iter(&namespaces)
            .for_each_concurrent(10, async |namespace| {
                let key = iam.service_id_key(&format!("{namespace}-{rotation}"));
                put_secret(&client, namespace, "key", &json!({"apikey": key})).await;
                if rotation == 0 {
                    put_token(&client, namespace, "token", &json!({"apiKeySecretRef": {"name": "key"}})).await;
                }
                let mine = iam.identity_of(&key).unwrap().iam_id;
                let earlier: Vec<String> = (0..rotation).map(|earlier| identity(&iam, namespace, earlier)).collect();
                let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
                eventually(&format!("{namespace}: a token of its own key"), async || {
                    let Some(secret) = secrets.get_opt("token").await.unwrap() else { return Err("none".to_owned()) };
                    let claims =
                        iam.verify(data_of(&secret)["token"].as_str().unwrap()).map_err(|e| format!("{e:?}"))?;
                    let owner = claims["iam_id"].as_str().unwrap().to_owned();
                    assert!(owner == mine || earlier.contains(&owner), "{namespace} holds a token of another's key");
                    if owner == mine { Ok(()) } else { Err(owner) }
                })
                .await;
            })
            .await;
        assert_own(&client, &iam, &namespaces, rotation).await;
    }
}

/// No target holds a token of another namespace's key, not even of an earlier rotation.
async fn assert_own(client: &kube::Client, iam: &FakeIam, namespaces: &[String], rotation: usize) {
    for namespace in namespaces {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let data = data_of(&secrets.get("token").await.unwrap());
        let claims = iam.verify(data["token"].as_str().unwrap()).expect("a valid token");
        assert_eq!(claims["iam_id"], json!(identity(iam, namespace, rotation)), "in {namespace}");
    }
}

/// Whose the key of this namespace and rotation is.
fn identity(iam: &FakeIam, namespace: &str, rotation: usize) -> String {
    iam.identity_of(&fake_api_key(&format!("{namespace}-{rotation}"))).unwrap().iam_id
}
