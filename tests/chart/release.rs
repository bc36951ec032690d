//! The life of a release on a real API server. No pod runs there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};

use crate::harness::eventually;
use crate::helm::{CHART, NAMESPACE, RELEASE, helm, helm_on, here, values_file};

const CRD: &str = "crd/iamtokens.iamtoken.dev";

/// An API server with the namespace of the release, where Pod Security is restricted, and three more.
pub async fn cluster() -> ControlPlane {
    let plane = ControlPlane::start(Options { audit: true, ..Options::default() }).await;
    for namespace in [NAMESPACE, "payments", "orders", "vault"] {
        kubectl(&plane, &["create", "namespace", namespace]);
    }
    kubectl(&plane, &["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"]);
    plane
}

/// What `kubectl` prints.
#[track_caller]
pub fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> String {
    try_kubectl(plane, arguments).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
}

pub fn try_kubectl(plane: &ControlPlane, arguments: &[&str]) -> Result<String, String> {
    let output = plane.kubectl_cmd(arguments).current_dir(crate::helm::ROOT).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stdout) + &text(&output.stderr)) }
}

/// `helm install` or `helm upgrade` with these values.
pub fn release(plane: &ControlPlane, verb: &str, values: &str, more: &[&str]) -> Result<String, String> {
    let file = values_file(values);
    let arguments = [verb, RELEASE, CHART, "--namespace", NAMESPACE, "--values", file.to_str().unwrap()];
    helm_on(plane, &[&arguments[..], more].concat())
}

fn uninstall(plane: &ControlPlane) -> String {
    helm_on(plane, &["uninstall", RELEASE, "--namespace", NAMESPACE]).unwrap()
}

/// The object as it is, such as `deployment/a`.
pub fn get(plane: &ControlPlane, namespace: &str, name: &str) -> Option<Value> {
    let printed = kubectl(plane, &["get", name, "--namespace", namespace, "--output=json", "--ignore-not-found"]);
    (!printed.is_empty()).then(|| serde_json::from_str(&printed).unwrap())
}

/// What belongs to the release, but for the CRD.
fn belongings(plane: &ControlPlane) -> Vec<String> {
    let kinds = "deployments,services,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,\
                 poddisruptionbudgets,networkpolicies";
    let selector = "--selector=app.kubernetes.io/instance=iam-token-operator";
    let printed = kubectl(plane, &["get", kinds, "--all-namespaces", selector, "--output=name"]);
    printed.lines().map(str::to_owned).collect()
}

pub async fn crd_is_established(plane: &ControlPlane) {
    eventually("the CRD established", async || {
        try_kubectl(plane, &["wait", "--for=condition=Established", CRD, "--timeout=5s"])
    })
    .await;
}

async fn put_token(plane: &ControlPlane) {
    crd_is_established(plane).await;
    eventually("an IamToken created", async || {
        try_kubectl(plane, &["apply", "--namespace=payments", "--filename=docs/examples/iamtoken.yaml"])
    })
    .await;
}

fn token(plane: &ControlPlane) -> Option<Value> {
    get(plane, "payments", "iamtoken/hpcs")
}

/// The pods that the Deployment would make are admitted.
pub fn pods_are_admitted(plane: &ControlPlane, namespace: &str, deployment: &str) {
    let deployment = get(plane, namespace, deployment).unwrap();
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("one");
    let file = plane.run_folder().join("pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let create = ["create", "--dry-run=server", "--namespace", namespace, "--filename", file.to_str().unwrap()];
    kubectl(plane, &create);
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({});
    std::fs::write(&file, pod.to_string()).unwrap();
    let refused = try_kubectl(plane, &create).expect_err("Pod Security is off");
    assert!(refused.contains("violates PodSecurity"), "{refused}");
}

// === tests ===

#[tokio::test]
async fn installed_upgraded_rolled_back_and_uninstalled() {
    let plane = cluster().await;
    let notes = release(&plane, "install", "{}", &[]).unwrap();
    assert!(notes.contains("watches all namespaces"), "{notes}");
    pods_are_admitted(&plane, NAMESPACE, "deployment/iam-token-operator");
    put_token(&plane).await;
    let installed = belongings(&plane);
    assert!(installed.iter().any(|name| name.starts_with("clusterrole.")), "{installed:?}");

    let changed = "{watchNamespaces: [payments], replicas: 3, networkPolicy: {enabled: true}}";
    release(&plane, "upgrade", changed, &[]).unwrap();
    let upgraded = belongings(&plane);
    assert!(!upgraded.iter().any(|name| name.starts_with("clusterrole")), "{upgraded:?}");
    assert!(get(&plane, "payments", "role/iam-token-operator").is_some());
    assert_eq!(get(&plane, NAMESPACE, "deployment/iam-token-operator").unwrap()["spec"]["replicas"], 3);

    helm_on(&plane, &["rollback", RELEASE, "1", "--namespace", NAMESPACE]).unwrap();
    assert_eq!(belongings(&plane), installed);
    assert_eq!(get(&plane, NAMESPACE, "deployment/iam-token-operator").unwrap()["spec"]["replicas"], 2);

    let said = uninstall(&plane);
    assert!(said.contains("iamtokens.iamtoken.dev"), "it says that the CRD is kept: {said}");
    assert_eq!(belongings(&plane), Vec::<String>::new());
    assert!(token(&plane).is_some(), "the CRD is kept, and what is of it");

    release(&plane, "install", "{}", &[]).unwrap();
    assert_eq!(belongings(&plane), installed);
    assert!(token(&plane).is_some());
}

#[tokio::test]
async fn an_upgrade_that_changes_nothing_writes_nothing() {
    let plane = cluster().await;
    release(&plane, "install", "{}", &[]).unwrap();
    crd_is_established(&plane).await;
    let versions = || {
        let read = |name: &str| get(&plane, NAMESPACE, name).unwrap()["metadata"]["resourceVersion"].clone();
        ["deployment/iam-token-operator", "role/iam-token-operator-lease", CRD].map(read)
    };
    let before = versions();
    release(&plane, "upgrade", "{}", &[]).unwrap();
    assert_eq!(versions(), before);
}

#[tokio::test]
async fn the_crd_is_upgraded_kept_and_removed_as_the_values_say() {
    let plane = cluster().await;
    let older = older_chart(plane.run_folder());
    helm_on(&plane, &["install", RELEASE, older.to_str().unwrap(), "--namespace", NAMESPACE]).unwrap();
    put_token(&plane).await;
    let columns = || get(&plane, NAMESPACE, CRD).unwrap()["spec"]["versions"][0]["additionalPrinterColumns"].clone();
    assert_eq!(columns(), Value::Null);
    release(&plane, "upgrade", "{}", &[]).unwrap();
    assert!(columns().is_array());

    release(&plane, "upgrade", "{crds: {install: false}}", &[]).unwrap();
    assert!(token(&plane).is_some(), "no longer of the release, but there");
    release(&plane, "upgrade", "{crds: {install: true, keep: false}}", &[]).unwrap();
    assert!(token(&plane).is_some());
    uninstall(&plane);
    eventually("the CRD gone", async || get(&plane, NAMESPACE, CRD).map_or(Ok(()), Err)).await;
}

/// A copy of the chart whose CRD has no columns yet.
fn older_chart(folder: &Path) -> PathBuf {
    let chart = folder.join("older");
    assert!(Command::new("cp").arg("-r").args([Path::new(CHART), &chart]).status().unwrap().success());
    let file = chart.join("files/iamtokens.yaml");
    let mut crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    crd["spec"]["versions"][0].as_object_mut().unwrap().remove("additionalPrinterColumns").unwrap();
    std::fs::write(file, crd.to_string()).unwrap();
    chart
}

/// Somebody changed an object by hand: helm says so, and does as it is told.
#[tokio::test]
async fn what_others_changed_is_a_conflict_until_it_is_forced() {
    let plane = cluster().await;
    release(&plane, "install", "{}", &[]).unwrap();
    let deployment = "deployment/iam-token-operator";
    kubectl(&plane, &["patch", deployment, "--namespace", NAMESPACE, "--patch", r#"{"spec": {"replicas": 1}}"#]);
    let said = release(&plane, "upgrade", "{replicas: 3}", &[]).unwrap_err();
    assert!(said.contains("conflict"), "{said}");
    release(&plane, "upgrade", "{replicas: 3}", &["--force-conflicts"]).unwrap();
    assert_eq!(get(&plane, NAMESPACE, deployment).unwrap()["spec"]["replicas"], 3);
}

/// What the chart's README says to do about a CRD that is there already.
#[tokio::test]
async fn a_crd_of_somebody_else_is_taken_over_only_where_told() {
    let plane = cluster().await;
    kubectl(&plane, &["apply", "--filename=crds/"]);
    put_token(&plane).await;
    let refused = release(&plane, "install", "{}", &[]).unwrap_err();
    assert!(refused.contains("iamtokens.iamtoken.dev"), "{refused}");
    release(&plane, "install", "{}", &["--take-ownership"]).unwrap();
    uninstall(&plane);
    assert!(token(&plane).is_some());
    release(&plane, "install", "{crds: {install: false}}", &[]).unwrap();
}

/// The packages of earlier releases lie in `previous/`, as `helm package` made them. There is none before the first
/// release; the package of this very version keeps the way in order until then.
#[tokio::test]
async fn upgraded_from_every_earlier_release() {
    let plane = cluster().await;
    let folder = plane.run_folder().join("package");
    helm(&["package", CHART, "--destination", folder.to_str().unwrap()]).unwrap();
    let packages = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tgz");
    let all: Vec<PathBuf> = packages(here("previous")).chain(packages(folder)).filter(is_package).collect();
    assert!(!all.is_empty());
    for package in all {
        helm_on(&plane, &["install", RELEASE, package.to_str().unwrap(), "--namespace", NAMESPACE]).unwrap();
        put_token(&plane).await;
        release(&plane, "upgrade", "{}", &["--reset-then-reuse-values"]).unwrap();
        assert!(token(&plane).is_some(), "{}", package.display());
        pods_are_admitted(&plane, NAMESPACE, "deployment/iam-token-operator");
        uninstall(&plane);
    }
}
