//! A spec with its defaults filled in and its fields checked once more: an older CRD may have let them through.

use serde_json::json;

use super::defaults::Defaults;
use super::digest;
use super::endpoint::Endpoint;
use super::ownership::{Fields, Owned};
use super::problem::Problem;
use super::schedule::RenewBefore;
use super::target::Target;
use crate::api::{IamTokenSpec, MANAGED, RECORD, TrustedProfile};

/// What is to be done for one `IamToken`, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who asks.
    pub source: Source,
    /// The trusted profile that it becomes, if it becomes one.
    pub profile: Option<Profile>,
    /// Where the key is exchanged.
    pub endpoint: Endpoint,
    /// Where it is exchanged in its place if that one fails; nowhere else if the spec names it.
    pub failover: Vec<Endpoint>,
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

/// Where the credential comes from. All names are of the `IamToken`'s namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An API key in a Secret.
    ApiKey {
        /// The Secret's name.
        name: String,
        /// The key in its data.
        key: String,
    },
    /// A token of a ServiceAccount.
    ServiceAccount {
        /// The ServiceAccount's name.
        name: String,
    },
}

/// A trusted profile, as its IAM token request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `Profile-…`
    Id(String),
    /// The name in the account of the credential, or of `accountId`.
    Name(String),
    /// `crn:v1:…`
    Crn(String),
}

const DEFAULT_KEY: &str = "apikey";

// === impl Plan ===

impl Plan {
    /// The plan for the `IamToken` called `name`.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec, or in what the operator allows.
    pub fn new(name: &str, spec: &IamTokenSpec, defaults: &Defaults) -> Result<Self, Problem> {
        let account_id = spec.account_id.as_ref().or(defaults.account_id.as_ref());
        let (source, profile) = credential(spec, account_id)?;
        let (endpoint, failover) = endpoint(spec, defaults)?;
        let renew_before = match &spec.renew_before {
            None => defaults.renew_before,
            Some(text) => RenewBefore::parse(text).ok_or(Problem::InvalidField {
                field: "spec.renewBefore",
                hint: "must be a share of the lifetime from 1% to 50%, or a duration such as 12m",
            })?,
        };
        let target = Target::new(name, spec)?;
        if source.secret() == Some(&target.name) {
            return Err(Problem::InvalidField {
                field: "spec.target.name",
                hint: "must be another Secret than the one that holds the API key",
            });
        }
        Ok(Self {
            ask: ask(&source, profile.as_ref(), endpoint, account_id.map(String::as_str)),
            shape: digest::of_json(&json!([
                target.type_,
                target.labels,
                target.annotations,
                target.retain,
                target.data
            ])),
            source,
            profile,
            endpoint: endpoint.clone(),
            failover: failover.to_vec(),
            account_id: account_id.cloned(),
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

// === impl Source, Profile ===

impl Source {
    /// The Secret that it is read from, where it is one.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::ApiKey { name, .. } => Some(name),
            Self::ServiceAccount { .. } => None,
        }
    }
}

impl Profile {
    /// The form field that IAM takes it in (IBM's OpenAPI of IAM Identity, `getTokenCrToken`, `getTokenAssume`).
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Id(_) => "profile_id",
            Self::Name(_) => "profile_name",
            Self::Crn(_) => "profile_crn",
        }
    }

    /// What it is named.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Id(value) | Self::Name(value) | Self::Crn(value) => value,
        }
    }
}

/// The digest of all that decides which token is wanted. That of a plain API key is what it was before there were others.
fn ask(source: &Source, profile: Option<&Profile>, endpoint: &Endpoint, account_id: Option<&str>) -> String {
    let profile = profile.map(|profile| (profile.field(), profile.value()));
    match (source, profile) {
        (Source::ApiKey { name, key }, None) => digest::of_json(&json!([name, key, endpoint.as_str(), account_id])),
        (Source::ApiKey { name, key }, profile) => {
            digest::of_json(&json!(["apiKey", name, key, profile, endpoint.as_str(), account_id]))
        }
        (Source::ServiceAccount { name }, profile) => {
            digest::of_json(&json!(["serviceAccount", name, profile, endpoint.as_str(), account_id]))
        }
    }
}

/// Who is asked, and who in its place. What stands in for the default endpoint decides nothing about the token: it is no
/// part of the digest.
fn endpoint<'a>(spec: &IamTokenSpec, defaults: &'a Defaults) -> Result<(&'a Endpoint, &'a [Endpoint]), Problem> {
    let endpoints = &defaults.endpoints;
    let Some(text) = &spec.endpoint else {
        return Ok((endpoints.default_one(), endpoints.failover()));
    };
    let named = endpoints.find(text).map(|named| (named, &[][..]));
    named.ok_or_else(|| Problem::EndpointNotAllowed { endpoint: text.clone(), allowed: endpoints.to_string() })
}

fn credential(spec: &IamTokenSpec, account_id: Option<&String>) -> Result<(Source, Option<Profile>), Problem> {
    let invalid = |field, hint| Err(Problem::InvalidField { field, hint });
    let profile = spec.trusted_profile.as_ref().map(profile).transpose()?;
    match (&spec.api_key_secret_ref, &spec.service_account_ref, &spec.credential_ref) {
        (Some(_), None, None) if matches!(profile, Some(Profile::Name(_))) && account_id.is_none() => {
            invalid("spec.trustedProfile.name", "needs spec.accountId, or use spec.trustedProfile.id in its place")
        }
        (Some(reference), None, None) => {
            let key = reference.key.clone().unwrap_or_else(|| DEFAULT_KEY.into());
            Ok((Source::ApiKey { name: reference.name.clone(), key }, profile))
        }
        (None, Some(_), None) if profile.is_none() => {
            invalid("spec.trustedProfile", "must name the profile that the ServiceAccount becomes")
        }
        (None, Some(reference), None) => Ok((Source::ServiceAccount { name: reference.name.clone() }, profile)),
        (None, None, Some(_)) => Err(Problem::CredentialUnsupported { field: "spec.credentialRef" }),
        _ => invalid("spec", "must have exactly one credential, such as apiKeySecretRef"),
    }
}

fn profile(given: &TrustedProfile) -> Result<Profile, Problem> {
    match (&given.id, &given.name, &given.crn) {
        (Some(id), None, None) => Ok(Profile::Id(id.clone())),
        (None, Some(name), None) => Ok(Profile::Name(name.clone())),
        (None, None, Some(crn)) => Ok(Profile::Crn(crn.clone())),
        _ => Err(Problem::InvalidField {
            field: "spec.trustedProfile",
            hint: "must have exactly one of id, name and crn",
        }),
    }
}

#[cfg(test)]
mod tests;
