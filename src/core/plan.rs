//! A spec with its defaults filled in and its fields checked once more: an older CRD may have let them through.

use serde_json::json;

use super::asker::Asker;
use super::defaults::Defaults;
use super::digest;
use super::ownership::{Fields, Owned};
use super::problem::Problem;
use super::restart::Wanted;
use super::schedule::RenewBefore;
use super::short::Short;
use super::target::Target;
use super::view::Key;
use crate::api::{IamTokenSpec, MANAGED, RECORD};

/// What is to be done for one `IamToken`, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who asks, who it becomes, and where.
    pub asker: Asker,
    /// When to refresh.
    pub renew_before: RenewBefore,
    /// Leave everything as it is.
    pub suspend: bool,
    /// Where the token goes.
    pub target: Target,
    /// Who is restarted for each token.
    pub restart: Wanted,
    /// A digest of all that decides which token is wanted: where it changes, a new one must be fetched.
    pub ask: Short,
    /// A digest of all that decides how the target looks: where it changes, the target must be written again.
    pub shape: Short,
}

// === impl Plan ===

impl Plan {
    /// The plan for this `IamToken`; `lend` tells what the `ClusterIamCredential` of a name lends to its namespace.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec, or in what the operator allows.
    pub fn new(
        key: &Key,
        spec: &IamTokenSpec,
        defaults: &Defaults,
        lend: impl FnOnce(&str) -> Result<Asker, Problem>,
    ) -> Result<Self, Problem> {
        let asker = asker(spec, defaults, lend)?;
        let renew_before = match &spec.renew_before {
            None => defaults.renew_before,
            Some(text) => RenewBefore::parse(text).ok_or(Problem::InvalidField {
                field: "spec.renewBefore",
                hint: "must be a share of the lifetime from 1% to 50%, or a duration such as 12m",
            })?,
        };
        let target = Target::new(&key.name, spec)?;
        if asker.secret(&key.namespace) == Some(key.sibling(&target.name)) {
            return Err(Problem::InvalidField {
                field: "spec.target.name",
                hint: "must be another Secret than the one that holds the API key",
            });
        }
        Ok(Self {
            ask: asker.digest(),
            shape: digest::of_json(&json!([
                target.type_,
                target.labels,
                target.annotations,
                target.retain,
                target.data
            ])),
            asker,
            renew_before,
            suspend: spec.suspend.unwrap_or(false),
            restart: Wanted::new(spec)?,
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

fn asker(
    spec: &IamTokenSpec,
    defaults: &Defaults,
    lend: impl FnOnce(&str) -> Result<Asker, Problem>,
) -> Result<Asker, Problem> {
    let invalid = |field, hint| Err(Problem::InvalidField { field, hint });
    let Some(reference) = &spec.credential_ref else { return Asker::own(spec, defaults) };
    if spec.api_key_secret_ref.is_some() || spec.service_account_ref.is_some() {
        return invalid("spec", "must have exactly one credential, such as apiKeySecretRef");
    }
    if spec.trusted_profile.is_some() || spec.endpoint.is_some() || spec.account_id.is_some() {
        let hint = "leaves trustedProfile, endpoint and accountId to the ClusterIamCredential: remove them";
        return invalid("spec.credentialRef", hint);
    }
    lend(&reference.name)
}

#[cfg(test)]
mod tests;
