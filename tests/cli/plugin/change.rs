//! `suspend` and `resume`.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{plugin, tells_an_hour};
use crate::harness::World;

async fn suspended(world: &World, name: &str) -> Option<bool> {
    world.tokens().get(name).await.unwrap().spec.suspend
}

#[tokio::test]
async fn a_suspended_token_dies_in_its_time_until_it_is_resumed() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let out = plugin(&world, &["suspend", "hpcs"]).run().succeeded();
    let start = "hpcs: suspended. Secret hpcs holds a valid token for another ";
    assert!(out.starts_with(start) && tells_an_hour(&out), "{out}");
    world.condition("hpcs", "Ready", "Suspended").await;
    let list = plugin(&world, &["list"]).run().succeeded();
    assert!(
        list.contains("Ready, suspended") && list.contains("[===================") && !list.contains('|'),
        "{list}"
    );
    assert!(plugin(&world, &["suspend", "hpcs"]).run().succeeded().contains("suspended already"));
    assert!(plugin(&world, &["resume", "hpcs"]).run().succeeded().contains("hpcs: resumed. "));
    world.condition("hpcs", "Ready", "TokenValid").await;
    assert_eq!(suspended(&world, "hpcs").await, Some(false));
}

#[tokio::test]
async fn several_or_all_are_changed_at_once() {
    let world = World::start().await;
    for name in ["one", "two"] {
        world.put_pair(name).await;
    }
    let out = plugin(&world, &["suspend", "--all", "-o", "name"]).run().succeeded();
    assert_eq!(out, "iamtoken.iamtoken.dev/one\niamtoken.iamtoken.dev/two\n");
    let out = plugin(&world, &["resume", "one", "-o", "json"]).run().succeeded();
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["spec"]["suspend"], json!(false));
    assert_eq!((suspended(&world, "one").await, suspended(&world, "two").await), (Some(false), Some(true)));
}

#[tokio::test]
async fn whoever_keeps_the_field_in_a_manifest_is_named() {
    let world = World::start().await;
    let manifest = json!({
        "apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken",
        "metadata": {"name": "hpcs", "namespace": world.namespace},
        "spec": {"apiKeySecretRef": {"name": "hpcs-key"}, "suspend": false},
    });
    for (args, manager) in [
        (&["apply", "-f", "-"][..], "kubectl-client-side-apply"),
        (
            &["apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-"],
            "kustomize-controller",
        ),
    ] {
        let mut kubectl = world.plane.kubectl_cmd(args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        kubectl.stdin.take().unwrap().write_all(manifest.to_string().as_bytes()).unwrap();
        assert!(kubectl.wait().unwrap().success());
        let (out, err) = plugin(&world, &["suspend", "hpcs"]).run().ended(0);
        assert!(out.contains("hpcs: suspended. Secret hpcs holds no valid token."), "{out}");
        assert!(err.contains(manager) && err.contains("will set it back"), "{err}");
    }
}
