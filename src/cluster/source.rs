//! Reading the API key. It is read for each exchange anew and kept nowhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::{Api, Client, Resource};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::call;
use crate::core::credential::{self, KeyProblem};
use crate::core::problem::Problem;
use crate::core::record::Mark;

/// A Secret with its payload, which Debug does not show, in base64 as it came.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "Secret")]
pub(super) struct Payload {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) data: BTreeMap<String, SecretString>,
}

/// Never called: kube wants it of resources.
impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metadata.serialize(serializer)
    }
}

/// One read of the Secret `name`: the API key at `key`, and the state of the Secret.
///
/// # Errors
/// The [`Problem`] with Secret, key or value. None holds any part of the value.
pub async fn read(client: &Client, namespace: &str, name: &str, key: &str) -> Result<(SecretString, Mark), Problem> {
    let api: Api<Payload> = Api::namespaced(client.clone(), namespace);
    let found = call(|| format!("read Secret {name}"), api.get_opt(name)).await.map_err(Problem::Api)?;
    let secret = found.ok_or_else(|| Problem::SourceNotFound { name: name.to_owned() })?;
    let invalid = |why| Problem::SourceInvalid { name: name.to_owned(), key: key.to_owned(), why };
    let value = secret
        .data
        .get(key)
        .ok_or_else(|| Problem::SourceKeyNotFound { name: name.to_owned(), key: key.to_owned() })?;
    let value = decode(value).ok_or_else(|| invalid(KeyProblem::NotUtf8))?;
    let api_key = credential::parse(&value).map_err(invalid)?;
    let mark = Mark {
        uid: secret.metadata.uid.unwrap_or_default().into(),
        version: secret.metadata.resource_version.unwrap_or_default().into(),
    };
    Ok((api_key, mark))
}

/// A value of a Secret's data as bytes.
pub(super) fn decode(value: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(value.expose_secret()).ok().map(Zeroizing::new)
}
