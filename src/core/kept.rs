//! An `IamToken` as it is kept: small, as there may be many thousands.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;

use super::packed::Packed;
use super::short::Short;
use super::status::find;
use super::target::target_name;
use super::view::{Claim, Key};
use crate::api::{
    CONDITION_API_KEY_AT_RISK, CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, Delivered, IamTokenSpec,
    IamTokenStatus, Listed, REFRESH_REQUESTED, Text,
};

/// An `IamToken` as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name.
    pub key: Key,
    /// What it names.
    pub claim: Claim,
    /// Its resourceVersion.
    pub version: Short,
    /// Whether it is being deleted.
    pub deleted: bool,
    /// The `ClusterIamCredential` that it names.
    pub lender: Option<Box<str>>,
    /// What is asked for again and again.
    pub glance: Glance,
    generation: Option<i64>,
    requested: Option<Box<str>>,
    /// Spec and status, one after the other.
    body: Packed,
    /// How long the spec is, in bytes.
    spec: usize,
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

// === impl Kept ===

impl Kept {
    /// All that is of use of it, as the API server would list it.
    #[must_use]
    pub fn open(&self) -> Listed {
        let requested =
            self.requested.as_deref().map(|value| [(REFRESH_REQUESTED.to_owned(), value.to_owned())].into());
        let metadata = ObjectMeta {
            name: Some(self.key.name.to_string()),
            namespace: Some(self.key.namespace.to_string()),
            uid: Some(self.claim.uid.to_string()),
            resource_version: Some(self.version.to_string()),
            generation: self.generation,
            creation_timestamp: Some(Time(self.claim.created)),
            annotations: requested,
            ..ObjectMeta::default()
        };
        let body = self.body.unpack();
        let (spec, status) = body.split_at_checked(self.spec).unwrap_or_default();
        Listed { metadata, spec: Text::from(spec).read(), status: Text::from(status).read() }
    }
}

impl From<Delivered> for Kept {
    fn from(Delivered { metadata, spec, status }: Delivered) -> Self {
        let (spoken, told) = (spec.read::<IamTokenSpec>(), status.read::<IamTokenStatus>().unwrap_or_default());
        let key = Key::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
        let source = spoken.as_ref().and_then(|spec| spec.api_key_secret_ref.as_ref());
        let claim = Claim {
            uid: metadata.uid.unwrap_or_default().into(),
            created: metadata.creation_timestamp.map_or(Timestamp::MIN, |time| time.0),
            source: source.map(|reference| key.sibling(&reference.name)),
            target: key.sibling(&claimed_target(&key.name, spoken.as_ref(), &told)),
        };
        let lender = spoken.as_ref().and_then(|spec| spec.credential_ref.as_ref());
        Self {
            claim,
            version: metadata.resource_version.unwrap_or_default().into(),
            deleted: metadata.deletion_timestamp.is_some(),
            lender: lender.map(|reference| reference.name.as_str().into()),
            glance: Glance::of(spoken.as_ref(), &told),
            generation: metadata.generation,
            requested: metadata.annotations.and_then(|mut all| all.remove(REFRESH_REQUESTED)).map(Into::into),
            body: Packed::new(&[spec.as_str(), status.as_str()].concat()),
            spec: spec.as_str().len(),
            key,
        }
    }
}

/// The name of the target that an `IamToken` lays claim to. One that does not decode is left the target that it had.
#[must_use]
pub fn claimed_target(name: &str, spec: Option<&IamTokenSpec>, status: &IamTokenStatus) -> String {
    let last = || status.target.as_ref().map_or(name, |target| &target.name).to_owned();
    spec.map_or_else(last, |spec| target_name(name, spec))
}

// === impl Glance ===

impl Glance {
    fn of(spec: Option<&IamTokenSpec>, status: &IamTokenStatus) -> Self {
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let has = |type_| find(status, type_).is_some_and(|condition| condition.status == "True");
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn both(object: &Value) -> (Kept, Listed) {
        let delivered: Delivered = serde_json::from_str(&object.to_string()).unwrap();
        (delivered.into(), serde_json::from_value(object.clone()).unwrap())
    }

    #[test]
    fn opens_to_what_was_sent() {
        let condition = json!({"type": "Ready", "status": "True", "reason": "R", "message": "it's \"so\": é\n",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let metadata = json!({"namespace": "team-a", "name": "t", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {REFRESH_REQUESTED: "now"}});
        for (spec, status) in [
            (json!(null), json!(null)),
            (json!({"apiKeySecretRef": {"name": "k"}, "unknown": [1.5, null]}), json!({})),
            (json!({"suspend": "yes"}), json!({"observedGeneration": 3})),
            (json!([]), json!("text")),
            (json!({"suspend": true}), json!({"conditions": [condition]})),
        ] {
            let object = json!({"metadata": metadata, "spec": spec, "status": status});
            let (kept, listed) = both(&object);
            let opened = kept.open();
            assert_eq!((opened.spec, opened.status), (listed.spec, listed.status), "{object}");
            assert_eq!(opened.metadata, listed.metadata);
        }
    }

    #[test]
    fn what_it_names_is_known_without_opening_it() {
        let source = json!({"apiKeySecretRef": {"name": "k"}});
        let (kept, _) = both(&json!({"metadata": {"namespace": "ns", "name": "t"}, "spec": source}));
        assert_eq!((kept.claim.source, kept.claim.target), (Some(Key::new("ns", "k")), Key::new("ns", "t")));
        let lent = json!({"credentialRef": {"name": "c"}, "target": {"name": "other"}});
        let (kept, _) = both(&json!({"metadata": {"namespace": "ns", "name": "t"}, "spec": lent}));
        assert_eq!((kept.lender.as_deref(), kept.claim.source), (Some("c"), None));
        assert_eq!(kept.claim.target, Key::new("ns", "other"));
        let status = json!({"target": {"name": "last"}});
        let (kept, _) = both(&json!({"metadata": {"namespace": "ns", "name": "t"}, "spec": 1, "status": status}));
        assert_eq!(kept.claim.target, Key::new("ns", "last"), "of one that does not decode");
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
