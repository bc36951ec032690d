//! An `IamToken` as a watch delivers it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::{IamToken, REFRESH_REQUESTED};

/// An `IamToken` as a watch delivers it: a page of 500 is in memory at once, so only what is of use is decoded, and spec
/// and status are left text, a third of what they decode to.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "IamToken")]
#[serde(from = "Sent")]
pub struct Delivered {
    /// Names, versions and times; of the annotations, only [`REFRESH_REQUESTED`].
    pub metadata: ObjectMeta,
    /// The spec.
    pub spec: Text,
    /// The status.
    pub status: Text,
}

/// As the API server sends it.
#[derive(Deserialize)]
struct Sent {
    metadata: Metadata,
    #[serde(default)]
    spec: Text,
    #[serde(default)]
    status: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    annotations: Option<BTreeMap<String, String>>,
}

/// A JSON value; empty where there is none.
#[derive(Clone, Debug, Default)]
pub struct Text(Box<str>);

// === impl Delivered ===

impl From<Sent> for Delivered {
    fn from(Sent { metadata, spec, status }: Sent) -> Self {
        let requested = metadata.annotations.unwrap_or_default().remove_entry(REFRESH_REQUESTED);
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            annotations: requested.map(|annotation| [annotation].into()),
            ..ObjectMeta::default()
        };
        Self { metadata, spec, status }
    }
}

// === impl Text ===

impl Text {
    /// What it says; `None` where it is no object, or does not decode, which an older CRD may have let in.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.starts_with('{').then(|| serde_json::from_str(&self.0).ok()).flatten()
    }

    /// It itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::to_string(&serde_transcode::Transcoder::new(deserializer));
        text.map(|text| Self(text.into_boxed_str())).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_of_use_is_decoded() {
        let metadata = json!({
            "namespace": "team-a", "name": "t", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"a": "b"}, "finalizers": ["f"],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", REFRESH_REQUESTED: "now"},
            "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
        });
        let delivered: Delivered = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        let mut left: ObjectMeta = serde_json::from_value(metadata).unwrap();
        (left.labels, left.finalizers, left.managed_fields) = (None, None, None);
        left.annotations.as_mut().unwrap().retain(|name, _| name == REFRESH_REQUESTED);
        assert_eq!(delivered.metadata, left);
        assert_eq!(delivered.annotations().len(), 1);
    }
}
