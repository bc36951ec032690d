//! `config/` and the chart's copy of the CRD, which are made from others.

use std::path::Path;

use testkit::control_plane::{ControlPlane, Options};

use crate::helm::{CHART, ROOT, current, helm, objects, values_file};
use crate::release::{kubectl, pods_are_admitted, try_kubectl};

const NAMESPACE: &str = "iam-token-operator";

/// The templates that the rights come from; all others make the operator itself.
const RIGHTS: [&str; 5] =
    ["serviceaccount.yaml", "role.yaml", "role-lease.yaml", "role-aggregate.yaml", "role-credentials.yaml"];

/// What a file of `config/` begins with.
const HEAD: &str = "# Made from charts/iam-token-operator by `make generate`; do not edit.\n";

/// Lines of the chart that are true of helm alone.
const OF_HELM: [&str; 2] = ["app.kubernetes.io/managed-by: Helm", "helm.sh/chart: "];

/// The CRDs' files.
const CRDS: [&str; 2] = ["iamtokens.yaml", "clusteriamcredentials.yaml"];

fn crds() -> [String; 2] {
    CRDS.map(|file| std::fs::read_to_string(format!("{ROOT}/crds/{file}")).unwrap())
}

/// The documents of these templates, or of all others.
fn documents(rights: bool) -> String {
    let file = values_file("{crds: {install: false}}");
    let values = ["--values", file.to_str().unwrap()];
    let rendered =
        helm(&[&["template", NAMESPACE, CHART, "--namespace", NAMESPACE][..], &values[..]].concat()).unwrap();
    let mut documents = String::new();
    for document in rendered.split("---\n").filter(|document| !document.trim().is_empty()) {
        let (source, body) = document.split_once('\n').unwrap();
        let template = source.rsplit('/').next().unwrap();
        if RIGHTS.contains(&template) == rights {
            let lines =
                body.trim_end().lines().filter(|line| !OF_HELM.iter().any(|of_helm| line.trim().starts_with(of_helm)));
            documents += &lines.fold("---\n".to_owned(), |text, line| text + line + "\n");
        }
    }
    documents
}

#[test]
fn generated_files_are_current() {
    for (file, crd) in CRDS.iter().zip(crds()) {
        current(&Path::new(CHART).join("files").join(file), &crd);
    }
    let config = Path::new(ROOT).join("config");
    current(&config.join("crd.yaml"), &crds().concat());
    current(&config.join("rbac.yaml"), &(HEAD.to_owned() + &documents(true)));
    current(&config.join("operator.yaml"), &(HEAD.to_owned() + &documents(false)));
}

#[test]
fn the_chart_installs_the_crds_of_this_version() {
    let objects = objects("{}");
    for crd in crds() {
        let ours: serde_json::Value = serde_saphyr::from_str(&crd).unwrap();
        let of_name = |object: &&serde_json::Value| object["metadata"]["name"] == ours["metadata"]["name"];
        let installed = objects.iter().find(of_name).unwrap();
        assert_eq!(installed["kind"], "CustomResourceDefinition");
        assert_eq!(installed["spec"], ours["spec"]);
        assert_eq!(installed["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
}

#[tokio::test]
async fn kubectl_applies_the_crds_alone_and_the_whole() {
    let plane = ControlPlane::start(Options::default()).await;
    kubectl(&plane, &["apply", "--filename=crds/"]);
    kubectl(&plane, &["apply", "--kustomize=config/"]);
    kubectl(
        &plane,
        &[
            "wait",
            "--for=condition=Established",
            "crd/iamtokens.iamtoken.dev",
            "crd/clusteriamcredentials.iamtoken.dev",
            "--timeout=30s",
        ],
    );
    pods_are_admitted(&plane, NAMESPACE, "deployment/iam-token-operator");
    let differs = try_kubectl(&plane, &["diff", "--kustomize=config/"]);
    assert_eq!(differs.as_deref(), Ok(""));
    kubectl(&plane, &["delete", "--kustomize=config/", "--wait=false"]);
}
