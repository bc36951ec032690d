//! What docs/examples shows is what the API server, kustomize, Helm, Argo CD, Flux and External Secrets take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, helm_cmd};

use crate::harness::{new_namespace, prepared};
use crate::{kubectl, object, root, run, said, text_of};

/// The kinds of other projects that the examples use: the module and the file in it that defines each. The versions are
/// in hack/gitops/crds/go.mod.
const CRDS: [(&str, &str); 6] = [
    ("github.com/argoproj/argo-cd/v3", "manifests/crds/application-crd.yaml"),
    ("github.com/external-secrets/external-secrets", "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
    ("github.com/external-secrets/external-secrets", "config/crds/bases/external-secrets.io_secretstores.yaml"),
    ("github.com/fluxcd/helm-controller", "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"),
    ("github.com/fluxcd/kustomize-controller", "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
    ("github.com/fluxcd/source-controller", "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml"),
];

/// Namespaces that the examples name.
const NAMESPACES: [&str; 3] = ["argocd", "flux-system", "payments"];

/// Files that hold no objects of the cluster.
const NO_OBJECTS: [&str; 4] = ["kustomization.yaml", "Chart.yaml", "values.yaml", "sops.yaml"];

fn make_namespaces(plane: &ControlPlane) {
    let namespaces =
        NAMESPACES.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": namespaces}).to_string();
    text_of(plane.kubectl_cmd(["apply", "--server-side", "-f", "-"]), list.as_bytes());
}

/// Every YAML file below the folder that holds whole objects.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            // A chart's templates are no YAML yet.
            if name != "templates" {
                found.append(&mut manifests(&path));
            }
        } else if path.extension().is_some_and(|kind| kind == "yaml") && !NO_OBJECTS.contains(&name.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where Go keeps the modules of hack/gitops/crds.
fn modules() -> BTreeMap<String, PathBuf> {
    let mut download = Command::new("go");
    download.args(["mod", "download", "-json"]).current_dir(root("hack/gitops/crds"));
    download.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    let text = text_of(download, b"");
    let modules = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    modules.map(|m| (m["Path"].as_str().unwrap().to_owned(), m["Dir"].as_str().unwrap().into())).collect()
}

fn install_crds(plane: &ControlPlane) {
    let modules = modules();
    for (module, file) in CRDS {
        let path = modules[module].join(file);
        let apply = ["apply", "--server-side", "-f", path.to_str().unwrap()];
        text_of(kubectl(plane, "default", &apply), b"");
    }
    text_of(kubectl(plane, "default", &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_what_the_api_server_takes() {
    let plane = prepared().await;
    make_namespaces(plane);
    install_crds(plane);
    let namespace = new_namespace(&plane.admin()).await;
    // A controller makes it elsewhere; without it no Pod is admitted.
    text_of(kubectl(plane, &namespace, &["create", "serviceaccount", "default"]), b"");
    let examples = manifests(&root("docs/examples"));
    assert!(examples.len() > 10, "{examples:#?}");
    let mut refused = vec![];
    for example in examples {
        let mut apply = plane.kubectl_cmd(["apply", "--dry-run=server", "--validate=strict", "-f"]);
        apply.arg(&example);
        let text = std::fs::read_to_string(&example).unwrap();
        if !text.contains("\n  namespace: ") {
            apply.args(["--namespace", &namespace]);
        }
        let output = run(apply, b"");
        if !output.status.success() {
            refused.push(format!("{}: {}", example.display(), said(&output)));
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kustomizations_build_and_are_taken() {
    let plane = prepared().await;
    make_namespaces(plane);
    for folder in ["app/base", "app/production", "operator"] {
        let path = root("docs/examples/gitops").join(folder);
        let built = text_of(plane.kubectl_cmd(["kustomize", path.to_str().unwrap()]), b"");
        // The tests have the operator's role under the same name.
        let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
        text_of(plane.kubectl_cmd(apply), built.as_bytes());
        match folder {
            "app/production" => assert!(built.contains("accountId: ") && built.contains("replicas: 3"), "{built}"),
            "operator" => assert!(built.contains("image: registry.example.com/iam-token-operator:"), "{built}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_umbrella_chart_installs_the_operator_and_its_tokens() {
    let plane = prepared().await;
    make_namespaces(plane);
    let namespace = new_namespace(&plane.admin()).await;
    let chart = copied_chart(plane);
    helm(plane, &["dependency", "build", &chart]);
    helm(plane, &["lint", "--strict", &chart]);
    helm(plane, &["install", "platform", &chart, "--namespace", &namespace]);
    let token = object(plane, "payments", "iamtoken", "hpcs");
    assert_eq!(token["spec"], json!({"apiKeySecretRef": {"name": "hpcs-api-key"}}));
    let deployments = text_of(kubectl(plane, &namespace, &["get", "deployments", "-o", "yaml"]), b"");
    assert!(deployments.contains("registry.example.com/iam-token-operator:"), "{deployments}");
    helm(plane, &["uninstall", "platform", "--namespace", &namespace]);
}

/// The chart in a place where Helm may write, as far from the operator's own chart as it is in the repository.
fn copied_chart(plane: &ControlPlane) -> String {
    let there = plane.run_folder().join("umbrella");
    let chart = there.join("docs/examples/gitops");
    std::fs::create_dir_all(&chart).unwrap();
    for (from, to) in [("docs/examples/gitops/helm", &chart), ("charts", &there)] {
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(root(from)).arg(to);
        text_of(copy, b"");
    }
    chart.join("helm").to_str().unwrap().to_owned()
}

fn helm(plane: &ControlPlane, arguments: &[&str]) -> String {
    let mut command = helm_cmd(&plane.run_folder().join("helm")).unwrap();
    command.args(arguments).env("KUBECONFIG", plane.kubeconfig_for_admin());
    text_of(command, b"")
}
