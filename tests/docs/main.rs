//! The commands of README.md and docs/*.md do what they say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod clients;
mod performance;

use std::path::{Path, PathBuf};
use std::process::Command;

use iam_token_operator::api::Reason;
use testkit::control_plane::{ControlPlane, Options, binaries};
use testkit::fake_iam::{DEFAULT_ACCOUNT, FakeIam, Profile};
use testkit::fake_services::FakeServices;

use harness::{OPERATOR_NAMESPACE, Operator, Start, trust_cluster};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// It begins with an empty cluster and leaves one.
const INSTALL_GUIDE: &str = "docs/install.md";

/// Guides that need a program which the project itself can do without.
const NEEDS: [(&str, &str); 4] = [
    ("docs/hpcs.md", "curl"),
    ("docs/guides/object-storage.md", "curl"),
    ("docs/guides/watsonx.md", "python3"),
    ("docs/metrics-tls.md", "openssl"),
];

/// Modules that guides build or read: the folder of the `go.mod`, and what the guides need of it. Fetched before, as only
/// fakes can be reached in a guide's session.
const MODULES: [(&str, &[&str]); 2] = [
    ("docs/examples/key-protect", &["build", "-o", "/dev/null", "."]),
    ("hack/gitops/crds", &["mod", "download", "github.com/external-secrets/external-secrets"]),
];

/// The one of docs/guides/trusted-profiles.md.
const PROFILE: &str = "Profile-00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_the_guides_works() {
    let plane = ControlPlane::start(Options::default()).await;
    let iam = FakeIam::start();
    trust_cluster(&iam, &plane.admin()).await;
    let mut profile = Profile::new(PROFILE, "hpcs-client", DEFAULT_ACCOUNT);
    profile.service_accounts = vec!["default/hpcs-client".into()];
    iam.add_profile(profile);
    let operator = Operator::start(&Start {
        kubeconfig: &plane.kubeconfig_for_admin(),
        namespaces: &["default".to_owned()],
        endpoints: &[iam.url()],
        log_level: "info",
        more: &["--credential-namespaces", "iam-keys"],
    });
    let entries =
        ["docs", "docs/guides"].map(|folder| (folder, std::fs::read_dir(format!("{ROOT}/{folder}")).unwrap()));
    let mut guides: Vec<String> = entries
        .into_iter()
        .flat_map(|(folder, entries)| entries.map(move |entry| (folder, entry.unwrap().file_name())))
        .map(|(folder, name)| format!("{folder}/{}", name.to_str().unwrap()))
        .filter(|path| Path::new(path).extension().is_some_and(|kind| kind == "md") && path != INSTALL_GUIDE)
        .filter(|path| can_be_tried(path))
        .collect();
    for (folder, arguments) in MODULES {
        go(folder, arguments);
    }
    guides.sort();
    guides.insert(0, "README.md".into());
    try_docs(&plane, &iam, &operator, &guides);
}

/// No kubelet runs the pods that the chart asks for. The operator's process stands for them, as who they would be: it may
/// do what the guide's chart grants, from when it does.
#[tokio::test(flavor = "multi_thread")]
async fn the_install_guide_works_from_first_to_last() {
    let plane = ControlPlane::start(Options::default()).await;
    let iam = FakeIam::start();
    let account = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:iam-token-operator");
    let operator = Operator::start(&Start {
        kubeconfig: &plane.kubeconfig_for_user(&account, &["system:serviceaccounts", "system:authenticated"]),
        namespaces: &[],
        endpoints: &[iam.url()],
        log_level: "info",
        more: &["--leader-elect", "--lease-namespace", OPERATOR_NAMESPACE],
    });
    try_docs(&plane, &iam, &operator, &[INSTALL_GUIDE.into()]);
}

fn try_docs(plane: &ControlPlane, iam: &FakeIam, operator: &Operator, guides: &[String]) {
    let services = FakeServices::start(iam);
    let (key, ca) = (plane.run_folder().join("key"), plane.run_folder().join("services-ca.pem"));
    let apikey = iam.service_id_key("docs");
    // As `ibmcloud iam service-api-key-create --file` writes it.
    std::fs::write(&key, format!("{{\n\t\"name\": \"docs\",\n\t\"apikey\": \"{apikey}\"\n}}\n")).unwrap();
    std::fs::write(&ca, services.ca_pem()).unwrap();
    let folders = [
        plane.kubectl().parent().unwrap().to_owned(),
        binaries(&["helm"]).unwrap(),
        Path::new(env!("CARGO_BIN_EXE_iam-token-operator")).parent().unwrap().to_owned(),
    ];
    let path =
        std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())))
            .unwrap();
    let tried = Command::new(format!("{ROOT}/hack/try-docs"))
        .args(guides)
        .env("KUBECONFIG", plane.kubeconfig_for_admin())
        .env("TRY_KEY", &key)
        .env("PATH", path)
        .env("HTTPS_PROXY", services.proxy())
        .env("SSL_CERT_FILE", &ca)
        .env("IBMCLOUD_IAM_API_ENDPOINT", iam.url())
        .env("IAM_TOKEN_OPERATOR_ALLOW_INSECURE_HTTP", "true")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&tried.stdout), String::from_utf8_lossy(&tried.stderr));
    assert!(tried.status.success(), "{out}\n{err}\n--- the operator's log ---\n{}", operator.log());
    assert_eq!(services.strangers(), Vec::<String>::new());
}

/// False, and says so, where a program is missing.
fn can_be_tried(guide: &str) -> bool {
    let missing = NEEDS.iter().find(|(path, program)| *path == guide && !is_there(program));
    if let Some((_, program)) = missing {
        harness::skipped(&format!("{guide} is not tried: there is no {program}"));
    }
    missing.is_none()
}

fn is_there(program: &str) -> bool {
    let path: PathBuf = program.into();
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(&path).is_file())
}

/// Runs `go` in a folder of the repository.
fn go(folder: &str, arguments: &[&str]) {
    let mut go = Command::new("go");
    go.args(arguments).current_dir(format!("{ROOT}/{folder}")).env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    let done = go.output().unwrap();
    assert!(done.status.success(), "go {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn every_reason_is_explained() {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let missing: Vec<&str> =
        Reason::ALL.iter().map(|r| r.as_str()).filter(|r| !readme.contains(&format!("`{r}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_test_that_the_security_guide_names_exists() {
    let guide = std::fs::read_to_string(format!("{ROOT}/docs/security.md")).unwrap();
    let words = guide.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: Vec<&str> = words.filter(|word| word.len() > 20 && word.matches('_').count() > 3).collect();
    assert!(names.len() >= 15, "{names:?}");
    let found = Command::new("grep")
        .args(["-rhE", "--include=*.rs", "^ *(async )?fn ", "tests", "src"])
        .current_dir(ROOT)
        .output();
    let tests = String::from_utf8(found.unwrap().stdout).unwrap();
    let missing: Vec<_> = names.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
