//! What each kind makes of a new state before it is stored: defaults and validation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::failure::{Cause, Failure, Object as About};
use super::kind::Kind;
use super::object::Object;
use super::schema::drop_nulls;
use super::store::Place;

/// The most that the data of a Secret may hold, in bytes (`MaxSecretSize`).
const LARGEST: usize = 1024 * 1024;
const IMMUTABLE: &str = "field is immutable when `immutable` is set";

// === impl Place ===

impl<'a> Place<'a> {
    pub fn about(self) -> About<'a> {
        About { kind: self.kind, name: self.name }
    }
}

/// The new state as it will be stored.
///
/// # Errors
/// Where it is not valid.
pub fn prepare(place: Place<'_>, status: bool, old: Option<&Object>, new: &mut Value) -> Result<(), Failure> {
    let mut causes = vec![];
    match place.kind {
        Kind::IamToken => {
            keep_apart(status, old, new);
            schema(new, &mut causes);
        }
        // Kubernetes' own types have no null; the nullable fields of a custom resource keep it.
        Kind::Secret => secret(old, new, &mut causes)?,
        Kind::Lease | Kind::Event => {}
    }
    if let Some(old) = old
        && let Some(uid) = keep_uid(old, new)
    {
        let message = format!("Invalid value: {uid}: field is immutable");
        causes.push(Cause { reason: "FieldValueInvalid", field: "metadata.uid", message });
    }
    metadata(new, &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(place.about(), &causes)) }
}

/// Returns another uid that the new state has, if it has one.
fn keep_uid(old: &Object, new: &mut Value) -> Option<Value> {
    let given = new["metadata"].get("uid").filter(|uid| **uid != "" && !uid.is_null()).cloned();
    let uid = &old.value["metadata"]["uid"];
    new["metadata"]["uid"] = uid.clone();
    given.filter(|given| given != uid)
}

/// A write to the subresource `status` changes nothing else, and no other write changes the status.
fn keep_apart(status: bool, old: Option<&Object>, new: &mut Value) {
    let theirs = new.as_object_mut().and_then(|new| new.remove("status"));
    let kept = match old {
        Some(old) if status => {
            *new = old.bare();
            theirs
        }
        Some(old) => old.value.get("status").cloned(),
        None => None,
    };
    match kept {
        Some(kept) => new["status"] = kept,
        None => drop(new.as_object_mut().and_then(|new| new.remove("status"))),
    }
}

/// Of the schema only what an apply can come to that is well-formed itself: nobody applies the conditions any longer, and
/// somebody else still owns the list.
fn schema(new: &Value, causes: &mut Vec<Cause>) {
    if new.pointer("/status/conditions") == Some(&Value::Null) {
        let message = "Invalid value: \"null\": status.conditions in body must be of type array: \"null\"".into();
        causes.push(Cause { reason: "FieldValueTypeInvalid", field: "status.conditions", message });
        let message = "Invalid value: null: some validation rules were not checked".into();
        causes.push(Cause { reason: "FieldValueInvalid", field: "<nil>", message });
    }
}

fn metadata(new: &mut Value, causes: &mut Vec<Cause>) {
    let Some(metadata) = new["metadata"].as_object_mut() else { return };
    metadata.retain(|_, value| !is_nothing(value));
    for name in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(name).and_then(Value::as_object_mut) {
            map.retain(|_, value| !value.is_null());
        }
    }
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    if owners.into_iter().flatten().filter(|owner| owner["controller"] == true).count() > 1 {
        causes.push(Cause {
            reason: "FieldValueInvalid",
            field: "metadata.ownerReferences",
            message: "Invalid value: Only one reference can have Controller set to true".into(),
        });
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn secret(old: Option<&Object>, new: &mut Value, causes: &mut Vec<Cause>) -> Result<(), Failure> {
    drop_nulls(new);
    let Some(object) = new.as_object_mut() else { return Ok(()) };
    if let Some(Value::Object(text)) = object.remove("stringData") {
        let data = object.entry("data").or_insert_with(|| json!({}));
        for (key, value) in text {
            data[key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
        }
    }
    if object.get("data").is_some_and(is_nothing) {
        object.remove("data");
    }
    let type_ = object.entry("type").or_insert_with(|| "Opaque".into());
    if *type_ == "" {
        *type_ = "Opaque".into();
    }
    let mut size = 0;
    for (_, value) in object.get("data").and_then(Value::as_object).into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        size += text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count();
        if text.len() % 4 != 0 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) {
            return Err(Failure::bad_request("Secret in version \"v1\" cannot be handled as a Secret: illegal base64"));
        }
    }
    if size > LARGEST {
        let message = format!("Too long: may not be more than {LARGEST} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: "data", message });
    }
    if let Some(old) = old {
        changes_of_secret(&old.value, object, causes);
    }
    Ok(())
}

fn changes_of_secret(old: &Value, new: &Map<String, Value>, causes: &mut Vec<Cause>) {
    if new["type"] != old["type"] {
        let message = format!("Invalid value: {}: field is immutable", new["type"]);
        causes.push(Cause { reason: "FieldValueInvalid", field: "type", message });
    }
    if old["immutable"] != true {
        return;
    }
    let forbidden = |field| Cause { reason: "FieldValueForbidden", field, message: format!("Forbidden: {IMMUTABLE}") };
    if new.get("immutable") != Some(&Value::Bool(true)) {
        causes.push(forbidden("immutable"));
    }
    if new.get("data") != old.get("data") {
        causes.push(forbidden("data"));
    }
}
