//! Objects as programs read them.

use clap::ValueEnum;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::Error;

/// A form of output that programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// JSON, with two spaces for each level
    Json,
    /// YAML
    Yaml,
}

/// A form in which objects can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ObjectForm {
    /// The whole object as JSON; of several, a List
    Json,
    /// The same as YAML
    Yaml,
    /// iamtoken.iamtoken.dev/NAME, one a line
    Name,
}

// === impl Form, ObjectForm ===

impl Form {
    /// The value, ended with a line break.
    pub(super) fn text(self, value: &impl Serialize) -> Result<String, Error> {
        Ok(match self {
            Self::Json => serde_json::to_string_pretty(value)? + "\n",
            Self::Yaml => serde_saphyr::to_string(value)?.trim_end().to_owned() + "\n",
        })
    }
}

impl ObjectForm {
    /// Those that were asked for: one that was named is told as it is, and any number of others as a List.
    pub(super) fn asked_for(self, objects: &[DynamicObject], by_one_name: bool) -> Result<String, Error> {
        match objects {
            [object] if by_one_name => self.one(object),
            objects => self.many(objects),
        }
    }

    /// One object.
    pub(super) fn one(self, object: &DynamicObject) -> Result<String, Error> {
        self.text(std::slice::from_ref(object), |mut objects| objects.pop().unwrap_or_default())
    }

    /// Any number of them, as a List.
    pub(super) fn many(self, objects: &[DynamicObject]) -> Result<String, Error> {
        self.text(objects, |items| json!({"apiVersion": "v1", "kind": "List", "items": items}))
    }

    fn text(self, objects: &[DynamicObject], whole: impl FnOnce(Vec<Value>) -> Value) -> Result<String, Error> {
        let form = match self {
            Self::Name => return Ok(objects.iter().map(|object| name(object) + "\n").collect()),
            Self::Json => Form::Json,
            Self::Yaml => Form::Yaml,
        };
        form.text(&whole(objects.iter().map(bare).collect::<Result<_, _>>()?))
    }
}

fn name(object: &DynamicObject) -> String {
    format!("iamtoken.iamtoken.dev/{}", object.metadata.name.as_deref().unwrap_or_default())
}

/// Without managed fields, which `kubectl` leaves out too; with version and kind, which a list of the API leaves out.
fn bare(object: &DynamicObject) -> Result<Value, serde_json::Error> {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = json!("iamtoken.dev/v1alpha1");
    value["kind"] = json!("IamToken");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "hpcs", "managedFields": [{"manager": "kubectl"}]},
            "spec": {"suspend": true, "accountId": "0123", "later": "2026-11-25T22:00:00Z", "text": "a: \"b\"\n"},
        }))
        .unwrap()
    }

    #[test]
    fn both_forms_hold_the_same_and_no_managed_fields() {
        let json: Value = serde_json::from_str(&ObjectForm::Json.one(&object()).unwrap()).unwrap();
        let yaml: Value = serde_saphyr::from_str(&ObjectForm::Yaml.one(&object()).unwrap()).unwrap();
        assert_eq!(json, yaml);
        assert_eq!(json["kind"], "IamToken");
        assert_eq!(json["metadata"], json!({"name": "hpcs"}));
        assert_eq!(json["spec"]["text"], "a: \"b\"\n");
    }

    #[test]
    fn several_are_a_list_and_none_is_an_empty_one() {
        let list: Value = serde_json::from_str(&ObjectForm::Json.many(&[object(), object()]).unwrap()).unwrap();
        assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 2));
        let none: Value = serde_saphyr::from_str(&ObjectForm::Yaml.many(&[]).unwrap()).unwrap();
        assert_eq!(none["items"], json!([]));
    }

    #[test]
    fn a_name_is_as_kubectl_takes_it() {
        assert_eq!(ObjectForm::Name.many(&[object()]).unwrap(), "iamtoken.iamtoken.dev/hpcs\n");
    }
}
