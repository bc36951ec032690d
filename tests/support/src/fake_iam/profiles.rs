//! Trusted profiles, and the tokens of ServiceAccounts that can become one.
//!
//! A profile admits a ServiceAccount by namespace and name (IBM Cloud docs, account: "Creating trusted profiles"), and an
//! identity by a policy that lets it assume the profile. A ServiceAccount's token is checked against the keys that its
//! cluster publishes; it must be for the audience `iam` and live for an hour at the most (IBM Cloud Kubernetes Service docs).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use super::form::Form;
use super::problem::Problem;
use super::signing::claims_unverified;
use super::tables::{Entitled, Identity, Standing, Subject, Tables};

/// The longest life of a ServiceAccount's token, in seconds.
const LONGEST: i64 = 3600;

/// A trusted profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `Profile-…`
    pub id: String,
    /// Its name, unlike any other's in the account.
    pub name: String,
    /// The account that it is of.
    pub account: String,
    /// ServiceAccounts that may become it, each as `NAMESPACE/NAME`.
    pub service_accounts: Vec<String>,
    /// Identities that may become it ([`Identity::iam_id`]).
    pub identities: Vec<String>,
}

// === impl Profile ===

impl Profile {
    /// One that admits nobody yet.
    pub fn new(id: &str, name: &str, account: &str) -> Self {
        let [id, name, account] = [id, name, account].map(str::to_owned);
        Self { id, name, account, service_accounts: vec![], identities: vec![] }
    }

    /// `crn:v1:bluemix:public:iam-identity::a/ACCOUNT::profile:ID`
    pub fn crn(&self) -> String {
        format!("crn:v1:bluemix:public:iam-identity::a/{}::profile:{}", self.account, self.id)
    }

    /// Its identity, whose tokens it gives.
    pub fn identity(&self) -> Identity {
        Identity {
            iam_id: format!("iam-{}", self.id),
            account: self.account.clone(),
            subject: Subject::Profile { name: self.name.clone() },
            standing: Standing::Active,
        }
    }
}

/// Who wants to become a profile.
pub(crate) enum Comer {
    /// A ServiceAccount, as `NAMESPACE/NAME`.
    ServiceAccount(String),
    /// An identity, by its IAM id.
    Identity(String),
}

/// Checks a ServiceAccount's token at `now`, in seconds since the epoch; gives `NAMESPACE/NAME`.
pub(crate) fn service_account(token: &str, jwks: Option<&Value>, now: i64) -> Result<String, Problem> {
    let malformed = || Problem::documented("BXNIM0401E");
    let unsupported = || Problem::documented("BXNIM0405E");
    let claims = claims_unverified(token).map_err(|_| malformed())?;
    verify(token, jwks.ok_or_else(unsupported)?).ok_or_else(unsupported)?;
    let audience = claims["aud"].as_array().is_some_and(|all| all.iter().any(|one| one == "iam"));
    let (iat, exp) = (claims["iat"].as_i64().unwrap_or_default(), claims["exp"].as_i64().unwrap_or_default());
    if !audience || exp <= now || exp - iat > LONGEST {
        return Err(unsupported());
    }
    let subject = claims["sub"].as_str().and_then(|sub| sub.strip_prefix("system:serviceaccount:"));
    subject.map(|subject| subject.replace(':', "/")).ok_or_else(unsupported)
}

/// ES256 by one of the keys of the set (RFC 7518, 3.4).
fn verify(token: &str, jwks: &Value) -> Option<()> {
    let (text, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    jwks["keys"].as_array()?.iter().find_map(|key| {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
        let point = [vec![4], part("x")?, part("y")?].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text.as_bytes(), &signature).ok()
    })
}

impl Tables {
    /// What who comes with this form gets. `tenants` is the header `ibm-cloud-tenant`.
    pub(crate) fn becomes(&self, form: &Form, comer: &Comer, tenants: Option<&str>) -> Result<Entitled, Problem> {
        let named = ["profile_id", "profile_name", "profile_crn"].map(|field| form.get(field));
        if named.iter().flatten().count() != 1 {
            return Err(Problem::missing("profile_id"));
        }
        let [id, name, crn] = named;
        if name.is_some() && matches!(comer, Comer::Identity(_)) && form.get("account").is_none() {
            return Err(Problem::missing("account"));
        }
        let is_it = |profile: &&Profile| {
            id.is_some_and(|id| profile.id == id)
                || crn.is_some_and(|crn| profile.crn() == crn)
                || name.is_some_and(|name| {
                    profile.name == name && form.get("account").is_none_or(|account| account == profile.account)
                })
        };
        let refused = || Problem::documented("BXNIM0398E");
        let profile = self.profiles.iter().find(is_it).ok_or_else(refused)?;
        let admitted = match comer {
            Comer::ServiceAccount(who) => profile.service_accounts.contains(who),
            Comer::Identity(who) => profile.identities.contains(who),
        };
        if !admitted {
            return Err(refused());
        }
        if tenants.is_some_and(|list| !list.split(',').any(|id| id.trim() == profile.account)) {
            return Err(Problem::documented("BXNIM0141E"));
        }
        Ok(Entitled { identity: profile.identity(), account: self.account(&profile.account), lifetime: None })
    }
}
