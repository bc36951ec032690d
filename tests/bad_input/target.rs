//! A target that is somebody else's, or that cannot be written.

use serde_json::{Value, json};

use crate::checks::{
    calm, create_secret, made_anew, patch_secret, put_good_key, put_with_target, ready_at_once, secret, spec_of,
    spec_with_target, stalled_and_not_ready, stalled_but_ready,
};
use crate::cluster::lax_world;
use crate::harness::World;

/// A controller that nobody runs.
fn controller(kind: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": "other", "uid": "0000-1", "controller": true}])
}

/// A Secret `hpcs` that was there before.
async fn put_foreign(world: &World, owners: &Value) -> Option<String> {
    let foreign = json!({"metadata": {"name": "hpcs", "ownerReferences": owners},
        "stringData": {"token": "theirs", "ca.crt": "theirs"}});
    create_secret(world, &foreign).await.metadata.resource_version
}

async fn assert_untouched(world: &World, version: Option<&String>) {
    assert_eq!(secret(world, "hpcs").await.metadata.resource_version.as_ref(), version, "the foreign Secret");
}

#[tokio::test]
async fn a_foreign_target_is_left_alone_until_it_may_be_adopted() {
    let world = World::start().await;
    let version = put_foreign(&world, &json!([])).await;
    put_good_key(&world, "hpcs").await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    let words = ["Secret hpcs", "spec.target.adopt", "spec.target.name", "delete the Secret"];
    stalled_and_not_ready(&world, "hpcs", "TargetExists", &words).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
    assert_untouched(&world, version.as_ref()).await;
    world.change_spec("hpcs", &json!({"target": {"adopt": true}})).await;
    ready_at_once(&world, "hpcs").await;
    let data = world.data("hpcs").await.unwrap();
    assert_eq!(data["ca.crt"], "theirs", "a key that the token does not need");
    world.iam.verify(data["token"].as_str().unwrap()).expect("a valid token");
    calm(&world).await;
}

#[tokio::test]
async fn a_foreign_target_that_goes_away_is_replaced() {
    let world = World::start().await;
    put_foreign(&world, &json!([])).await;
    put_good_key(&world, "hpcs").await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    stalled_and_not_ready(&world, "hpcs", "TargetExists", &[]).await;
    world.delete_secret("hpcs").await;
    ready_at_once(&world, "hpcs").await;
    assert!(world.data("hpcs").await.unwrap().get("ca.crt").is_none());
}

#[tokio::test]
async fn a_target_with_another_controller_is_never_taken() {
    let world = World::start().await;
    let version = put_foreign(&world, &controller("Deployment")).await;
    put_with_target(&world, "hpcs", &json!({})).await;
    let words = ["Secret hpcs", "Deployment/other", "spec.target.name"];
    stalled_and_not_ready(&world, "hpcs", "TargetExists", &words).await;
    world.change_spec("hpcs", &json!({"target": {"adopt": true}})).await;
    stalled_and_not_ready(&world, "hpcs", "TargetExists", &words).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
    assert_untouched(&world, version.as_ref()).await;
    patch_secret(&world, "hpcs", &json!({"metadata": {"ownerReferences": null}})).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.data("hpcs").await.unwrap()["ca.crt"], "theirs");
}

#[tokio::test]
async fn a_target_that_another_controller_takes_is_let_go() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    patch_secret(&world, "hpcs", &json!({"metadata": {"ownerReferences": controller("Deployment")}})).await;
    stalled_and_not_ready(&world, "hpcs", "TargetExists", &["Secret hpcs", "Deployment/other"]).await;
    calm(&world).await;
    assert_eq!(world.data("hpcs").await, Some(data));
    world.delete_secret("hpcs").await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn an_immutable_target_is_said_and_made_anew_once_deleted() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let uid = patch_secret(&world, "hpcs", &json!({"immutable": true})).await.metadata.uid;
    world.annotate("hpcs", "iamtoken.dev/refresh-requested", "now").await;
    let words = ["Secret hpcs", "immutable", "Delete it"];
    stalled_but_ready(&world, "hpcs", "TargetImmutable", &words, ("hpcs", &data)).await;
    calm(&world).await;
    let exchanges = world.iam.exchanges_of(&key);
    assert!(exchanges <= 2, "{exchanges} exchanges for one refresh that was asked for");
    world.delete_secret("hpcs").await;
    made_anew(&world, "hpcs", uid.as_ref()).await;
    assert_eq!(ready_at_once(&world, "hpcs").await.last_handled_refresh.as_deref(), Some("now"));
}

#[tokio::test]
async fn a_new_type_needs_a_new_secret() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let uid = secret(&world, "hpcs").await.metadata.uid;
    world.change_spec("hpcs", &json!({"target": {"type": "example.com/token"}})).await;
    let words = ["Secret hpcs", "another type", "Delete the Secret", "spec.target.type"];
    stalled_but_ready(&world, "hpcs", "TargetTypeMismatch", &words, ("hpcs", &data)).await;
    calm(&world).await;
    world.delete_secret("hpcs").await;
    let anew = made_anew(&world, "hpcs", uid.as_ref()).await;
    assert_eq!(anew.type_.as_deref(), Some("example.com/token"));
    ready_at_once(&world, "hpcs").await;
}

/// The type follows from the key where the spec names none.
#[tokio::test]
async fn a_pull_secret_where_there_was_another_needs_a_new_secret() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let uid = secret(&world, "hpcs").await.metadata.uid;
    let pull = json!({"key": ".dockerconfigjson", "format": "DockerConfigJson", "registries": ["us.icr.io"]});
    world.change_spec("hpcs", &json!({"target": {"data": [pull]}})).await;
    let words = ["Secret hpcs", "another type", "its keys", "Delete the Secret", "spec.target.data"];
    stalled_but_ready(&world, "hpcs", "TargetTypeMismatch", &words, ("hpcs", &data)).await;
    calm(&world).await;
    world.delete_secret("hpcs").await;
    let anew = made_anew(&world, "hpcs", uid.as_ref()).await;
    assert_eq!(anew.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn a_new_type_can_be_taken_back() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"target": {"type": "example.com/token"}})).await;
    stalled_but_ready(&world, "hpcs", "TargetTypeMismatch", &[], ("hpcs", &data)).await;
    world.change_spec("hpcs", &json!({"target": {"type": null}})).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.data("hpcs").await, Some(data));
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn a_secret_of_another_type_cannot_be_adopted() {
    let world = World::start().await;
    let foreign =
        json!({"metadata": {"name": "hpcs"}, "type": "example.com/theirs", "stringData": {"ca.crt": "theirs"}});
    let version = create_secret(&world, &foreign).await.metadata.resource_version;
    put_with_target(&world, "hpcs", &json!({"adopt": true})).await;
    let words = ["Secret hpcs", "another type", "spec.target.type"];
    stalled_and_not_ready(&world, "hpcs", "TargetTypeMismatch", &words).await;
    calm(&world).await;
    assert_untouched(&world, version.as_ref()).await;
    world.change_spec("hpcs", &json!({"target": {"type": "example.com/theirs"}})).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.data("hpcs").await.unwrap()["ca.crt"], "theirs");
}

#[tokio::test]
async fn a_target_cannot_grow_over_a_mebibyte() {
    let world = World::start().await;
    let foreign = json!({"metadata": {"name": "hpcs"}, "stringData": {"big": "x".repeat((1 << 20) - 100)}});
    let version = create_secret(&world, &foreign).await.metadata.resource_version;
    put_with_target(&world, "hpcs", &json!({"adopt": true})).await;
    stalled_and_not_ready(&world, "hpcs", "TargetTooLarge", &["Secret hpcs", "1 MiB", "Remove keys"]).await;
    calm(&world).await;
    assert_untouched(&world, version.as_ref()).await;
    assert!(world.iam.calls().len() <= 1, "one try is enough");
    patch_secret(&world, "hpcs", &json!({"data": {"big": null}})).await;
    ready_at_once(&world, "hpcs").await;
}

/// What the schema of an older CRD lets through and the API server's validation of Secrets does not.
#[tokio::test]
async fn a_target_that_the_api_server_refuses_costs_no_token() {
    let world = lax_world().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let refused = [
        json!({"labels": {"not a label": "x"}}),
        json!({"labels": {"long": "x".repeat(64)}}),
        json!({"annotations": {"a/b/c": "x"}}),
    ];
    for target in refused {
        world.change_spec("hpcs", &json!({"target": target})).await;
        let words = ["Secret hpcs", "spec.target", "metadata."];
        stalled_but_ready(&world, "hpcs", "TargetInvalid", &words, ("hpcs", &data)).await;
        calm(&world).await;
        world.change_spec("hpcs", &json!({"target": null})).await;
        ready_at_once(&world, "hpcs").await;
    }
    assert_eq!(world.iam.calls().len(), 1);
}

/// A type of Kubernetes' own asks for keys that the token does not have.
#[tokio::test]
async fn a_type_that_wants_other_keys_is_refused() {
    let world = World::start().await;
    put_good_key(&world, "hpcs").await;
    world.put_token("hpcs", &spec_with_target("hpcs", &json!({"type": "kubernetes.io/tls"}))).await;
    stalled_and_not_ready(&world, "hpcs", "TargetInvalid", &["Secret hpcs", "type"]).await;
    calm(&world).await;
    assert!(world.iam.calls().len() <= 1, "one try is enough");
    world.change_spec("hpcs", &json!({"target": {"type": null}})).await;
    ready_at_once(&world, "hpcs").await;
}
