//! All that runs.

use std::path::Path;

use serde::Deserialize;
use testkit::fake_iam::{ApiKey, DEFAULT_ACCOUNT, FakeIam, Identity};
use testkit::fake_kms::FakeKms;

use crate::caller::Caller;
use crate::cluster::{API_KEY, Cluster, NAMESPACE, TOKEN};
use crate::operator::Operator;
use crate::reader::Reader;
use crate::say::Say;
use crate::{Error, Result};

/// Lifetime of tokens in seconds.
pub const LIFETIME: u64 = 20;
/// How many lines of the operator's log a failure shows.
const TAIL_LINES: usize = 20;

/// Everything, in the order in which it is ended.
pub struct Stage {
    caller: Caller,
    pub reader: Reader,
    pub operator: Operator,
    pub cluster: Cluster,
    kms: FakeKms,
    pub iam: FakeIam,
    /// Whose keys the IAM knows.
    pub identity: Identity,
    /// The key of the example.
    pub key: String,
}

// === impl Stage ===

impl Stage {
    pub async fn set(operator: &Path, kms_instance: &str, say: &Say) -> Result<Self> {
        say.step("A control plane, a fake IAM, the operator");
        let cluster = Cluster::start().await?;
        say.line("etcd and kube-apiserver are ready, nothing is on them");
        cluster.prepare().await?;
        let (iam, key) = (FakeIam::start(), example_key()?);
        iam.set_lifetime(LIFETIME);
        let identity = Identity::service_id("payments", DEFAULT_ACCOUNT);
        iam.add_identity(identity.clone());
        iam.add_key(&key, ApiKey::new("payments", &identity.iam_id));
        let kms = FakeKms::start(&iam);
        let operator = Operator::start(operator, &cluster.operator_kubeconfig().await, &iam.url())?;
        say.line(&format!("the operator runs as its own ServiceAccount; tokens live for {LIFETIME} s"));
        let reader = Reader::start(cluster.secrets(), TOKEN);
        let caller = Caller::start(&kms.url(), kms_instance, reader.subscribe())?;
        Ok(Self { caller, reader, operator, cluster, kms, iam, identity, key })
    }

    /// Returns when a promise is broken: a call failed, or the operator ended.
    pub async fn broken(&self) -> Error {
        tokio::select! {
            error = self.caller.failed() => error,
            error = self.operator.ended() => error,
        }
    }

    /// How many calls of the key-management service were answered with what was asked for, and how many were not.
    pub fn calls(&self) -> Calls {
        let calls = self.kms.calls();
        let good = calls.iter().filter(|call| call.status == 200).count();
        Calls { good, bad: calls.len() - good }
    }

    /// For a person who wants to know why it failed.
    pub async fn what_is_known(&self) -> String {
        let token = self.cluster.kubectl(&["get", "iamtoken", TOKEN, "-n", NAMESPACE, "-o", "yaml"]).await;
        let token = token.unwrap_or_else(|error| error.to_string());
        let log = self.operator.log();
        let tail = log[log.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("The IamToken:\n{token}\nThe end of the operator's log:\n{tail}")
    }

    pub fn how_to_look_around(&self) -> String {
        format!(
            "\nAll of it goes on: a token of {LIFETIME} s is kept alive. In another terminal:\n\n{}\n\n\
             The operator is process {}. Ctrl-C here ends everything.",
            self.cluster.how_to_look_around(),
            self.operator.pid(),
        )
    }
}

/// The API key of `docs/examples/api-key.yaml`.
fn example_key() -> Result<String> {
    #[derive(Deserialize)]
    struct Example {
        #[serde(rename = "stringData")]
        data: std::collections::BTreeMap<String, String>,
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/api-key.yaml"))?;
    let mut example: Example = serde_saphyr::from_str(&text)?;
    example.data.remove("apikey").ok_or_else(|| format!("the example of Secret {API_KEY} has no apikey").into())
}

/// Calls of the key-management service.
#[derive(Clone, Copy)]
pub struct Calls {
    pub good: usize,
    pub bad: usize,
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} calls of the key-management service, {} failed", self.good + self.bad, self.bad)
    }
}
