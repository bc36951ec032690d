//! A control plane does what tests rely on, and leaves nothing behind.

// What waits for real processes waits in real time.
#![allow(clippy::disallowed_methods)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams, WatchParams},
};
use serde_json::json;
use testkit::control_plane::{AuditEvent, ControlPlane, Options, Process};

/// Set in the child process that holds a control plane until it is killed.
const HOLD: &str = "TESTKIT_HOLD_CONTROL_PLANE";

fn named<K: serde::de::DeserializeOwned>(name: &str, mut rest: serde_json::Value) -> K {
    rest["metadata"] = json!({"name": name});
    serde_json::from_value(rest).unwrap()
}

async fn create<K>(client: &Client, object: &K)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::Serialize
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), object).await.unwrap();
}

fn code<T: std::fmt::Debug>(outcome: kube::Result<T>) -> u16 {
    match outcome {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("not an answer of the API server: {other:?}"),
    }
}

fn of_secrets(events: &[AuditEvent]) -> Vec<(&str, &str, &str, u16)> {
    let of_secrets = events.iter().filter(|event| event.resource == "secrets");
    of_secrets.map(|event| (event.verb.as_str(), event.name.as_str(), event.user.as_str(), event.code)).collect()
}

/// Allows `verbs` on Secrets in the namespace `default` to `subject`.
async fn allow(admin: &Client, name: &str, verbs: &[&str], subject: serde_json::Value) {
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]});
    create::<Role>(admin, &named(name, rules)).await;
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    create::<RoleBinding>(admin, &named(name, json!({"roleRef": role, "subjects": [subject]}))).await;
}

#[tokio::test]
async fn rbac_decides_who_may_do_what() {
    let plane = ControlPlane::shared().await;
    let admin = plane.admin();
    let account = json!({"kind": "ServiceAccount", "name": "reader", "namespace": "default"});
    allow(&admin, "for-reader", &["get"], account).await;
    let group = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "second"});
    allow(&admin, "for-second", &["list"], group).await;

    let reader = Api::<Secret>::namespaced(plane.client_for_service_account("default", "reader").await, "default");
    assert_eq!(code(reader.get("absent").await), 404);
    assert_eq!(code(reader.list(&ListParams::default()).await), 403);

    let nobody = Api::<Secret>::namespaced(plane.client_for_user("nobody", &[]), "default");
    assert_eq!(code(nobody.get("absent").await), 403);
    let member = Api::<Secret>::namespaced(plane.client_for_user("member", &["first", "second", "third"]), "default");
    assert!(member.list(&ListParams::default()).await.is_ok());
}

#[tokio::test]
async fn the_audit_log_shows_each_request_once() {
    let plane = ControlPlane::shared().await;
    let secrets = Api::<Secret>::namespaced(plane.client_for_user("audited", &["system:masters"]), "default");
    let before = plane.audit_mark().await;
    let _ = secrets.get("first").await;
    let after_first = plane.audit_mark().await;
    let _watch = secrets.watch(&WatchParams::default(), "0").await.unwrap();
    let _ = secrets.get("second").await;

    let mine =
        |events: Vec<AuditEvent>| -> Vec<_> { events.into_iter().filter(|event| event.user == "audited").collect() };
    let all = mine(plane.audit_since(before).await);
    assert_eq!(
        of_secrets(&all),
        [("get", "first", "audited", 404), ("watch", "", "audited", 200), ("get", "second", "audited", 404)]
    );
    assert!(all.iter().all(|event| event.namespace == "default" && event.group.is_empty()));
    assert_eq!(mine(plane.audit_since(after_first).await), all[1..]);
    assert!(plane.audit().await.len() > all.len());
}

#[tokio::test]
async fn child_processes_have_kubeconfigs() {
    let plane = ControlPlane::shared().await;
    let user = plane.kubeconfig_for_user("kubectl-user", &["kubectl-group"]);
    let account = plane.kubeconfig_for_service_account("default", "kubectl-account").await;
    for (kubeconfig, name) in [
        (plane.kubeconfig_for_admin(), "admin"),
        (user, "kubectl-user"),
        (account, "system:serviceaccount:default:kubectl-account"),
    ] {
        let mut whoami = plane.kubectl_cmd(["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]);
        let output = whoami.env("KUBECONFIG", &kubeconfig).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), name, "{output:?}");
        assert_eq!(mode_of(&kubeconfig), 0o600);
    }
}

#[tokio::test]
async fn data_survives_a_restart_and_nothing_survives_the_end() {
    let plane = ControlPlane::start(Options::default()).await;
    let maps = || Api::<ConfigMap>::namespaced(plane.admin(), "default");
    create(&plane.admin(), &named::<ConfigMap>("kept", json!({"data": {"a": "b"}}))).await;

    let first = plane.pid(Process::ApiServer);
    plane.kill(Process::ApiServer);
    assert_eq!(plane.pid(Process::ApiServer), None);
    assert!(maps().get("kept").await.is_err());
    plane.restart(Process::ApiServer).await;
    assert_ne!(plane.pid(Process::ApiServer), first);
    assert!(maps().get("kept").await.is_ok());

    plane.kill(Process::Etcd);
    plane.restart(Process::Etcd).await;
    assert!(maps().get("kept").await.is_ok());
    plane.restart(Process::ApiServer).await;
    assert!(maps().get("kept").await.is_ok());

    let run = plane.run_folder().to_owned();
    assert!(!processes_of(&run).is_empty());
    drop(plane);
    assert_eq!(processes_of(&run), Vec::<String>::new());
    assert!(!run.exists());
}

/// Not a test: the process that [`nothing_survives_a_kill`] kills.
#[tokio::test]
async fn hold_a_control_plane() {
    if env::var_os(HOLD).is_some() {
        let plane = ControlPlane::start(Options { audit: true, ..Options::default() }).await;
        let _watch = Api::<Secret>::all(plane.admin()).watch(&WatchParams::default(), "0").await.unwrap().boxed();
        println!("\nRUN {}", plane.run_folder().display());
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
}

#[tokio::test]
async fn nothing_survives_a_kill() {
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_a_control_plane", "--nocapture"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let run = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("RUN ").map(PathBuf::from))
        .expect("the child starts a control plane");
    assert_eq!(processes_of(&run).len(), 2, "{:?}", processes_of(&run));

    holder.kill().unwrap();
    holder.wait().unwrap();
    let killed = Instant::now();
    while run.exists() || !processes_of(&run).is_empty() {
        assert!(killed.elapsed() < Duration::from_secs(10), "left: {:?}", processes_of(&run));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The command lines that name `run`.
fn processes_of(run: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "args="]).output().expect("ps");
    let all = String::from_utf8_lossy(&output.stdout);
    all.lines().filter(|line| line.contains(&run.display().to_string())).map(str::to_owned).collect()
}
