//! A token and a plan -> the target Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::digest;
use super::plan::Plan;
use super::record::{Owner, Record};
use super::schedule::Life;
use crate::api::{Format, MANAGED, RECORD};

/// What must be true of the Secret in the cluster at the moment of the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It is this one in this state.
    Exactly {
        /// The Secret's uid.
        uid: String,
        /// Its resourceVersion.
        version: String,
    },
}

/// A resourceVersion that no Secret can have (etcd's first revision is 1 and holds none): an apply that carries it can
/// only create.
const NEVER: &str = "1";

/// The whole of what the operator applies. Never to be logged: it holds the token.
#[must_use]
pub fn secret(plan: &Plan, record: &Record, token: &SecretString, expect: &Expect) -> Secret {
    let owner = &record.owner;
    let target = &plan.target;
    let data = target.data.iter().map(|(key, format)| (key.clone(), ByteString(value(*format, token, record.life()))));
    let mut labels = target.labels.clone();
    labels.insert(MANAGED.into(), "true".into());
    let mut annotations = target.annotations.clone();
    annotations.insert(RECORD.into(), serde_json::to_string(record).unwrap_or_default());
    let (uid, version) = match expect {
        Expect::Absent => (None, NEVER.to_owned()),
        Expect::Exactly { uid, version } => (Some(uid.clone()), version.clone()),
    };
    Secret {
        metadata: ObjectMeta {
            name: Some(target.name.clone()),
            namespace: Some(owner.namespace.clone()),
            uid,
            resource_version: Some(version),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: (!target.retain).then(|| vec![owner_reference(owner)]),
            ..ObjectMeta::default()
        },
        type_: Some(target.type_.clone()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

/// The token in a target's data, if it is still the one that its record was written for.
#[must_use]
pub fn recover(uid: &str, record: &Record, data: &BTreeMap<String, SecretString>) -> Option<SecretString> {
    let candidates = data.values().filter_map(|value| token_in(value.expose_secret()));
    candidates.into_iter().find(|token| digest::of_secret(uid, token.expose_secret()) == record.token)
}

/// The token in a value of any [`Format`] that has one.
fn token_in(value: &str) -> Option<SecretString> {
    #[derive(Deserialize)]
    struct Json {
        access_token: SecretString,
    }
    if value.starts_with('{') {
        let json: Json = serde_json::from_str(value).ok()?;
        return Some(json.access_token);
    }
    Some(SecretString::from(value.strip_prefix("Bearer ").unwrap_or(value)))
}

fn owner_reference(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: "iamtoken.dev/v1alpha1".into(),
        kind: "IamToken".into(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn value(format: Format, token: &SecretString, life: Life) -> Vec<u8> {
    let token = token.expose_secret();
    let expiration = life.expires_at().as_second();
    match format {
        Format::AccessToken => token.as_bytes().to_vec(),
        Format::Bearer => format!("Bearer {token}").into_bytes(),
        Format::Expiration => expiration.to_string().into_bytes(),
        Format::Json => json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": life.lasts.as_secs(),
            "expiration": expiration,
        })
        .to_string()
        .into_bytes(),
    }
}

#[cfg(test)]
mod tests;
