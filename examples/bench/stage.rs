//! A control plane of its own, a fake IAM that takes 20 ms for an answer, many IamTokens, and the operator as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use iam_token_operator::api::IamToken;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use testkit::control_plane::{ControlPlane, Options};
use testkit::fake_iam::FakeIam;
use tokio::time::sleep;

use crate::harness::operator::get;
use crate::harness::{OPERATOR_NAMESPACE, Operator, Start, install};
use crate::say;

/// What IAM takes for an answer.
pub const LATENCY: Duration = Duration::from_millis(20);

/// How many requests the bare counterpart makes at once: as many as the operator refreshes (`--concurrency`).
pub const CONNECTIONS: usize = 32;

/// How many IamTokens a namespace has.
const PER_NAMESPACE: usize = 200;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(10);

pub struct Stage {
    pub plane: ControlPlane,
    pub client: Client,
    pub iam: FakeIam,
    kubeconfig: PathBuf,
}

/// The operator, and where it answers.
pub struct Running {
    pub process: Operator,
    scrapes: SocketAddr,
    probes: SocketAddr,
}

/// Whose key an IamToken has.
#[derive(Clone, Copy)]
pub enum Keys {
    Own,
    /// One in each namespace, all of the same value.
    Shared,
}

impl Stage {
    pub async fn build() -> Self {
        let plane = ControlPlane::start(Options { audit: true, ..Options::default() }).await;
        install(&plane).await;
        let client = plane.admin();
        let kubeconfig = plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, "iam-token-operator").await;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "iam-token-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "iam-token-operator"},
            "subjects": [{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}],
        }))
        .unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
        let iam = FakeIam::start();
        iam.set_latency(LATENCY);
        Self { plane, client, iam, kubeconfig }
    }

    /// `count` IamTokens with their keys, `t0` and so on, in namespaces that begin with `prefix`. Returns where each is.
    pub async fn fill(&self, prefix: &str, count: usize, keys: Keys) -> Vec<(String, String)> {
        let names: Vec<_> = (0..count).map(|n| (format!("{prefix}-{}", n / PER_NAMESPACE), format!("t{n}"))).collect();
        let mut spaces: Vec<_> = names.iter().map(|(space, _)| space.clone()).collect();
        spaces.dedup();
        for space in &spaces {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": space}})).unwrap();
            Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
            if matches!(keys, Keys::Shared) {
                self.put_key(space, "shared-key", &self.iam.service_id_key(&format!("{prefix}-shared"))).await;
            }
        }
        let (begin, mut done) = (Instant::now(), 0);
        let mut all = stream::iter(&names).map(|at| self.put(at, keys)).buffer_unordered(CONNECTIONS);
        while all.next().await.is_some() {
            done += 1;
            if done % 2000 == 0 {
                say("fill", &format!("{done} of {count} IamTokens in {:.0} s", begin.elapsed().as_secs_f64()));
            }
        }
        drop(all);
        names
    }

    async fn put(&self, (space, name): &(String, String), keys: Keys) {
        let secret = match keys {
            Keys::Own => format!("{name}-key"),
            Keys::Shared => "shared-key".into(),
        };
        if matches!(keys, Keys::Own) {
            self.put_key(space, &secret, &self.iam.service_id_key(&format!("{space}-{name}"))).await;
        }
        let token = json!({
            "apiVersion": "iamtoken.dev/v1alpha1",
            "kind": "IamToken",
            "metadata": {"name": name},
            "spec": {"apiKeySecretRef": {"name": secret}},
        });
        let token: IamToken = serde_json::from_value(token).unwrap();
        Api::namespaced(self.client.clone(), space).create(&PostParams::default(), &token).await.unwrap();
    }

    pub async fn put_key(&self, space: &str, name: &str, value: &str) {
        let secret = json!({"metadata": {"name": name}, "stringData": {"apikey": value}});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        Api::namespaced(self.client.clone(), space).create(&PostParams::default(), &secret).await.unwrap();
    }

    /// Secrets that are nobody's business, of 2 KiB each.
    pub async fn others(&self, count: usize) {
        let space: Namespace = serde_json::from_value(json!({"metadata": {"name": "others"}})).unwrap();
        let _ = Api::all(self.client.clone()).create(&PostParams::default(), &space).await;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), "others");
        let secret = |n: usize| -> Secret {
            let data = json!({"metadata": {"name": format!("other-{n}")}, "stringData": {"text": "x".repeat(2048)}});
            serde_json::from_value(data).unwrap()
        };
        let params = PostParams::default();
        let all = stream::iter(0..count).map(|n| {
            let (api, secret, params) = (&api, secret(n), &params);
            async move { api.create(params, &secret).await.map(drop) }
        });
        let made: Vec<_> = all.buffer_unordered(CONNECTIONS).collect().await;
        assert!(made.iter().all(Result::is_ok), "{:?}", made.into_iter().find_map(Result::err));
    }

    /// One that watches these namespaces, or all where there are none.
    pub async fn operator(&self, namespaces: &[String], more: &[&str]) -> Running {
        let ports = ["--metrics-bind-address", "127.0.0.1:0", "--health-bind-address", "127.0.0.1:0"];
        let process = Operator::start(&Start {
            kubeconfig: &self.kubeconfig,
            namespaces,
            endpoints: &[self.iam.url()],
            log_level: "warn,iam_token_operator::cli=info,iam_token_operator::telemetry=info",
            more: &[&ports[..], more].concat(),
        });
        let (scrapes, probes) = (process.address("scrapes").await, process.address("probes").await);
        Running { process, scrapes, probes }
    }
}

impl Running {
    /// The sum of the series of this metric that have this label, as `state="ready"`.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, text) = get(self.scrapes, "/metrics").unwrap();
        let lines = text.lines().filter(|line| line.starts_with(&format!("iam_token_operator_{name}")));
        lines.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until its probe says that it is ready.
    pub async fn ready(&self) {
        let is_ready = || get(self.probes, "/readyz").is_ok_and(|(head, _)| head.contains(" 200 "));
        self.until_at("it is ready", Duration::from_millis(20), is_ready).await;
    }

    /// Waits until so many tokens are ready.
    pub async fn all_ready(&self, count: usize) {
        self.until("all are ready", || self.metric("tokens{", "state=\"ready\"") >= count as f64).await;
    }

    /// Not asked often: an answer with the metrics of many objects is work too.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) {
        self.until_at(what, Duration::from_millis(200), done).await;
    }

    async fn until_at(&self, what: &str, pause: Duration, done: impl Fn() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.process.log());
            sleep(pause).await;
        }
    }
}
