//! The exchange of an API key for an access token: its form and answer ([`wire`], pure), the client that carries them
//! ([`client`]), and what keeps calls few and in order ([`share`], [`order`]).

pub mod claims;
pub mod client;
pub mod order;
pub mod share;
pub mod wire;

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::api::Identity;
use crate::core::digest;
use crate::core::endpoint::Endpoint;
use crate::core::failure::Failure;
use crate::core::schedule::Life;

/// What is asked of IAM.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// The credential. Redacted in Debug.
    pub api_key: SecretString,
    /// The account that the token must be of.
    pub account_id: Option<String>,
}

/// Which asks are the same: they share one exchange. A SHA-256, kept in memory only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId([u8; 32]);

/// A token that IAM gave and that is fit to be written.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The access token. Redacted in Debug.
    pub token: SecretString,
    /// From just before it was asked for, for `expires_in` seconds.
    pub life: Life,
    /// How far IAM's clock is ahead of ours, in seconds: its `expiration` less our own reckoning.
    pub skew: i64,
    /// Whose it is, as far as its claims can be read.
    pub identity: Identity,
}

/// Exchanges one credential for one token: IAM, or what stands for it in a simulation.
pub trait Exchange: Send + Sync + 'static {
    /// One try, bounded in time. A failure is an outcome, not an error.
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>>;
}

// === impl Ask ===

impl Ask {
    /// The identity of this ask.
    #[must_use]
    pub fn id(&self) -> AskId {
        let account = self.account_id.as_deref().unwrap_or_default();
        AskId(digest::of_parts(&[self.endpoint.as_str(), account, self.api_key.expose_secret()]))
    }

    /// A draw from the credential alone, the same in every process: tokens of one credential are refreshed together,
    /// others spread out.
    #[must_use]
    pub fn jitter(&self) -> u16 {
        let digest = digest::of_parts(&["jitter", self.api_key.expose_secret()]);
        u16::from_be_bytes([digest[0], digest[1]])
    }
}

// === impl Grant ===

impl Grant {
    /// When the exchange began.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.life.since
    }
}
