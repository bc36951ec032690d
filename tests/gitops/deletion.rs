//! Deleting anything never waits for the operator.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
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

/// What Kubernetes' garbage collector does, which doesn't run here (`pkg/controller/garbagecollector`): an object goes
/// when it has owners and none of them is there any more.
async fn collect_garbage(world: &World) {
    for secret in world.secrets().list(&ListParams::default()).await.unwrap().items {
        let owners = secret.owner_references();
        let mut orphaned = !owners.is_empty();
        for owner in owners {
            let (group, version) = owner.api_version.split_once('/').unwrap();
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &owner.kind));
            let api: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
            let found = api.get_opt(&owner.name).await.unwrap();
            orphaned &= found.and_then(|found| found.metadata.uid).as_ref() != Some(&owner.uid);
        }
        if orphaned {
            world.delete_secret(&secret.name_any()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_policy_says_what_is_collected() {
    let world = World::start().await;
    let key = world.iam.service_id_key("policies");
    world.put_key("key", &key).await;
    for (name, policy) in [("goes", "Delete"), ("stays", "Retain"), ("kept", "Delete"), ("given-up", "Retain")] {
        let spec = json!({"apiKeySecretRef": {"name": "key"}, "target": {"deletionPolicy": policy}});
        world.put_token(name, &spec).await;
        world.ready(name).await;
    }
    for (name, policy) in [("kept", "Retain"), ("given-up", "Delete")] {
        world.change_spec(name, &json!({"target": {"deletionPolicy": policy}})).await;
    }
    eventually("the new policies", async || {
        let owned = async |name: &str| !world.secrets().get(name).await.unwrap().owner_references().is_empty();
        let owned = (owned("kept").await, owned("given-up").await);
        if owned == (false, true) { Ok(()) } else { Err(owned) }
    })
    .await;
    collect_garbage(&world).await;
    sleep(REPAIRED_BY_NOW).await;
    let before = [world.data("stays").await.unwrap(), world.data("kept").await.unwrap()];
    let asked = world.iam.calls_of(&key).len();
    world.tokens().delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    collect_garbage(&world).await;
    sleep(REPAIRED_BY_NOW).await;
    assert_eq!((world.data("goes").await, world.data("given-up").await), (None, None));
    assert_eq!([world.data("stays").await.unwrap(), world.data("kept").await.unwrap()], before);
    world.iam.verify(before[0]["token"].as_str().unwrap()).expect("good until it dies");
    assert_eq!(world.iam.calls_of(&key).len(), asked);
}

/// With these, the IamToken is there until the garbage collector has deleted the target, or taken its owner away.
#[tokio::test(flavor = "multi_thread")]
async fn an_iamtoken_that_is_being_deleted_holds_nobody_up() {
    let world = World::start().await;
    for (name, how) in [("foreground", DeleteParams::foreground()), ("orphan", DeleteParams::orphan())] {
        world.put_pair(name).await;
        world.ready(name).await;
        world.tokens().delete(name, &how).await.unwrap();
        assert!(world.tokens().get(name).await.unwrap().metadata.deletion_timestamp.is_some(), "{name}");
    }
    sleep(REPAIRED_BY_NOW).await;
    world.delete_secret("foreground").await;
    let no_owner = Patch::Merge(json!({"metadata": {"ownerReferences": null}}));
    let left = world.secrets().patch("orphan", &PatchParams::default(), &no_owner).await.unwrap();
    sleep(REPAIRED_BY_NOW).await;
    assert_eq!(world.data("foreground").await, None, "it was made again");
    let version = world.secrets().get("orphan").await.unwrap().metadata.resource_version;
    assert_eq!(version, left.metadata.resource_version, "it was taken back");
    for name in ["foreground", "orphan"] {
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        world.tokens().patch(name, &PatchParams::default(), &none).await.unwrap();
        assert!(world.tokens().get_opt(name).await.unwrap().is_none(), "{name}");
    }
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
