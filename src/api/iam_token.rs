use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::restart::Restart;
use super::status::IamTokenStatus;
use super::target::Target;

/// What a user asks for. Everything but the credential is optional.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "iamtoken.dev",
    version = "v1alpha1",
    kind = "IamToken",
    plural = "iamtokens",
    shortname = "iamt",
    namespaced,
    status = "IamTokenStatus",
    derive = "PartialEq",
    doc = "An IBM Cloud IAM access token, kept valid in a Secret of the same namespace.",
    validation = Rule::new("!has(self.spec.apiKeySecretRef) || self.spec.apiKeySecretRef.name != (has(self.spec.target) && has(self.spec.target.name) ? self.spec.target.name : self.metadata.name)")
        .message("the target Secret must not be the Secret that holds the API key: set spec.target.name to another name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "True while the target holds a token that is valid now"),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.target.name", description = "The Secret that holds the token"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", description = "When the token in the target expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = "1"),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity.iamId", priority = "1"),
    printcolumn(name = "Refresh", type_ = "string", json_path = ".status.refreshAt", priority = "1")
)]
#[x_kube(
    validation = Rule::new("[has(self.apiKeySecretRef), has(self.serviceAccountRef), has(self.credentialRef)].filter(given, given).size() == 1")
        .message("set exactly one of apiKeySecretRef, serviceAccountRef and credentialRef"),
    validation = Rule::new("!has(self.serviceAccountRef) || has(self.trustedProfile)")
        .message("serviceAccountRef needs a trustedProfile: a ServiceAccount has no IAM identity of its own"),
    validation = Rule::new("!has(self.credentialRef) || (!has(self.trustedProfile) && !has(self.endpoint) && !has(self.accountId))")
        .message("trustedProfile, endpoint and accountId are the ClusterIamCredential's own: leave them out beside credentialRef"),
)]
#[serde(rename_all = "camelCase")]
pub struct IamTokenSpec {
    /// An API key of a user or a service ID, in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<ApiKeySecretRef>,
    /// A ServiceAccount of this namespace that a trusted profile admits (IKS, ROKS); needs trustedProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// A ClusterIamCredential that admits this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<CredentialRef>,
    /// The trusted profile that the credential becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_profile: Option<TrustedProfile>,
    /// The IAM endpoint, one of those that the operator was started with. By default the operator's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^https?://[^\s]+$"))]
    pub endpoint: Option<String>,
    /// The account that the token must be of; a token of another account is refused. By default the operator's, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z_-]+$"))]
    pub account_id: Option<String>,
    /// How long before expiry the token is refreshed: a share of its lifetime ("20%" where the operator has no other
    /// default, at most "50%") or a duration ("12m"). Never less than 150 s before expiry, and never before half of the lifetime has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^(([1-9]|[1-4][0-9]|50)%|([0-9]{1,6}[hms]){1,3})$"))]
    pub renew_before: Option<String>,
    /// True leaves the token as it is until it dies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// The Secret that the token is written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Workloads that are restarted for each new token, for those that can't read a mounted file. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
}

/// One key of a Secret of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct ApiKeySecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data. Its value is the raw API key, the JSON file that `ibmcloud iam api-key-create --file`
    /// writes, a service credential, or an ibm-credentials.env file. At most 4 KiB. By default "apikey".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

/// A ServiceAccount of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct ServiceAccountRef {
    /// The ServiceAccount's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A ClusterIamCredential.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct CredentialRef {
    /// The ClusterIamCredential's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A trusted profile, by exactly one of its id, name and CRN.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("[has(self.id), has(self.name), has(self.crn)].filter(given, given).size() == 1")
        .message("set exactly one of id, name and crn")
)]
pub struct TrustedProfile {
    /// `Profile-…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The name in the account of the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// `crn:v1:bluemix:public:iam-identity::a/…::profile:Profile-…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub crn: Option<String>,
}
