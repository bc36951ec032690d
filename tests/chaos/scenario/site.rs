//! A namespace with IamTokens and a fake IAM for them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use testkit::control_plane::{ControlPlane, UNAUDITED};
use testkit::fake_iam::FakeIam;
use tokio::time::{sleep, timeout};

use super::draw::Draw;
use super::reader::{Reader, Target};
use super::report::{Report, lost, most_exchanges};
use super::{Stage, say};
use crate::harness::{self, OPERATOR_NAMESPACE, Operator, Start};

use iam_token_operator::api::IamToken;

/// The ServiceAccounts that operators run as, so that the audit log tells them apart.
pub const ACCOUNTS: [&str; 2] = ["first", "second"];

/// The IamTokens, and which credential each is of.
const TOKENS: [(&str, usize); 5] = [("payments", 0), ("refunds", 0), ("orders", 1), ("stock", 1), ("ledger", 2)];
const CREDENTIALS: usize = 3;

/// How long IAM takes: a window for faults to come between.
const LATENCY: Duration = Duration::from_millis(30);

/// How long anything may take that waits for the operator: longer than a watch may be deaf, which kube begins anew after
/// 295 s (kube-runtime, `watcher.rs`).
const LIMIT: Duration = Duration::from_mins(6);

pub struct Site {
    pub plane: &'static ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub iam: FakeIam,
    pub draw: Draw,
    pub lifetime: u64,
    name: &'static str,
    keys: Vec<String>,
    faults: Vec<SystemTime>,
    begin: Instant,
    probes: u32,
}

// === impl Site ===

impl Site {
    /// With all objects, and no operator yet.
    pub async fn build(stage: Stage, name: &'static str, lifetime: u64) -> Self {
        let client = stage.plane.admin();
        let namespace = harness::new_namespace(&client).await;
        allow(&client, &namespace).await;
        let iam = FakeIam::start();
        iam.set_lifetime(lifetime);
        iam.set_latency(LATENCY);
        let mut keys = vec![];
        for number in 0..CREDENTIALS {
            let key = iam.service_id_key(&format!("{namespace}-{number}"));
            harness::put_secret(&client, &namespace, &format!("key-{number}"), &json!({"apikey": key})).await;
            keys.push(key);
        }
        for (token, number) in TOKENS {
            let spec = json!({"apiKeySecretRef": {"name": format!("key-{number}")}});
            harness::put_token(&client, &namespace, token, &spec).await;
        }
        let (plane, draw) = (stage.plane, Draw::new(stage.seed, name));
        let begin = Instant::now();
        Self { plane, client, namespace, iam, draw, lifetime, name, keys, faults: vec![], begin, probes: 0 }
    }

    pub fn say(&self, text: &str) {
        say(self.name, text);
    }

    /// A fault that can cost an exchange happens now.
    pub fn strike(&mut self) {
        self.faults.push(SystemTime::now());
    }

    /// Waits for a time in which a refresh becomes due in a second.
    pub async fn almost_due(&self, reader: &Reader) {
        let half = Duration::from_secs(self.lifetime / 2).as_secs_f64();
        reader.left_until(|left| (half..half + 1.0).contains(&left)).await;
    }

    /// Waits until each token is younger than half of its life, which was not so before.
    pub async fn refreshed(&self, reader: &Reader) {
        let (life, half) = (Duration::from_secs(self.lifetime), Duration::from_secs(self.lifetime / 2).as_secs_f64());
        let _ = timeout(life, reader.left_until(|left| left < half)).await;
        reader.left_until(|left| left > half || left < -1.0).await;
    }

    pub async fn kubeconfig(&self, account: &str) -> PathBuf {
        self.plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, account).await
    }

    pub fn operator(&self, kubeconfig: &Path, more: &[&str]) -> Operator {
        Operator::start(&Start {
            kubeconfig,
            namespaces: std::slice::from_ref(&self.namespace),
            endpoints: &[self.iam.url()],
            log_level: "info",
            more,
        })
    }

    /// A lone operator, with every target made.
    pub async fn lone_operator(&self) -> Operator {
        let operator = self.operator(&self.kubeconfig(ACCOUNTS[0]).await, &[]);
        self.made().await;
        operator
    }

    /// Waits until every target is there.
    pub async fn made(&self) {
        for (name, _) in TOKENS {
            self.token_in(name).await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Reads every target from now on.
    pub async fn reader(&self) -> Reader {
        let targets = TOKENS.map(|(name, number)| {
            let identity = self.iam.identity_of(&self.keys[number]).unwrap();
            Target { name: name.into(), iam_id: identity.iam_id }
        });
        // With the rights of the admin.
        let client = self.plane.client_for_user(UNAUDITED, &["system:masters"]);
        let secrets = Api::namespaced(client, &self.namespace);
        let reader = Reader::start(secrets, targets.into(), self.iam.clone());
        reader.has_read_all().await;
        reader
    }

    /// Whether the operator learns of all that happens: a new IamToken gets its target, and a target that is deleted comes
    /// back. Returns how long it took.
    pub async fn probe(&mut self) -> Result<Duration, String> {
        self.probes += 1;
        let (begin, name) = (Instant::now(), format!("probe-{}", self.probes));
        let key = self.iam.service_id_key(&format!("{}-{name}", self.namespace));
        harness::put_secret(&self.client, &self.namespace, &format!("{name}-key"), &json!({"apikey": key})).await;
        let spec = json!({"apiKeySecretRef": {"name": format!("{name}-key")}});
        harness::put_token(&self.client, &self.namespace, &name, &spec).await;
        self.token_in(&name).await?;
        let (secrets, params) = (self.secrets(), DeleteParams::default());
        secrets.delete(&name, &params).await.unwrap();
        self.token_in(&name).await.map_err(|error| format!("after it was deleted: {error}"))?;
        let took = begin.elapsed();
        Api::<IamToken>::namespaced(self.client.clone(), &self.namespace).delete(&name, &params).await.unwrap();
        secrets.delete(&name, &params).await.unwrap();
        Ok(took)
    }

    async fn token_in(&self, name: &str) -> Result<(), String> {
        let (secrets, begin) = (self.secrets(), Instant::now());
        while begin.elapsed() < LIMIT {
            if let Ok(Some(secret)) = secrets.get_opt(name).await {
                let data = harness::data_of(&secret);
                if self.iam.verify(data["token"].as_str().unwrap_or_default()).is_ok() {
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("IamToken {name} had no target within {} s", LIMIT.as_secs()))
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// `more` exchanges of each credential are excused beside [`most_exchanges`].
    pub fn report(&self, reader: &Reader, faults: String, more: u64) -> Report {
        let (tally, mut violations) = (reader.tally(), vec![]);
        let (mut exchanges, mut bound) = (0, 0);
        for (number, key) in self.keys.iter().enumerate() {
            let calls = self.iam.calls_of(key).into_iter().filter(|call| call.issued);
            let times = calls.map(|call| call.at).collect::<Vec<_>>();
            let most = more + most_exchanges(self.begin.elapsed(), self.lifetime, lost(&self.faults, &times));
            let count = times.len() as u64;
            if count > most {
                violations.push(format!("credential {number} was exchanged {count} times: more than {most}"));
            }
            exchanges += count;
            bound += most;
        }
        if tally.expired + tally.wrong > 0 {
            violations.push(format!("{} expired, {} wrong: {:?}", tally.expired, tally.wrong, tally.described));
        }
        if tally.reads < 100 {
            violations.push(format!("{} reads prove little", tally.reads));
        }
        Report {
            scenario: self.name,
            faults,
            longest: Some(("one token", tally.longest_stay)),
            tally,
            lifetime: self.lifetime,
            exchanges,
            bound,
            violations,
            log: String::new(),
            must_fail: false,
        }
    }
}

/// Binds the operator's role to all its accounts.
async fn allow(client: &Client, namespace: &str) {
    let subject = |name| json!({"kind": "ServiceAccount", "name": name, "namespace": OPERATOR_NAMESPACE});
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "operators"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "iam-token-operator"},
        "subjects": ACCOUNTS.map(subject),
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await.unwrap();
}
