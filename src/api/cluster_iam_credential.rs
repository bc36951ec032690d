use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::iam_token::TrustedProfile;

#[allow(clippy::duplicated_attributes, reason = "each column has a type")]
/// A credential that an admin lends to namespaces: they get tokens of it, never the credential itself.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "iamtoken.dev",
    version = "v1alpha1",
    kind = "ClusterIamCredential",
    plural = "clusteriamcredentials",
    shortname = "ciamc",
    status = "ClusterIamCredentialStatus",
    derive = "PartialEq",
    doc = "An IBM Cloud IAM credential that stays in one namespace and whose access tokens other namespaces may use.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "False where tokens of it cannot be had"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.apiKeySecretRef) != has(self.serviceAccountRef)")
        .message("set exactly one of apiKeySecretRef and serviceAccountRef"),
    validation = Rule::new("!has(self.serviceAccountRef) || has(self.trustedProfile)")
        .message("serviceAccountRef needs a trustedProfile: a ServiceAccount has no IAM identity of its own"),
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIamCredentialSpec {
    /// An API key of a user or a service ID, in a Secret of a namespace that the operator was started to read keys in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<LockedSecretRef>,
    /// A ServiceAccount of such a namespace that a trusted profile admits (IKS, ROKS); needs trustedProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<LockedServiceAccountRef>,
    /// The trusted profile that the credential becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_profile: Option<TrustedProfile>,
    /// The IAM endpoint, one of those that the operator was started with. By default the operator's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^https?://[^\s]+$"))]
    pub endpoint: Option<String>,
    /// The account that the tokens must be of; a token of another account is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z_-]+$"))]
    pub account_id: Option<String>,
    /// The namespaces whose IamTokens may name this credential in credentialRef. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// One key of a Secret in a namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct LockedSecretRef {
    /// The Secret's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data, as in an IamToken. By default "apikey".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

/// A ServiceAccount in a namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct LockedServiceAccountRef {
    /// The ServiceAccount's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The ServiceAccount's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Namespaces, by name or by label. A namespace is admitted if either names it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct AllowedNamespaces {
    /// Their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), inner(length(min = 1, max = 63)))]
    pub names: Option<Vec<String>>,
    /// Their labels; {} admits every namespace. Choose labels that only admins may set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What the operator knows of the credential.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIamCredentialStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled`, and `ApiKeyAtRisk`, while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
