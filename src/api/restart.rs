use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Workloads whose pods read the token only when they start, such as from environment variables.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("!has(self.minPeriod) || (duration(self.minPeriod) >= duration('1s') && duration(self.minPeriod) <= duration('45m'))")
        .message("restart.minPeriod is a duration from 1s to 45m, such as 10m: a token lives for an hour at most")
)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Workloads of this namespace. Each is restarted once for each new token, as `kubectl rollout restart` does it. The
    /// operator's admin must allow it: the chart's workloadRestarts.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub workloads: Vec<Workload>,
    /// The least time between two restarts of a workload, from "1s" to "45m"; "10m" by default. A restart that it holds
    /// up is made when it has passed, with the newest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]{1,4}[hms]){1,3}$"))]
    pub min_period: Option<String>,
}

/// A workload of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Its kind, of the API group apps.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// What can be restarted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// Restarted by a new ReplicaSet.
    Deployment,
    /// Restarted pod by pod.
    StatefulSet,
    /// Restarted node by node.
    DaemonSet,
}

/// The last restart of a workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// When it was restarted.
    pub restarted_at: Time,
    /// When the token expires that it was restarted for.
    pub expires_at: Time,
    /// Which token that was: a keyed digest of it, as in the annotation of the workload's pod template.
    pub token_digest: String,
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}
