//! One state of one object.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Revision;
use super::apply::Entry;

/// One state of one object, with what is made of it once: its JSON.
#[derive(Debug)]
pub struct Object {
    /// All of it but its `managedFields`.
    pub value: Arc<Value>,
    /// Its `managedFields`.
    pub owners: Vec<Entry>,
    /// Its resourceVersion.
    pub revision: Revision,
    whole: OnceLock<Bytes>,
    partial: OnceLock<Bytes>,
}

// === impl Object ===

impl Object {
    /// With its resourceVersion put in.
    pub fn new(mut value: Value, owners: Vec<Entry>, revision: Revision) -> Self {
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        Self { value: Arc::new(value), owners, revision, whole: OnceLock::new(), partial: OnceLock::new() }
    }

    /// The same at another revision, as a DELETED event has it.
    pub fn at(&self, revision: Revision) -> Self {
        Self::new((*self.value).clone(), self.owners.clone(), revision)
    }

    /// A copy to work on, without resourceVersion.
    pub fn bare(&self) -> Value {
        let mut bare = (*self.value).clone();
        bare["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        bare
    }

    /// A field of the metadata.
    pub fn metadata(&self, name: &str) -> &str {
        self.value["metadata"][name].as_str().unwrap_or_default()
    }

    /// Its JSON, or that of its metadata as `PartialObjectMetadata`.
    pub fn json(&self, metadata_only: bool) -> &Bytes {
        if metadata_only {
            return self.partial.get_or_init(|| {
                let mut json =
                    r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#.to_owned();
                self.write_metadata(&mut json);
                json.push('}');
                json.into()
            });
        }
        self.whole.get_or_init(|| {
            let mut json = "{".to_owned();
            for (name, value) in self.value.as_object().unwrap() {
                let comma = if json.len() > 1 { "," } else { "" };
                if name == "metadata" {
                    let _ = write!(json, r#"{comma}"metadata":"#);
                    self.write_metadata(&mut json);
                } else {
                    let _ = write!(json, r#"{comma}"{name}":{value}"#);
                }
            }
            json.push('}');
            json.into()
        })
    }

    fn write_metadata(&self, json: &mut String) {
        let _ = write!(json, "{}", self.value["metadata"]);
        if self.owners.is_empty() {
            return;
        }
        json.pop();
        json.push_str(r#","managedFields":"#);
        for (number, owner) in self.owners.iter().enumerate() {
            json.push(if number == 0 { '[' } else { ',' });
            owner.write(json);
        }
        json.push_str("]}");
    }

    /// Whether the other has the same content, whatever its resourceVersion.
    pub fn has_content_of(&self, other: &Value) -> bool {
        same_content(&self.value, other)
    }

    /// Whether anything but metadata and status is another.
    pub fn has_other_spec_than(&self, other: &Value) -> bool {
        !same(self.value.as_object().unwrap(), other.as_object().unwrap(), &["metadata", "status"])
    }

    /// Whether these are its owners, whenever they wrote.
    pub fn has_owners(&self, owners: &[Entry]) -> bool {
        self.owners.len() == owners.len() && self.owners.iter().zip(owners).all(|(one, other)| one.says(other))
    }
}

/// Whether two states have the same content, whatever their resourceVersions.
pub fn same_content(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return false };
    let metadata = (one.get("metadata").and_then(Value::as_object), other.get("metadata").and_then(Value::as_object));
    let (Some(mine), Some(theirs)) = metadata else { return false };
    same(one, other, &["metadata"]) && same(mine, theirs, &["resourceVersion"])
}

fn same(one: &Map<String, Value>, other: &Map<String, Value>, but: &[&str]) -> bool {
    let rest = |map: &'_ Map<String, Value>| map.keys().filter(|key| !but.contains(&key.as_str())).count();
    let is_there =
        |(key, value): (&String, &Value)| but.contains(&key.as_str()) || other.get(key).is_some_and(|it| it == value);
    rest(one) == rest(other) && one.iter().all(is_there)
}
