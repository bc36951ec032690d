//! A spec with its defaults filled in and its fields checked once more: an older CRD may have let them through.

use std::collections::BTreeMap;

use serde_json::json;

use super::digest;
use super::endpoint::{Endpoint, Endpoints};
use super::ownership::{Fields, Owned};
use super::problem::Problem;
use super::schedule::RenewBefore;
use crate::api::{DeletionPolicy, Format, IamTokenSpec, MANAGED, RECORD};

/// What is to be done for one `IamToken`, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The Secret that holds the API key.
    pub source: Source,
    /// Where the key is exchanged.
    pub endpoint: Endpoint,
    /// The account that the token must be of.
    pub account_id: Option<String>,
    /// When to refresh.
    pub renew_before: RenewBefore,
    /// Leave everything as it is.
    pub suspend: bool,
    /// Where the token goes.
    pub target: Target,
    /// A digest of all that decides which token is wanted: where it changes, a new one must be fetched.
    pub ask: String,
    /// A digest of all that decides how the target looks: where it changes, the target must be written again.
    pub shape: String,
}

/// One key of a Secret in the `IamToken`'s namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The Secret's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// The Secret in the `IamToken`'s namespace that the token goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The Secret's name.
    pub name: String,
    /// The Secret's type.
    pub type_: String,
    /// Labels beside the operator's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's own.
    pub annotations: BTreeMap<String, String>,
    /// Take over a Secret that nobody controls.
    pub adopt: bool,
    /// Leave the Secret when it is no longer wanted.
    pub retain: bool,
    /// The keys of its data.
    pub data: Vec<(String, Format)>,
}

const DEFAULT_KEY: &str = "apikey";
const DEFAULT_TYPE: &str = "Opaque";
const DEFAULT_DATA: [(&str, Format); 3] =
    [("token", Format::AccessToken), ("authorization", Format::Bearer), ("expiration", Format::Expiration)];

// === impl Plan ===

impl Plan {
    /// The plan for the `IamToken` called `name`.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec, or in what the operator allows.
    pub fn new(name: &str, spec: &IamTokenSpec, endpoints: &Endpoints) -> Result<Self, Problem> {
        let source = source(spec)?;
        let endpoint = match &spec.endpoint {
            None => endpoints.default_one(),
            Some(text) => endpoints.find(text).ok_or_else(|| Problem::EndpointNotAllowed {
                endpoint: text.clone(),
                allowed: endpoints.to_string(),
            })?,
        };
        let renew_before = match &spec.renew_before {
            None => RenewBefore::default(),
            Some(text) => RenewBefore::parse(text).ok_or(Problem::InvalidField {
                field: "spec.renewBefore",
                hint: "must be a share of the lifetime from 1% to 50%, or a duration such as 12m",
            })?,
        };
        let target = target(name, spec)?;
        if target.name == source.name {
            return Err(Problem::InvalidField {
                field: "spec.target.name",
                hint: "must be another Secret than the one that holds the API key",
            });
        }
        Ok(Self {
            ask: digest::of_json(&json!([source.name, source.key, endpoint.as_str(), spec.account_id])),
            shape: digest::of_json(&json!([
                target.type_,
                target.labels,
                target.annotations,
                target.retain,
                target.data
            ])),
            source,
            endpoint: endpoint.clone(),
            account_id: spec.account_id.clone(),
            renew_before,
            suspend: spec.suspend.unwrap_or(false),
            target,
        })
    }

    /// What the operator must find itself managing in the target if nobody touched it; `uid` is the `IamToken`'s.
    #[must_use]
    pub fn owned(&self, uid: &str) -> Owned {
        let target = &self.target;
        Fields {
            data: target.data.iter().map(|(key, _)| key.as_str()).collect(),
            labels: target.labels.keys().map(String::as_str).chain([MANAGED]).collect(),
            annotations: target.annotations.keys().map(String::as_str).chain([RECORD]).collect(),
            owners: if target.retain { vec![] } else { vec![uid.to_owned()] },
        }
        .digest()
    }
}

/// The target's name, whatever else is wrong with the spec of the `IamToken` called `name`.
#[must_use]
pub fn target_name(name: &str, spec: &IamTokenSpec) -> String {
    let given = spec.target.as_ref().and_then(|target| target.name.as_deref());
    given.unwrap_or(name).to_owned()
}

fn source(spec: &IamTokenSpec) -> Result<Source, Problem> {
    let unsupported = |field| Err(Problem::CredentialUnsupported { field });
    match (&spec.api_key_secret_ref, &spec.service_account_ref, &spec.credential_ref) {
        (Some(_), None, None) if spec.trusted_profile.is_some() => unsupported("spec.trustedProfile"),
        (Some(reference), None, None) => Ok(Source {
            name: reference.name.clone(),
            key: reference.key.clone().unwrap_or_else(|| DEFAULT_KEY.into()),
        }),
        (None, Some(_), None) => unsupported("spec.serviceAccountRef"),
        (None, None, Some(_)) => unsupported("spec.credentialRef"),
        _ => Err(Problem::InvalidField {
            field: "spec",
            hint: "must have exactly one credential, such as apiKeySecretRef",
        }),
    }
}

fn target(name: &str, spec: &IamTokenSpec) -> Result<Target, Problem> {
    let given = spec.target.clone().unwrap_or_default();
    let data = match given.data {
        None => DEFAULT_DATA.iter().map(|(key, format)| ((*key).to_owned(), *format)).collect(),
        Some(entries) => entries.into_iter().map(|entry| (entry.key, entry.format)).collect::<Vec<_>>(),
    };
    let distinct: std::collections::BTreeSet<&String> = data.iter().map(|(key, _)| key).collect();
    if data.is_empty() || distinct.len() != data.len() {
        return Err(Problem::InvalidField {
            field: "spec.target.data",
            hint: "must have at least one key, and each key once",
        });
    }
    Ok(Target {
        name: target_name(name, spec),
        type_: given.type_.unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
        labels: given.labels.unwrap_or_default(),
        annotations: given.annotations.unwrap_or_default(),
        adopt: given.adopt.unwrap_or(false),
        retain: given.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain,
        data,
    })
}

#[cfg(test)]
mod tests;
