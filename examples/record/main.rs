//! `make record`: runs `kubectl iamtoken` against a real API server, a fake IAM and the operator, and draws what a terminal
//! shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod svg;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use testkit::fake_iam::{ApiKey, DEFAULT_ACCOUNT, FakeIam, Identity, KeyState};

use harness::{Operator, Start, put_secret, put_token};
use svg::Shown;

const NAMESPACE: &str = "payments";
/// In characters: where the plugin breaks sentences.
const COLUMNS: usize = 104;

/// What is typed.
const COMMANDS: [&str; 4] = [
    "kubectl iamtoken list -n payments",
    "kubectl iamtoken status cos -n payments",
    "kubectl iamtoken refresh hpcs -n payments --wait",
    "kubectl iamtoken explain hpcs -n payments",
];

#[tokio::main(worker_threads = 2)]
async fn main() {
    let file = std::env::args().nth(1).expect("name the file to write: record docs/cli.svg");
    let plane = harness::prepared().await;
    let iam = FakeIam::start();
    let client = plane.admin();
    let kubectl = plane.kubectl_cmd(["create", "namespace", NAMESPACE]).output().unwrap();
    assert!(kubectl.status.success(), "{kubectl:?}");
    harness::allow_operator(&client, NAMESPACE).await;
    let operator = Operator::start(&Start {
        kubeconfig: &harness::kubeconfig(plane).await,
        namespaces: &[NAMESPACE.to_owned()],
        endpoints: &[iam.url()],
        log_level: "info",
        more: &[],
    });
    // Short lives, so that a bar can be seen to shrink.
    for (name, seconds, suspend) in [("hpcs", 3600, false), ("cos", 90, false), ("images", 60, true)] {
        let identity = Identity::service_id(&format!("{NAMESPACE}-{name}"), DEFAULT_ACCOUNT);
        let key = testkit::fake_iam::fake_api_key(name);
        iam.add_identity(identity.clone());
        iam.add_key(&key, ApiKey::new(name, &identity.iam_id));
        iam.set_key_lifetime(&key, Some(seconds));
        put_secret(&client, NAMESPACE, &format!("{name}-key"), &json!({"apikey": key})).await;
        put_token(&client, NAMESPACE, name, &json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).await;
        wait_until_ready(plane, name);
        if suspend {
            run(plane, &format!("kubectl iamtoken suspend {name} -n {NAMESPACE}"));
        }
        if name == "cos" {
            iam.set_key_state(&key, KeyState::Disabled);
            run(plane, &format!("kubectl iamtoken refresh {name} -n {NAMESPACE} --wait"));
        }
    }
    put_token(&client, NAMESPACE, "watsonx", &json!({"apiKeySecretRef": {"name": "watsonx-key"}})).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    // The fake IAM's address, drawn for this run, stands for the real one.
    let printed = |command: &str| run(plane, command).replace(&iam.url(), "https://iam.cloud.ibm.com");
    let shown: Vec<Shown> = COMMANDS.iter().map(|command| Shown::new(command, &printed(command))).collect();
    drop(operator);
    std::fs::write(&file, svg::draw(&shown)).unwrap();
}

fn wait_until_ready(plane: &testkit::control_plane::ControlPlane, name: &str) {
    let token = format!("iamtoken/{name}");
    let args = ["wait", "--for=condition=Ready", &token, "-n", NAMESPACE, "--timeout=60s"];
    assert!(plane.kubectl_cmd(args).output().unwrap().status.success(), "{name}");
}

/// What a command prints, on a terminal with colours.
fn run(plane: &testkit::control_plane::ControlPlane, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').skip(1).chain(["--color", "always"]).collect();
    let output = plane
        .kubectl_cmd(words)
        .env("PATH", path(plane.run_folder()))
        .env("LANG", "C.UTF-8")
        .env("COLUMNS", COLUMNS.to_string())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// With the plugin in it.
fn path(folder: &Path) -> OsString {
    let program: PathBuf = std::env::var_os("OPERATOR_PROGRAM").expect("OPERATOR_PROGRAM names the program").into();
    // There from the second call on.
    let _ = std::os::unix::fs::symlink(program, folder.join("kubectl-iamtoken"));
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&rest))).unwrap()
}
