//! What the admin decides for all IamTokens that don't decide it themselves.

use super::endpoint::Endpoints;
use super::schedule::RenewBefore;

/// The defaults of a spec, and the endpoints that it may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Where keys may be sent. The default one is that of IamTokens without `spec.endpoint`.
    pub endpoints: Endpoints,
    /// That of IamTokens without `spec.renewBefore`.
    pub renew_before: RenewBefore,
    /// That of IamTokens without `spec.accountId`; none where it is no matter of which account a token is.
    pub account_id: Option<String>,
}

/// Why a text is no account id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 letters, digits, - or _, such as the account's ID that ibmcloud account show prints")]
pub struct AccountIdError;

// === impl Defaults ===

impl From<Endpoints> for Defaults {
    /// With nothing else decided.
    fn from(endpoints: Endpoints) -> Self {
        Self { endpoints, renew_before: RenewBefore::default(), account_id: None }
    }
}

/// An account id, as the CRD lets it pass in `spec.accountId`.
///
/// # Errors
/// [`AccountIdError`] for anything else.
pub fn account_id(text: &str) -> Result<String, AccountIdError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let fits = (1..=64).contains(&text.len()) && text.chars().all(plain);
    if fits { Ok(text.to_owned()) } else { Err(AccountIdError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_short_and_plain() {
        assert_eq!(account_id("0123456789abcdef"), Ok("0123456789abcdef".to_owned()));
        for text in ["", " 0123", "a/0123", "\u{e4}", &"0".repeat(65)] {
            assert_eq!(account_id(text), Err(AccountIdError), "{text:?}");
        }
    }
}
