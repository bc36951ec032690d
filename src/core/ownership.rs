//! Did anybody change what the operator wrote? Answered from metadata alone: the API server takes a field away from its
//! manager when somebody else changes the field's value, so a field that the operator still manages is as it wrote it.
//! (Kubernetes documentation, "Server-Side Apply", field management.)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use super::digest;
use crate::api::FIELD_MANAGER;

/// Digests of the fields that the operator manages in a Secret, or should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// The keys of its data.
    pub data: u64,
    /// Its labels, annotations and owner.
    pub metadata: u64,
}

/// Which fields an apply covers.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a> {
    /// Keys of the data.
    pub data: Vec<&'a str>,
    /// Keys of the labels.
    pub labels: Vec<&'a str>,
    /// Keys of the annotations.
    pub annotations: Vec<&'a str>,
    /// uids of the owner references.
    pub owners: Vec<String>,
}

// === impl Fields ===

impl Fields<'_> {
    /// The digests, whatever the order of the fields.
    #[must_use]
    pub fn digest(mut self) -> Owned {
        for keys in [&mut self.data, &mut self.labels, &mut self.annotations] {
            keys.sort_unstable();
        }
        self.owners.sort_unstable();
        Owned {
            data: number(&self.data.join("\n")),
            metadata: number(
                &[self.labels.join("\n"), self.annotations.join("\n"), self.owners.join("\n")].join("\n\n"),
            ),
        }
    }
}

/// What the operator still manages in a Secret.
#[must_use]
pub fn owned(managed_fields: &[ManagedFieldsEntry]) -> Owned {
    let ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
    };
    let Some(fields) = managed_fields.iter().find(ours).and_then(|entry| entry.fields_v1.as_ref()) else {
        return Owned::default();
    };
    let metadata = &fields.0["f:metadata"];
    Fields {
        data: keys(&fields.0["f:data"]),
        labels: keys(&metadata["f:labels"]),
        annotations: keys(&metadata["f:annotations"]),
        owners: owners(&metadata["f:ownerReferences"]),
    }
    .digest()
}

/// The names in a FieldsV1 map: `{"f:token": {}}` -> `token`.
fn keys(fields: &Value) -> Vec<&str> {
    let fields = fields.as_object().into_iter().flatten();
    fields.filter_map(|(field, _)| field.strip_prefix("f:")).collect()
}

/// The uids in a FieldsV1 list map: `{"k:{\"uid\":\"…\"}": {}}` -> `…`.
fn owners(fields: &Value) -> Vec<String> {
    let fields = fields.as_object().into_iter().flatten();
    fields
        .filter_map(|(field, _)| serde_json::from_str::<Value>(field.strip_prefix("k:")?).ok())
        .filter_map(|key| Some(key["uid"].as_str()?.to_owned()))
        .collect()
}

fn number(text: &str) -> u64 {
    let digest = digest::of_parts(&[text]);
    u64::from_be_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(fields: &Value) -> Vec<ManagedFieldsEntry> {
        vec![serde_json::from_value(json!({
            "manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields,
        })).unwrap()]
    }

    fn expected() -> Owned {
        Fields {
            data: vec!["token", "authorization"],
            labels: vec!["l"],
            annotations: vec!["a"],
            owners: vec!["u".into()],
        }
        .digest()
    }

    #[test]
    fn untouched_fields_are_recognized() {
        let fields = json!({
            "f:data": {"f:authorization": {}, "f:token": {}},
            "f:metadata": {"f:annotations": {"f:a": {}}, "f:labels": {"f:l": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}},
            "f:type": {},
        });
        assert_eq!(owned(&entry(&fields)), expected());
    }

    #[test]
    fn a_lost_field_is_noticed() {
        let fields = json!({
            "f:data": {"f:authorization": {}},
            "f:metadata": {"f:annotations": {"f:a": {}}, "f:labels": {"f:l": {}}, "f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}},
        });
        assert_ne!(owned(&entry(&fields)).data, expected().data);
        assert_eq!(owned(&[]), Owned::default());
    }
}
