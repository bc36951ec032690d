//! The exchange of a credential for an access token: its form and answer ([`wire`], pure), the client that carries them
//! ([`client`]), the next endpoint where one fails ([`failover`]), and what keeps calls few and in order ([`share`],
//! [`order`]). Beside it, what IAM says of an API key ([`key_details`]).

pub mod ca;
pub mod claims;
pub mod client;
pub mod failover;
pub mod key_details;
pub mod order;
pub mod proxy;
pub mod share;
pub mod wire;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::api::Identity;
use crate::core::asker::Profile;
use crate::core::digest;
use crate::core::endpoint::Endpoint;
use crate::core::failure::Failure;
use crate::core::key_health::KeyHealth;
use crate::core::schedule::Life;
use crate::core::short::Short;
use crate::core::view::Key;

/// What is asked of IAM.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// Who is asked in its place if it fails, in this order.
    pub failover: Vec<Endpoint>,
    /// Who asks.
    pub credential: Credential,
    /// The trusted profile that it becomes, if it becomes one.
    pub profile: Option<Profile>,
    /// The account that the token must be of.
    pub account_id: Option<String>,
}

/// Who asks. Redacted in Debug.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API key of a user or a service ID.
    ApiKey(SecretString),
    /// A ServiceAccount, by a token of it for the audience `iam`.
    ServiceAccount {
        /// Its namespace and name.
        who: Key,
        /// The token, which is another one each time.
        token: SecretString,
    },
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

    /// The same, and what may be asked about the API key once it is done, if anything may. The key is in there, and is
    /// forgotten with it.
    fn exchange_and_ask(&self, ask: Ask) -> BoxFuture<'static, Result<(Grant, Option<Question>), Failure>> {
        self.exchange(ask).map(|result| result.map(|grant| (grant, None))).boxed()
    }
}

/// Asks IAM about an API key once it is awaited, bounded in time; `None` where IAM does not tell.
pub type Question = BoxFuture<'static, Option<KeyHealth>>;

// === impl Ask ===

impl Ask {
    /// The identity of this ask. One that may be sent to more endpoints is another one.
    #[must_use]
    pub fn id(&self) -> AskId {
        let account = self.account_id.as_deref().unwrap_or_default();
        let [field, value] = self.profile.as_ref().map_or([""; 2], |profile| [profile.field(), profile.value()]);
        let (kind, who) = self.credential.parts();
        let mut parts = vec![self.endpoint.as_str(), account, field, value, kind, who.as_str()];
        parts.extend(self.failover.iter().map(Endpoint::as_str));
        AskId(digest::of_parts(&parts))
    }

    /// A draw from the credential alone, the same in every process: tokens of one credential are refreshed together,
    /// others spread out.
    #[must_use]
    pub fn jitter(&self) -> u16 {
        let (_, who) = self.credential.parts();
        let digest = digest::of_parts(&["jitter", &who]);
        u16::from_be_bytes([digest[0], digest[1]])
    }
}

// === impl Credential ===

impl Credential {
    /// [`digest::of_secret`] of what stays the same from one exchange to the next.
    #[must_use]
    pub fn digest(&self, uid: &str) -> Short {
        let (_, who) = self.parts();
        digest::of_secret(uid, &who)
    }

    /// What is sent to IAM, and may therefore never be shown.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        match self {
            Self::ApiKey(secret) | Self::ServiceAccount { token: secret, .. } => secret,
        }
    }

    /// What kind it is, and what stays the same of it.
    fn parts(&self) -> (&'static str, Zeroizing<String>) {
        match self {
            Self::ApiKey(key) => ("apikey", key.expose_secret().to_owned().into()),
            Self::ServiceAccount { who, .. } => ("serviceaccount", who.to_string().into()),
        }
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
