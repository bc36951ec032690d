//! What the oracle reads from objects. Written anew from the documentation, not with the operator's own code: it must
//! not be wrong in the same way.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// An `IamToken`.
#[derive(Clone, Debug)]
pub struct Token {
    pub uid: String,
    pub generation: i64,
    /// When it was created, and its name: the least is the oldest.
    pub age: (String, String),
    pub source: String,
    pub target: String,
    pub adopt: bool,
    pub retain: bool,
    pub suspend: bool,
    pub requested: Option<String>,
    pub status: Status,
}

/// What its status says.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub ready: bool,
    pub stalled: bool,
    pub reason: String,
    pub observed: i64,
    pub expires_at: Option<Timestamp>,
    pub refreshed_at: Option<String>,
    pub handled: Option<String>,
}

/// A Secret.
#[derive(Clone, Debug)]
pub struct Secret {
    pub uid: String,
    pub data: BTreeMap<String, String>,
    pub controller: Option<String>,
    /// uid and name of the `IamToken` that the operator's record names.
    pub owner: Option<(String, String)>,
    pub refreshed_at: Option<String>,
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

impl Token {
    pub fn read(value: &Value) -> Self {
        let flag = |pointer| value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
        let name = text(value, "/metadata/name").unwrap();
        Self {
            uid: text(value, "/metadata/uid").unwrap(),
            generation: value.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1),
            age: (text(value, "/metadata/creationTimestamp").unwrap_or_default(), name.clone()),
            source: text(value, "/spec/apiKeySecretRef/name").unwrap_or_default(),
            target: text(value, "/spec/target/name").unwrap_or(name),
            adopt: flag("/spec/target/adopt"),
            retain: text(value, "/spec/target/deletionPolicy").as_deref() == Some("Retain"),
            suspend: flag("/spec/suspend"),
            requested: text(value, "/metadata/annotations/iamtoken.dev~1refresh-requested"),
            status: Status::read(value.get("status").unwrap_or(&Value::Null)),
        }
    }
}

impl Status {
    fn read(value: &Value) -> Self {
        let all = value.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let find = |type_: &str| all.iter().find(|condition| condition["type"] == type_);
        let is_true = |type_| find(type_).is_some_and(|condition| condition["status"] == "True");
        let trouble = find("Stalled").or_else(|| find("Reconciling")).or_else(|| find("Ready"));
        Self {
            ready: is_true("Ready"),
            stalled: is_true("Stalled"),
            reason: trouble.and_then(|condition| text(condition, "/reason")).unwrap_or_default(),
            observed: value.get("observedGeneration").and_then(Value::as_i64).unwrap_or_default(),
            expires_at: text(value, "/expiresAt").and_then(|at| at.parse().ok()),
            refreshed_at: text(value, "/refreshedAt"),
            handled: text(value, "/lastHandledRefresh"),
        }
    }
}

impl Secret {
    pub fn read(value: &Value) -> Self {
        let data = value.get("data").and_then(Value::as_object).into_iter().flatten();
        let decoded = data.map(|(key, value)| {
            let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
            (key.clone(), String::from_utf8_lossy(&bytes).into_owned())
        });
        let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
        let record = text(value, "/metadata/annotations/iamtoken.dev~1record");
        let record: Option<Value> = record.and_then(|record| serde_json::from_str(&record).ok());
        let record = record.as_ref();
        Self {
            uid: text(value, "/metadata/uid").unwrap_or_default(),
            data: decoded.collect(),
            controller: owners
                .filter(|owner| owner["controller"] == true)
                .find_map(|owner| Some(owner["uid"].as_str()?.to_owned())),
            owner: record.and_then(|record| Some((text(record, "/owner/uid")?, text(record, "/owner/name")?))),
            refreshed_at: record.and_then(|record| text(record, "/refreshedAt")),
        }
    }

    /// Whether the operator may write it for this `IamToken`: it made it, or was told to take it over.
    pub fn is_open_to(&self, uid: &str, name: &str, adopt: bool) -> bool {
        match &self.controller {
            Some(controller) => controller == uid,
            None => adopt || self.owner.as_ref().is_some_and(|(owner, called)| owner == uid || called == name),
        }
    }

    /// Whether the `IamToken` holds it.
    pub fn is_held_by(&self, uid: &str) -> bool {
        self.controller.as_deref() == Some(uid)
            || (self.controller.is_none() && self.owner.as_ref().is_some_and(|(owner, _)| owner == uid))
    }
}
