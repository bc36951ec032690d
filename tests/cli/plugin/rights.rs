//! What it takes to use the plugin, and what is said where that is missing.

use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};

use super::{kubeconfig, plugin_as};
use crate::harness::World;

/// Binds what Kubernetes' own role of that name is put together from, with what the chart adds to it. On a cluster the
/// controller manager does that.
async fn bind(world: &World, user: &str, role: &str) {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/rbac.yaml")).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
    let ours = objects.iter().filter(|object| object["metadata"]["labels"][&label] == "true");
    let parts: &[&str] = if role == "edit" { &["view", "edit"] } else { &["view"] };
    let mut names: Vec<String> = parts.iter().map(|part| format!("system:aggregate-to-{part}")).collect();
    let kubernetes = names.len();
    for object in ours {
        let ours: ClusterRole = serde_json::from_value(object.clone()).unwrap();
        let name = ours.metadata.name.clone().unwrap();
        let params = PatchParams::apply("tests").force();
        Api::<ClusterRole>::all(world.client.clone()).patch(&name, &params, &Patch::Apply(&ours)).await.unwrap();
        names.push(name);
    }
    assert!(names.len() > kubernetes, "the chart aggregates nothing to {role}");
    for name in names {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{user}-{}", name.replace(':', "-"))},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        }))
        .unwrap();
        let api: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
        api.create(&PostParams::default(), &binding).await.unwrap();
    }
}

#[tokio::test]
async fn edit_is_enough_for_every_command() {
    let world = World::start().await;
    bind(&world, "ada", "edit").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let ada = world.plane.kubeconfig_for_user("ada", &[]);
    for args in [
        &["list"][..],
        &["status", "hpcs"],
        &["events", "hpcs"],
        &["refresh", "hpcs", "--wait"],
        &["suspend", "hpcs"],
        &["resume", "hpcs"],
        &["explain", "hpcs"],
    ] {
        plugin_as(&ada, &[args, &["-n", &world.namespace]].concat()).run().succeeded();
    }
}

#[tokio::test]
async fn view_sees_all_but_tokens_and_changes_nothing() {
    let world = World::start().await;
    bind(&world, "bob", "view").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let bob = world.plane.kubeconfig_for_user("bob", &[]);
    let call = |args: &[&str]| plugin_as(&bob, &[args, &["-n", &world.namespace]].concat()).run();
    for args in [&["list"][..], &["status", "hpcs"], &["events", "hpcs"]] {
        let out = call(args).succeeded();
        assert!(!out.contains("You may not"), "{out}");
    }
    for (args, what) in [
        (&["refresh", "hpcs"][..], "you may not patch IamToken hpcs"),
        (&["suspend", "hpcs"], "you may not patch IamToken hpcs"),
        (&["explain", "hpcs"], "you may not get Secret hpcs"),
    ] {
        let err = call(args).complained();
        assert!(err.contains(what) && err.contains("the ClusterRole edit in namespace"), "{err}");
    }
    let err = plugin_as(&bob, &["list", "-A"]).run().complained();
    assert!(err.contains("list IamTokens in all namespaces") && err.contains("-n"), "{err}");
}

#[tokio::test]
async fn whoever_may_do_nothing_is_told_so() {
    let world = World::start().await;
    let eve = world.plane.kubeconfig_for_user("eve", &[]);
    for args in [&["list"][..], &["status", "hpcs"], &["refresh", "--all"], &["events", "hpcs"]] {
        let err = plugin_as(&eve, &[args, &["-n", &world.namespace]].concat()).run().complained();
        assert!(err.contains("you may not") && err.contains("the ClusterRole view"), "{err}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_told_from_one_without_the_operator() {
    let world = World::start().await;
    let dead =
        kubeconfig(&world, "dead", |config| config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1"));
    let err = plugin_as(&dead, &["list"]).run().complained();
    assert!(err.contains("can't be reached") && err.contains("Check the kubeconfig"), "{err}");
    for args in [&["list", "--kubeconfig", "/nowhere"][..], &["list", "--context", "none"]] {
        let err = plugin_as(&world.plane.kubeconfig_for_admin(), args).run().complained();
        assert!(err.contains("kubeconfig"), "{err}");
    }
    let bare = ControlPlane::start(Options::default()).await;
    for args in [&["list"][..], &["status", "hpcs"], &["refresh", "hpcs"], &["resume", "--all"], &["explain", "hpcs"]] {
        let err = plugin_as(&bare.kubeconfig_for_admin(), args).run().complained();
        assert!(err.contains("the CRD iamtokens.iamtoken.dev is not installed"), "{err}");
    }
}
