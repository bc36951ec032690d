use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Secret that holds the token.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("!has(self.data) || self.data.all(entry, self.data.filter(other, other.key == entry.key).size() == 1)")
        .message("each key of target.data may be given once"),
    validation = Rule::new("!has(self.labels) || self.labels.all(key, !key.startsWith('iamtoken.dev/'))")
        .message("labels under iamtoken.dev/ are the operator's own"),
    validation = Rule::new("!has(self.labels) || self.labels.all(key, key.matches('^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$'))")
        .message("a label's name has at most 63 letters, digits, '-', '_' and '.', and perhaps a domain and '/' before it"),
    validation = Rule::new("!has(self.annotations) || self.annotations.all(key, key.matches('^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$'))")
        .message("an annotation's name has at most 63 letters, digits, '-', '_' and '.', and perhaps a domain and '/' before it"),
    validation = Rule::new("!has(self.annotations) || self.annotations.all(key, !key.startsWith('iamtoken.dev/'))")
        .message("annotations under iamtoken.dev/ are the operator's own"),
)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The Secret's name. By default the IamToken's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,
    /// The Secret's type. By default "Opaque", or "kubernetes.io/dockerconfigjson" where the data has the key
    /// .dockerconfigjson with the format DockerConfigJson.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub type_: Option<String>,
    /// Labels of the Secret, beside those that others put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 64),
        extend("additionalProperties" = {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"})
    )]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of the Secret, beside those that others put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: Option<BTreeMap<String, String>>,
    /// True takes over an existing Secret of this name that no controller owns. Keys of its data that the token does
    /// not need are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
    /// What becomes of the Secret when the IamToken is deleted or names another target. By default "Delete".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// The Secret's data. By default token (AccessToken), authorization (Bearer) and expiration (Expiration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub data: Option<Vec<DataEntry>>,
}

/// One key of the target's data.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.registries) == (has(self.format) && self.format == 'DockerConfigJson')")
        .message("the format DockerConfigJson needs registries, such as [us.icr.io], and no other format has them"),
    validation = Rule::new("has(self.format) != has(self.template)")
        .message("set exactly one of format and template"),
)]
pub struct DataEntry {
    /// The key in the Secret's data: the file's name where the Secret is mounted.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// What is written there; or template says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What is written there: a text with variables such as access_token in pairs of braces (docs/templates.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32768))]
    pub template: Option<String>,
    /// The registries that the token is for, such as us.icr.io; only with DockerConfigJson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$"))
    )]
    pub registries: Option<Vec<String>>,
}

/// How a token is written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The bare access token.
    AccessToken,
    /// `Bearer` and the access token: what the HPCS key management API wants in its Authorization header.
    Bearer,
    /// `Authorization: Bearer`, the access token and a line break: a file for `curl -H @file`.
    AuthorizationHeader,
    /// The time of expiry in seconds since 1970.
    Expiration,
    /// The time of expiry as RFC 3339 has it, in UTC.
    ExpiresAt,
    /// `access_token`, `token_type`, `expires_in` and `expiration` as one JSON object, as IAM answers it.
    Json,
    /// What pulls images from `registries`: the value of a Secret of the type kubernetes.io/dockerconfigjson. The user is
    /// `iambearer` (IBM Cloud Container Registry documentation, "Accessing Container Registry").
    DockerConfigJson,
}

/// What becomes of a target that is no longer wanted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeletionPolicy {
    /// The Secret goes with its IamToken.
    #[default]
    Delete,
    /// The Secret stays, with the token that it last held.
    Retain,
}
