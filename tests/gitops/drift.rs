//! What was applied stays as it was applied, whoever applies it.

use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::harness::World;
use crate::harness::workloads::{allow_restarts, annotations, until_restarted, workload};
use crate::{kubectl, object, root, run, said, text_of};

/// As Argo CD and Flux call themselves.
const APPLIERS: [&str; 2] = ["argocd-controller", "kustomize-controller"];

/// What they put on objects to know them again.
const MARKS: [&str; 4] = ["argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "kubectl."];

/// Every field of the example, for this world's IAM, with the marks of both tools on it.
fn manifest(world: &World, name: &str) -> String {
    let text = std::fs::read_to_string(root("docs/examples/iamtoken-full.yaml")).unwrap();
    let mut token: Value = serde_saphyr::from_str(&text).unwrap();
    token["metadata"] = json!({
        "name": name,
        "labels": {
            "argocd.argoproj.io/instance": "payments",
            "kustomize.toolkit.fluxcd.io/name": "payments",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            "helm.toolkit.fluxcd.io/name": "payments",
        },
        "annotations": {"argocd.argoproj.io/tracking-id": format!("payments:iamtoken.dev/IamToken:x/{name}")},
    });
    token["spec"]["endpoint"] = json!(world.iam.url());
    token["spec"].as_object_mut().unwrap().remove("accountId");
    token["spec"]["apiKeySecretRef"]["name"] = json!(format!("{name}-key"));
    token["spec"]["target"]["name"] = json!(format!("{name}-target"));
    token.to_string()
}

/// Applies it as a user would and waits for the token.
async fn applied(world: &World, name: &str) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    world.put_key(&format!("{name}-key"), &key).await;
    let manifest = manifest(world, name);
    text_of(kubectl(world.plane, &world.namespace, &["apply", "-f", "-"]), manifest.as_bytes());
    world.ready(name).await;
    manifest
}

/// The IamToken, without the note that kubectl keeps there for itself until it applies server-side.
fn token(world: &World, name: &str) -> Value {
    let mut token = object(world.plane, &world.namespace, "iamtoken", name);
    let annotations = token["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    token
}

fn server_side(world: &World, verb: &str, applier: &str, more: &[&str]) -> Command {
    let mut command = kubectl(world.plane, &world.namespace, &[verb, "--server-side", "--field-manager", applier]);
    command.args(more).args(["-f", "-"]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_the_same_manifest_again_makes_no_difference() {
    let world = World::start().await;
    let manifest = applied(&world, "hpcs").await;
    let before = token(&world, "hpcs");
    let diff = run(kubectl(world.plane, &world.namespace, &["diff", "-f", "-"]), manifest.as_bytes());
    assert_eq!(diff.status.code(), Some(0), "{}", said(&diff));
    for applier in APPLIERS {
        // It becomes an owner of what it applies; that alone is new.
        text_of(server_side(&world, "apply", applier, &[]), manifest.as_bytes());
        let first = token(&world, "hpcs");
        for field in ["spec", "status"] {
            assert_eq!(first[field], before[field], "{applier}: {field}");
        }
        for field in ["generation", "labels", "annotations", "ownerReferences", "finalizers"] {
            assert_eq!(first["metadata"][field], before["metadata"][field], "{applier}: metadata.{field}");
        }
        for more in [&[][..], &["--force-conflicts"]] {
            text_of(server_side(&world, "apply", applier, more), manifest.as_bytes());
            let again = token(&world, "hpcs");
            assert_eq!(
                again["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"],
                "{applier} {more:?}"
            );
        }
        let diff = run(server_side(&world, "diff", applier, &[]), manifest.as_bytes());
        assert_eq!(diff.status.code(), Some(0), "{applier}: {}", said(&diff));
    }
    assert_eq!(world.iam.exchanges(), 1, "it fetched another token for nothing");
}

/// The restart of a workload is undone by none of those who apply it, and shows as no difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_workload_makes_no_difference() {
    let world = World::start().await;
    allow_restarts(&world, &[]).await;
    let names = ["client-side", APPLIERS[0], APPLIERS[1]];
    let apply = |name: &str| {
        let command = match name {
            "client-side" => kubectl(world.plane, &world.namespace, &["apply", "-f", "-"]),
            applier => server_side(&world, "apply", applier, &["--force-conflicts"]),
        };
        text_of(command, workload("Deployment", name).to_string().as_bytes());
    };
    for name in &names {
        apply(name);
    }
    world.put_pair("hpcs").await;
    let workloads = names.map(|name| json!({"kind": "Deployment", "name": name}));
    world.change_spec("hpcs", &json!({"restart": {"workloads": workloads}})).await;
    for name in names {
        until_restarted(&world, "Deployment", name, 1).await;
        let before = annotations(&world, "Deployment", name).await;
        apply(name);
        assert_eq!(annotations(&world, "Deployment", name).await, before, "{name}");
        until_restarted(&world, "Deployment", name, 1).await;
        let diff = match name {
            "client-side" => kubectl(world.plane, &world.namespace, &["diff", "-f", "-"]),
            applier => server_side(&world, "diff", applier, &["--force-conflicts"]),
        };
        let diff = run(diff, workload("Deployment", name).to_string().as_bytes());
        assert_eq!(diff.status.code(), Some(0), "{name}: {}", said(&diff));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_owns_the_status_and_nothing_else() {
    let world = World::start().await;
    applied(&world, "hpcs").await;
    let token = token(&world, "hpcs");
    let managers = token["metadata"]["managedFields"].as_array().unwrap();
    let ours: Vec<_> = managers.iter().filter(|entry| entry["manager"] == "iam-token-operator").collect();
    assert_eq!(ours.len(), 1, "{managers:#?}");
    assert_eq!(ours[0]["subresource"], "status");
    let fields: Vec<&String> = ours[0]["fieldsV1"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["f:status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marks_of_gitops_tools_stay_on_the_iamtoken() {
    let world = World::start().await;
    applied(&world, "hpcs").await;
    let target: Secret = world.secrets().get("hpcs-target").await.unwrap();
    let keys = target.labels().keys().chain(target.annotations().keys());
    let copied: Vec<&String> = keys.filter(|key| MARKS.iter().any(|mark| key.starts_with(mark))).collect();
    assert!(copied.is_empty(), "a tool that prunes would remove the target, for its {copied:?}");
    // What was asked for is there.
    assert_eq!(target.labels()["app.kubernetes.io/part-of"], "payments");
}
