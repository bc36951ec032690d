//! Who a target belongs to, and what becomes of it when that changes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::checks::{
    calm, look, patch_secret, put_with_target, ready_at_once, requests, secret, spec_with_target, stalled,
    stalled_and_not_ready,
};
use crate::harness::{World, condition, eventually};

/// The age of an object is told in whole seconds.
const A_SECOND: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn the_older_of_two_wins_and_the_younger_never_writes() {
    let world = World::start().await;
    let (old, new) = put_rivals(&world, &json!({"name": "shared"})).await;
    let before = secret(&world, "shared").await;
    let words = ["Secret shared", "the older IamToken old", "spec.target.name"];
    stalled_and_not_ready(&world, "new", "TargetConflict", &words).await;
    world.annotate("new", "iamtoken.dev/refresh-requested", "now").await;
    world.change_spec("new", &json!({"target": {"adopt": true}})).await;
    stalled_and_not_ready(&world, "new", "TargetConflict", &words).await;
    calm(&world).await;
    let after = secret(&world, "shared").await;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert_eq!((world.iam.exchanges_of(&old), world.iam.exchanges_of(&new)), (1, 0));
    ready_at_once(&world, "old").await;
}

#[tokio::test]
async fn the_younger_takes_over_when_the_older_moves() {
    let world = World::start().await;
    put_rivals(&world, &json!({"name": "shared"})).await;
    world.change_spec("old", &json!({"target": {"name": "elsewhere"}})).await;
    ready_at_once(&world, "new").await;
    ready_at_once(&world, "old").await;
    assert_eq!(controller(&secret(&world, "shared").await).unwrap().name, "new");
    assert_eq!(controller(&secret(&world, "elsewhere").await).unwrap().name, "old");
    calm(&world).await;
}

#[tokio::test]
async fn the_younger_moves_out_of_the_way() {
    let world = World::start().await;
    put_rivals(&world, &json!({"name": "shared"})).await;
    world.change_spec("new", &json!({"target": {"name": "elsewhere"}})).await;
    ready_at_once(&world, "new").await;
    assert_eq!(controller(&secret(&world, "shared").await).unwrap().name, "old");
}

/// Whoever of the two it is: one keeps the target alive, and the other is told.
#[tokio::test]
async fn an_older_one_that_moves_in_does_not_block_both() {
    let world = World::start().await;
    put_with_target(&world, "old", &json!({"name": "first"})).await;
    tokio::time::sleep(A_SECOND).await;
    put_with_target(&world, "new", &json!({"name": "second"})).await;
    ready_at_once(&world, "old").await;
    ready_at_once(&world, "new").await;
    world.change_spec("old", &json!({"target": {"name": "second"}})).await;
    one_has_it(&world, ["old", "new"]).await;
}

#[tokio::test]
async fn two_of_the_same_second_do_not_block_each_other() {
    let world = World::start().await;
    for round in 0..20 {
        let names = [format!("b-{round}"), format!("a-{round}")];
        let target = json!({"name": format!("shared-{round}")});
        put_with_target(&world, &names[0], &target).await;
        ready_at_once(&world, &names[0]).await;
        put_with_target(&world, &names[1], &target).await;
        let [first, second] = [world.tokens().get(&names[0]).await, world.tokens().get(&names[1]).await];
        if first.unwrap().creation_timestamp() == second.unwrap().creation_timestamp() {
            return one_has_it(&world, [&names[0], &names[1]]).await;
        }
    }
    panic!("no two IamTokens within one second");
}

#[tokio::test]
async fn the_younger_takes_over_when_the_older_is_deleted() {
    let world = World::start().await;
    put_rivals(&world, &json!({"name": "shared"})).await;
    delete_token(&world, "old").await;
    stalled(&world, "new", "TargetExists", &["IamToken/old"]).await;
    world.delete_secret("shared").await; // As the garbage collector does.
    ready_at_once(&world, "new").await;
    assert_eq!(controller(&secret(&world, "shared").await).unwrap().name, "new");
}

#[tokio::test]
async fn the_younger_adopts_what_the_older_leaves() {
    let world = World::start().await;
    put_rivals(&world, &json!({"name": "shared", "deletionPolicy": "Retain", "adopt": true})).await;
    let before = secret(&world, "shared").await;
    delete_token(&world, "old").await;
    ready_at_once(&world, "new").await;
    let after = secret(&world, "shared").await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_ne!(after.data, before.data, "the token of the other credential must not stay");
}

#[tokio::test]
async fn a_new_name_moves_the_target() {
    let world = World::start().await;
    let key = put_with_target(&world, "hpcs", &json!({"name": "first"})).await;
    ready_at_once(&world, "hpcs").await;
    world.change_spec("hpcs", &json!({"target": {"name": "second"}})).await;
    gone(&world, "first").await;
    assert_eq!(ready_at_once(&world, "hpcs").await.target.unwrap().name, "second");
    world.iam.verify(world.data("second").await.unwrap()["token"].as_str().unwrap()).expect("a valid token");
    calm(&world).await;
    assert!(world.iam.exchanges_of(&key) <= 2, "one exchange for each name at most");
}

#[tokio::test]
async fn the_old_name_stays_while_the_new_one_cannot_be_written() {
    let world = World::start().await;
    put_with_target(&world, "hpcs", &json!({"name": "first"})).await;
    ready_at_once(&world, "hpcs").await;
    let data = world.data("first").await;
    world.delete_secret("hpcs-key").await;
    stalled(&world, "hpcs", "SourceNotFound", &[]).await;
    world.change_spec("hpcs", &json!({"target": {"name": "second"}})).await;
    stalled_and_not_ready(&world, "hpcs", "SourceNotFound", &[]).await;
    calm(&world).await;
    assert_eq!(world.data("first").await, data, "the old target is in use until the new one is there");
    let key = world.iam.service_id_key("back");
    world.put_key("hpcs-key", &key).await;
    ready_at_once(&world, "hpcs").await;
    gone(&world, "first").await;
}

#[tokio::test]
async fn a_new_name_leaves_what_is_retained() {
    let world = World::start().await;
    put_with_target(&world, "hpcs", &json!({"name": "first", "deletionPolicy": "Retain"})).await;
    ready_at_once(&world, "hpcs").await;
    let first = secret(&world, "first").await;
    world.change_spec("hpcs", &json!({"target": {"name": "second"}})).await;
    eventually("status.target is second", async || {
        let target = world.status("hpcs").await.target;
        if target.as_ref().is_some_and(|target| target.name == "second") { Ok(()) } else { Err(target) }
    })
    .await;
    ready_at_once(&world, "hpcs").await;
    calm(&world).await;
    assert_eq!(secret(&world, "first").await.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn a_new_name_leaves_what_somebody_else_took_over() {
    let world = World::start().await;
    let thief =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "thief", "uid": "0-1", "controller": true}]);
    let table = [
        ("controlled", json!({"metadata": {"ownerReferences": thief}}), "Deployment/thief"),
        (
            "plain",
            json!({"metadata": {"ownerReferences": null, "annotations": {"iamtoken.dev/record": null}}}),
            "adopt",
        ),
    ];
    for (name, theft, words) in table {
        let first = format!("{name}-first");
        put_with_target(&world, name, &json!({"name": first})).await;
        ready_at_once(&world, name).await;
        patch_secret(&world, &first, &theft).await;
        stalled(&world, name, "TargetExists", &[&format!("Secret {first}"), words]).await;
        world.change_spec(name, &json!({"target": {"name": format!("{name}-second")}})).await;
        ready_at_once(&world, name).await;
        calm(&world).await;
        assert!(world.data(&first).await.is_some(), "{first} was somebody else's and is gone");
    }
}

#[tokio::test]
async fn the_deletion_policy_decides_on_the_owner() {
    let world = World::start().await;
    let key = put_with_target(&world, "hpcs", &json!({"deletionPolicy": "Delete"})).await;
    ready_at_once(&world, "hpcs").await;
    let uid = world.tokens().get("hpcs").await.unwrap().uid().unwrap();
    let first = secret(&world, "hpcs").await;
    for (policy, owner) in [("Delete", Some(&uid)), ("Retain", None), ("Delete", Some(&uid))] {
        world.change_spec("hpcs", &json!({"target": {"deletionPolicy": policy}})).await;
        eventually(&format!("{policy}: the owner is {owner:?}"), async || {
            let found = controller(&secret(&world, "hpcs").await).map(|owner| owner.uid);
            if found.as_ref() == owner { Ok(()) } else { Err(found) }
        })
        .await;
        ready_at_once(&world, "hpcs").await;
    }
    assert_eq!(secret(&world, "hpcs").await.data, first.data, "the token is the same");
    assert_eq!(world.iam.exchanges_of(&key), 1);
    calm(&world).await;
}

#[tokio::test]
async fn a_successor_of_the_same_name_takes_over_what_was_retained() {
    let world = World::start().await;
    let retained = json!({"deletionPolicy": "Retain"});
    let key = put_with_target(&world, "hpcs", &retained).await;
    ready_at_once(&world, "hpcs").await;
    let before = secret(&world, "hpcs").await;
    delete_token(&world, "hpcs").await;
    calm(&world).await;
    assert_eq!(secret(&world, "hpcs").await.metadata.resource_version, before.metadata.resource_version);
    let successor = world.put_token("hpcs", &spec_with_target("hpcs", &retained)).await;
    let status = ready_at_once(&world, "hpcs").await;
    assert_eq!(status.target.unwrap().name, "hpcs");
    calm(&world).await;
    assert!(world.iam.exchanges_of(&key) <= 2);
    world.change_spec("hpcs", &json!({"target": {"deletionPolicy": "Delete"}})).await;
    eventually("the successor is the owner", async || {
        let found = controller(&secret(&world, "hpcs").await).map(|owner| owner.uid);
        if found == successor.metadata.uid { Ok(()) } else { Err(found) }
    })
    .await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(secret(&world, "hpcs").await.metadata.uid, before.metadata.uid);
    world.change_spec("hpcs", &json!({"target": {"name": "moved"}})).await;
    gone(&world, "hpcs").await;
}

#[tokio::test]
async fn a_deleted_iamtoken_is_left_at_that() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    calm(&world).await;
    let mark = world.plane.audit_mark().await;
    delete_token(&world, "hpcs").await;
    world.delete_secret("hpcs").await;
    calm(&world).await;
    let seen = requests(&world, mark).await;
    assert!(seen.is_empty(), "{seen:?}");
    assert!(world.data("hpcs").await.is_none());
}

/// Two IamTokens `old` and `new` on one target, which `old` has and `new` is stalled for. Returns their keys.
async fn put_rivals(world: &World, target: &Value) -> (String, String) {
    let old = put_with_target(world, "old", target).await;
    ready_at_once(world, "old").await;
    tokio::time::sleep(A_SECOND).await;
    let new = put_with_target(world, "new", target).await;
    stalled(world, "new", "TargetConflict", &[]).await;
    (old, new)
}

/// Of two IamTokens with one target, one is as it should be and the other is stalled.
async fn one_has_it(world: &World, names: [&str; 2]) {
    calm(world).await;
    eventually(&format!("one of {names:?} has the target"), async || {
        let mut stalled = vec![];
        for name in names {
            let (_, status) = look(world, name).await;
            stalled.extend(condition(&status, "Stalled").map(|c| format!("{name}: {}: {}", c.reason, c.message)));
        }
        if stalled.len() == 1 { Ok(()) } else { Err(stalled) }
    })
    .await;
}

async fn delete_token(world: &World, name: &str) {
    world.tokens().delete(name, &DeleteParams::default()).await.unwrap();
}

async fn gone(world: &World, name: &str) {
    eventually(&format!("Secret {name} gone"), async || match world.data(name).await {
        None => Ok(()),
        Some(_) => Err("still there"),
    })
    .await;
}

fn controller(secret: &Secret) -> Option<OwnerReference> {
    secret.owner_references().iter().find(|owner| owner.controller == Some(true)).cloned()
}
