//! Deleting anything never waits for the operator.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};
use testkit::fake_iam::FakeIam;
use tokio::time::sleep;

use crate::harness::{
    Operator, Start, World, allow_operator, eventually, install, install_crd, kubeconfig, new_namespace, put_secret,
    put_token,
};
use crate::{kubectl, text_of};

/// Long enough for the operator to put back what it wants to have.
const REPAIRED_BY_NOW: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_operator_writes_has_a_finalizer() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    eventually("an event", async || {
        let kinds = "iamtokens,secrets,events.events.k8s.io,leases";
        let text = text_of(kubectl(world.plane, &world.namespace, &["get", kinds, "-o", "json"]), b"");
        let list: Value = serde_json::from_str(&text).unwrap();
        let objects = list["items"].as_array().unwrap();
        for object in objects {
            assert_eq!(object["metadata"]["finalizers"], Value::Null, "{object:#}");
        }
        if objects.iter().any(|object| object["kind"] == "Event") { Ok(()) } else { Err(objects.len()) }
    })
    .await;
}

/// The namespace controller deletes what is in the namespace, kind by kind; nothing may come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_can_be_emptied() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    // The target first: the operator would like to restore it as long as the IamToken is there.
    world.secrets().delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    sleep(REPAIRED_BY_NOW).await;
    world.tokens().delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    sleep(REPAIRED_BY_NOW).await;
    let secrets = world.secrets().list(&ListParams::default()).await.unwrap().items;
    let tokens = world.tokens().list(&ListParams::default()).await.unwrap().items;
    assert_eq!((secrets.len(), tokens.len()), (0, 0), "the namespace would stay for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crd_can_be_deleted_and_comes_back() {
    let plane = ControlPlane::start(Options::default()).await;
    install(&plane).await;
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    let iam = FakeIam::start();
    let mut operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(&plane).await,
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: "info",
        more: &[],
    });
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let key = iam.service_id_key("crd");
    put_secret(&client, &namespace, "key", &json!({"apikey": key})).await;
    for name in ["before", "after"] {
        put_token(&client, &namespace, name, &json!({"apiKeySecretRef": {"name": "key"}})).await;
        eventually(&format!("a token {name} the CRD was deleted"), async || {
            secrets.get_opt(name).await.unwrap().ok_or(operator.log())
        })
        .await;
        if name == "before" {
            let delete = ["delete", "crd", "iamtokens.iamtoken.dev", "--timeout=30s"];
            text_of(kubectl(&plane, &namespace, &delete), b"");
            sleep(REPAIRED_BY_NOW).await;
            assert_eq!(operator.exit_code(), None, "{}", operator.log());
            install_crd(&plane).await;
        }
    }
    assert_eq!(operator.exit_code(), None, "{}", operator.log());
}
