//! Who asks for a token, who it becomes, and where: as an `IamToken` says of itself, or as a `ClusterIamCredential` says
//! for all who may use it.

use serde_json::json;

use super::defaults::Defaults;
use super::digest;
use super::endpoint::Endpoint;
use super::problem::Problem;
use super::short::Short;
use super::view::Key;
use crate::api::{ClusterIamCredentialSpec, IamTokenSpec, TrustedProfile};

/// Everything that decides which token is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Asker {
    /// Who asks.
    pub source: Source,
    /// The trusted profile that it becomes, if it becomes one.
    pub profile: Option<Profile>,
    /// Where the key is exchanged.
    pub endpoint: Endpoint,
    /// Where it is exchanged in its place if that one fails; nowhere else where it is named. It decides nothing about the
    /// token, and is no part of the digest.
    pub failover: Vec<Endpoint>,
    /// The account that the token must be of.
    pub account_id: Option<String>,
    /// Who lends the credential, where it is not the `IamToken`'s own.
    pub lender: Option<Lender>,
}

/// A `ClusterIamCredential` that lends its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lender {
    /// Its name.
    pub name: String,
    /// The namespace of its Secret or ServiceAccount.
    pub namespace: String,
    /// `metadata.generation`
    pub generation: i64,
}

/// Where the credential comes from: an object of the `IamToken`'s namespace, or of its lender's.
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

/// The key in the Secret's data where none is named.
pub const DEFAULT_KEY: &str = "apikey";

// === impl Asker ===

impl Asker {
    /// That of an `IamToken` with a credential of its own.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec, or in what the operator allows.
    pub fn own(spec: &IamTokenSpec, defaults: &Defaults) -> Result<Self, Problem> {
        let api_key = spec.api_key_secret_ref.as_ref().map(|it| Source::api_key(&it.name, it.key.as_deref()));
        let service_account = spec.service_account_ref.as_ref().map(|it| Source::service_account(&it.name));
        let source = one_of(api_key, service_account)?;
        let (profile, account_id) = (spec.trusted_profile.as_ref(), spec.account_id.as_deref());
        Self::new(source, profile, spec.endpoint.as_deref(), account_id, defaults)
    }

    /// That of the `ClusterIamCredential` called `name` with this generation.
    ///
    /// # Errors
    /// The [`Problem`] that its admin has to mend.
    pub fn lent(
        name: &str,
        generation: i64,
        spec: &ClusterIamCredentialSpec,
        defaults: &Defaults,
    ) -> Result<Self, Problem> {
        let (key, account) = (spec.api_key_secret_ref.as_ref(), spec.service_account_ref.as_ref());
        let namespace = key.map(|it| &it.namespace).or(account.map(|it| &it.namespace)).cloned().unwrap_or_default();
        let key = key.map(|it| Source::api_key(&it.name, it.key.as_deref()));
        let source = one_of(key, account.map(|it| Source::service_account(&it.name)))?;
        let (profile, account_id) = (spec.trusted_profile.as_ref(), spec.account_id.as_deref());
        let asker = Self::new(source, profile, spec.endpoint.as_deref(), account_id, defaults)?;
        Ok(Self { lender: Some(Lender { name: name.to_owned(), namespace, generation }), ..asker })
    }

    fn new(
        source: Source,
        profile: Option<&TrustedProfile>,
        endpoint: Option<&str>,
        account_id: Option<&str>,
        defaults: &Defaults,
    ) -> Result<Self, Problem> {
        let invalid = |field, hint| Err(Problem::InvalidField { field, hint });
        let account_id = account_id.or(defaults.account_id.as_deref());
        let profile = profile.map(Profile::new).transpose()?;
        match (&source, &profile) {
            (Source::ServiceAccount { .. }, None) => {
                return invalid("spec.trustedProfile", "must name the profile that the ServiceAccount becomes");
            }
            (Source::ApiKey { .. }, Some(Profile::Name(_))) if account_id.is_none() => {
                let hint = "needs spec.accountId, or use spec.trustedProfile.id in its place";
                return invalid("spec.trustedProfile.name", hint);
            }
            _ => {}
        }
        let endpoints = &defaults.endpoints;
        let (endpoint, failover) = match endpoint {
            None => (endpoints.default_one(), endpoints.failover()),
            Some(text) => {
                let refused = || Problem::EndpointNotAllowed { endpoint: text.into(), allowed: endpoints.to_string() };
                (endpoints.find(text).ok_or_else(refused)?, &[][..])
            }
        };
        let (endpoint, failover) = (endpoint.clone(), failover.to_vec());
        Ok(Self { source, profile, endpoint, failover, account_id: account_id.map(str::to_owned), lender: None })
    }

    /// The digest of it. That of a plain API key is what it was before there were others.
    #[must_use]
    pub fn digest(&self) -> Short {
        let profile = self.profile.as_ref().map(|profile| (profile.field(), profile.value()));
        let (endpoint, account_id) = (self.endpoint.as_str(), &self.account_id);
        let namespace = self.lender.as_ref().map(|lender| &lender.namespace);
        match (&self.source, profile, namespace) {
            (Source::ApiKey { name, key }, None, None) => digest::of_json(&json!([name, key, endpoint, account_id])),
            (Source::ApiKey { name, key }, profile, None) => {
                digest::of_json(&json!(["apiKey", name, key, profile, endpoint, account_id]))
            }
            (Source::ServiceAccount { name }, profile, None) => {
                digest::of_json(&json!(["serviceAccount", name, profile, endpoint, account_id]))
            }
            (Source::ApiKey { name, key }, profile, Some(lender)) => {
                digest::of_json(&json!(["lent", "apiKey", lender, name, key, profile, endpoint, account_id]))
            }
            (Source::ServiceAccount { name }, profile, Some(lender)) => {
                digest::of_json(&json!(["lent", "serviceAccount", lender, name, profile, endpoint, account_id]))
            }
        }
    }

    /// The namespace of the Secret or ServiceAccount that it comes from; `own` is the `IamToken`'s.
    #[must_use]
    pub fn namespace<'a>(&'a self, own: &'a str) -> &'a str {
        self.lender.as_ref().map_or(own, |lender| &lender.namespace)
    }

    /// The Secret that it is read from, where it is one; `own` is the `IamToken`'s namespace.
    #[must_use]
    pub fn secret(&self, own: &str) -> Option<Key> {
        let name = self.source.secret()?.to_owned();
        Some(Key::new(self.namespace(own), name))
    }

    /// As users of a lent credential are told of a problem with it: not what is wrong, which is its admin's to know.
    #[must_use]
    pub fn veiled(&self, problem: Problem) -> Problem {
        match &self.lender {
            Some(lender) => Problem::Lent { name: lender.name.clone(), why: Box::new(problem) },
            None => problem,
        }
    }
}

fn one_of(api_key: Option<Source>, service_account: Option<Source>) -> Result<Source, Problem> {
    match (api_key, service_account) {
        (Some(source), None) | (None, Some(source)) => Ok(source),
        _ => Err(Problem::InvalidField {
            field: "spec",
            hint: "must have exactly one credential, such as apiKeySecretRef",
        }),
    }
}

// === impl Source, Profile ===

impl Source {
    fn api_key(name: &str, key: Option<&str>) -> Self {
        Self::ApiKey { name: name.to_owned(), key: key.unwrap_or(DEFAULT_KEY).to_owned() }
    }

    fn service_account(name: &str) -> Self {
        Self::ServiceAccount { name: name.to_owned() }
    }

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
    fn new(given: &TrustedProfile) -> Result<Self, Problem> {
        match (&given.id, &given.name, &given.crn) {
            (Some(id), None, None) => Ok(Self::Id(id.clone())),
            (None, Some(name), None) => Ok(Self::Name(name.clone())),
            (None, None, Some(crn)) => Ok(Self::Crn(crn.clone())),
            _ => Err(Problem::InvalidField {
                field: "spec.trustedProfile",
                hint: "must have exactly one of id, name and crn",
            }),
        }
    }

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
