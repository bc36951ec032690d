//! Who the fake knows: accounts, identities and API keys.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::Problem;
use super::profiles::Profile;
use super::signing::{hex, sha256};

/// The account that every fake has from the start (32 hexadecimal digits, as IBM Cloud's are).
pub const DEFAULT_ACCOUNT: &str = "fa4e0000000000000000000000000001";

/// An IBM Cloud account, as far as a token tells of it (`account` claim).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The id, in tokens `account.bss`.
    pub id: String,
    /// Claim `account.valid`.
    pub valid: bool,
    /// Claim `account.frozen`.
    pub frozen: bool,
}

impl Account {
    /// A valid account that is not frozen.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), valid: true, frozen: false }
    }
}

/// What an identity is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A service ID of an account.
    ServiceId {
        /// Its display name.
        name: String,
    },
    /// A person.
    User {
        /// First name.
        given_name: String,
        /// Last name.
        family_name: String,
        /// Address, in tokens also the `sub`.
        email: String,
        /// Number in classic infrastructure, given as `ims_user_id` in the answer where there is one.
        ims_user_id: Option<u64>,
    },
    /// A trusted profile that somebody has become.
    Profile {
        /// Its name.
        name: String,
    },
}

/// Whether IAM gives tokens to an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It does.
    #[default]
    Active,
    /// The user left the account: BXNIM0410E.
    Gone,
    /// The user is suspended in the account: BXNIM0436E.
    Suspended,
    /// The login is locked for 30 minutes: BXNIM0400E with `requirements`.
    Locked,
}

/// A service ID or a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The IAM id: `iam-ServiceId-<uuid>` or `IBMid-<number>`.
    pub iam_id: String,
    /// The account whose tokens it gets.
    pub account: String,
    /// What it is.
    pub subject: Subject,
    /// Whether it gets tokens.
    #[serde(default)]
    pub standing: Standing,
}

impl Identity {
    /// A service ID whose id follows from its name.
    pub fn service_id(name: &str, account: &str) -> Self {
        Self {
            iam_id: format!("iam-ServiceId-{}", uuid_of(name)),
            account: account.into(),
            subject: Subject::ServiceId { name: name.into() },
            standing: Standing::Active,
        }
    }

    /// A user whose id follows from the name; the address is `<name>@example.com`.
    pub fn user(name: &str, account: &str) -> Self {
        let digest = sha256(name);
        let number = u64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
        Self {
            iam_id: format!("IBMid-{number:010}"),
            account: account.into(),
            subject: Subject::User {
                given_name: name.into(),
                family_name: "Example".into(),
                email: format!("{name}@example.com"),
                ims_user_id: Some(number),
            },
            standing: Standing::Active,
        }
    }
}

/// What became of an API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// It can be exchanged.
    #[default]
    Enabled,
    /// BXNIM0462E.
    Disabled,
    /// BXNIM0415E, as for a key that never was.
    Deleted,
}

/// An API key, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, by which the control API finds it.
    pub name: String,
    /// The identity that it stands for ([`Identity::iam_id`]).
    pub iam_id: String,
    /// What became of it.
    pub state: KeyState,
    /// Lifetime of its tokens in seconds, where it differs from the default.
    pub lifetime: Option<u64>,
    /// Whether its identity may read it, where that is not as usual: users may, service IDs may not.
    pub readable: Option<bool>,
    /// When it is said to expire, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// It is locked against changes.
    pub locked: bool,
    /// It is said to be disabled, whatever became of it.
    pub said_to_be_disabled: bool,
}

impl ApiKey {
    /// An enabled key.
    pub fn new(name: impl Into<String>, iam_id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            iam_id: iam_id.into(),
            state: KeyState::Enabled,
            lifetime: None,
            readable: None,
            expires_at: None,
            locked: false,
            said_to_be_disabled: false,
        }
    }
}

/// A key that looks like a real one (44 characters of `[A-Za-z0-9_-]`) but starts with `FAKE-`. The same seed gives the same key.
pub fn fake_api_key(seed: &str) -> String {
    let mut key = format!("FAKE-{}", URL_SAFE_NO_PAD.encode(sha256(seed)));
    key.truncate(44);
    key
}

/// The id that stands for a key in records: `ApiKey-<uuid>`, computed from the value, which it doesn't tell.
pub fn key_id(key: &str) -> String {
    format!("ApiKey-{}", uuid_of(key))
}

/// A UUID that follows from a text.
fn uuid_of(text: &str) -> String {
    let digits = hex(&sha256(text)[..16]);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// All that the fake knows.
pub(crate) struct Tables {
    pub(crate) accounts: HashMap<String, Account>,
    pub(crate) identities: HashMap<String, Identity>,
    pub(crate) keys: HashMap<String, ApiKey>,
    pub(crate) profiles: Vec<Profile>,
    /// The public keys of the cluster whose ServiceAccounts are known, as it publishes them.
    pub(crate) cluster: Option<Value>,
}

/// What a good credential entitles to.
#[derive(Clone, Debug)]
pub(crate) struct Entitled {
    pub(crate) identity: Identity,
    pub(crate) account: Account,
    pub(crate) lifetime: Option<u64>,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let account = Account::new(DEFAULT_ACCOUNT);
        Self {
            accounts: HashMap::from([(account.id.clone(), account)]),
            identities: HashMap::new(),
            keys: HashMap::new(),
            profiles: vec![],
            cluster: None,
        }
    }

    /// An account by id; one that nobody added is a valid one.
    pub(crate) fn account(&self, id: &str) -> Account {
        self.accounts.get(id).cloned().unwrap_or_else(|| Account::new(id))
    }

    /// The checks that IAM makes of an API key. `tenants` is the header `ibm-cloud-tenant`.
    pub(crate) fn entitled(&self, key: &str, tenants: Option<&str>) -> Result<Entitled, Problem> {
        let entry = match self.keys.get(key) {
            Some(entry) if entry.state != KeyState::Deleted => entry,
            _ => return Err(Problem::key_not_found(key)),
        };
        if entry.state == KeyState::Disabled {
            return Err(Problem::documented("BXNIM0462E"));
        }
        let identity = self.identities.get(&entry.iam_id).ok_or_else(|| Problem::documented("BXNIM0410E"))?;
        match identity.standing {
            Standing::Active => {}
            Standing::Gone => return Err(Problem::documented("BXNIM0410E")),
            Standing::Suspended => return Err(Problem::documented("BXNIM0436E")),
            Standing::Locked => return Err(Problem::documented("BXNIM0400E")),
        }
        if tenants.is_some_and(|list| !list.split(',').any(|id| id.trim() == identity.account)) {
            return Err(Problem::documented("BXNIM0141E"));
        }
        Ok(Entitled { identity: identity.clone(), account: self.account(&identity.account), lifetime: entry.lifetime })
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("accounts", &self.accounts)
            .field("identities", &self.identities)
            .field("keys", &self.keys.values())
            .finish()
    }
}
