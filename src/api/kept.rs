//! An `IamToken` as a watch keeps it: small, as there may be many thousands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::{
    CONDITION_API_KEY_AT_RISK, CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, IamToken, IamTokenSpec,
    IamTokenStatus, Listed,
};

/// An `IamToken` as a watch keeps it: spec and status are text, a third of what they decode to.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "IamToken")]
#[serde(from = "Sent")]
pub struct Kept {
    /// Always there.
    pub metadata: ObjectMeta,
    /// What is asked for again and again.
    pub glance: Glance,
    spec: Text,
    status: Text,
}

/// What can be said of an `IamToken` at a glance.
#[allow(clippy::struct_excessive_bools, reason = "each is true or not whatever the others are")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// `status.expiresAt`
    pub expires_at: Option<Timestamp>,
    /// `status.refreshAt`
    pub refresh_at: Option<Timestamp>,
    /// `status.refreshedAt`
    pub refreshed_at: Option<Timestamp>,
    /// `status.apiKeyExpiresAt`
    pub api_key_expires_at: Option<Timestamp>,
    /// Whether `spec.suspend` is true.
    pub suspended: bool,
    /// Whether this condition is True, and so for the next three.
    pub ready: bool,
    /// Stalled
    pub stalled: bool,
    /// Reconciling
    pub reconciling: bool,
    /// ApiKeyAtRisk
    pub key_at_risk: bool,
}

/// As the API server sends it.
#[derive(Deserialize)]
struct Sent {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Text,
    #[serde(default)]
    status: Text,
}

/// A JSON value; empty where there is none.
#[derive(Clone, Debug, Default)]
struct Text(Box<str>);

// === impl Kept ===

impl Kept {
    /// All of it.
    #[must_use]
    pub fn open(&self) -> Listed {
        Listed { metadata: self.metadata.clone(), spec: self.spec.read(), status: self.status.read() }
    }
}

impl From<Sent> for Kept {
    fn from(Sent { metadata, spec, status }: Sent) -> Self {
        let glance = Glance::of(spec.read().as_ref(), &status.read().unwrap_or_default());
        Self { metadata, glance, spec, status }
    }
}

// === impl Glance ===

impl Glance {
    fn of(spec: Option<&IamTokenSpec>, status: &IamTokenStatus) -> Self {
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let has = |type_| status.conditions.iter().any(|it| it.type_ == type_ && it.status == "True");
        Self {
            expires_at: time(&status.expires_at),
            refresh_at: time(&status.refresh_at),
            refreshed_at: time(&status.refreshed_at),
            api_key_expires_at: time(&status.api_key_expires_at),
            suspended: spec.is_some_and(|spec| spec.suspend == Some(true)),
            ready: has(CONDITION_READY),
            stalled: has(CONDITION_STALLED),
            reconciling: has(CONDITION_RECONCILING),
            key_at_risk: has(CONDITION_API_KEY_AT_RISK),
        }
    }
}

// === impl Text ===

impl Text {
    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.starts_with('{').then(|| serde_json::from_str(&self.0).ok()).flatten()
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
    use serde_json::{Value, json};

    use super::*;

    fn both(object: &Value) -> (Kept, Listed) {
        let listed = serde_json::from_value(object.clone()).unwrap();
        (serde_json::from_str(&object.to_string()).unwrap(), listed)
    }

    #[test]
    fn opens_to_what_was_sent() {
        let condition = json!({"type": "Ready", "status": "True", "reason": "R", "message": "it's \"so\": é\n",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        for object in [
            json!({"metadata": {"name": "t"}}),
            json!({"metadata": {"name": "t"}, "spec": {"apiKeySecretRef": {"name": "k"}, "unknown": [1.5, null]}}),
            json!({"metadata": {"name": "t"}, "spec": {"suspend": "yes"}, "status": {"observedGeneration": 3}}),
            json!({"metadata": {"name": "t"}, "spec": [], "status": "text"}),
            json!({"metadata": {"name": "t"}, "spec": {"suspend": true}, "status": {"conditions": [condition]}}),
        ] {
            let (kept, listed) = both(&object);
            let opened = kept.open();
            assert_eq!((opened.spec, opened.status), (listed.spec, listed.status), "{object}");
            assert_eq!(opened.metadata, listed.metadata);
        }
    }

    #[test]
    fn a_glance_tells_times_and_conditions() {
        let times = json!({"expiresAt": "2026-01-01T01:00:00Z", "refreshAt": "2026-01-01T00:48:00Z",
            "refreshedAt": "2026-01-01T00:00:00Z", "apiKeyExpiresAt": "2027-01-01T00:00:00Z"});
        let (kept, listed) = both(&json!({"metadata": {}, "spec": {"suspend": true}, "status": times}));
        let status = listed.status.unwrap();
        let all = [&status.expires_at, &status.refresh_at, &status.refreshed_at, &status.api_key_expires_at];
        let glance = kept.glance;
        let seen = [glance.expires_at, glance.refresh_at, glance.refreshed_at, glance.api_key_expires_at];
        assert_eq!(seen, all.map(|time| Some(time.as_ref().unwrap().0)));
        assert!(glance.suspended && !glance.ready);
        for (type_, told) in [
            ("Ready", (|it| it.ready) as fn(Glance) -> bool),
            ("Stalled", |it| it.stalled),
            ("Reconciling", |it| it.reconciling),
            ("ApiKeyAtRisk", |it| it.key_at_risk),
        ] {
            for status in ["True", "False", "Unknown"] {
                let condition = json!({"type": type_, "status": status, "reason": "R", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"});
                let (kept, _) = both(&json!({"metadata": {}, "status": {"conditions": [condition]}}));
                assert_eq!(told(kept.glance), status == "True", "{type_} {status}");
            }
        }
    }
}
