//! What a test can change while the fake runs: who it knows and how it behaves.

use std::time::Duration;

use super::{
    Account, ApiKey, DEFAULT_ACCOUNT, FakeIam, Fault, Identity, KeyState, Profile, RateLimit, Standing, Times,
    fake_api_key, key_id,
};

/// Who it knows.
impl FakeIam {
    /// Adds or replaces an account. Accounts that nobody added are valid and not frozen.
    pub fn add_account(&self, account: Account) {
        self.change(|world| world.tables.accounts.insert(account.id.clone(), account));
    }

    /// Adds or replaces an identity.
    pub fn add_identity(&self, identity: Identity) {
        self.change(|world| world.tables.identities.insert(identity.iam_id.clone(), identity));
    }

    /// Adds or replaces a key by its value.
    pub fn add_key(&self, key: &str, entry: ApiKey) {
        self.change(|world| world.tables.keys.insert(key.into(), entry));
    }

    /// A new service ID of [`DEFAULT_ACCOUNT`] and an API key of it, whose value follows from the name.
    pub fn service_id_key(&self, name: &str) -> String {
        self.key_for(name, Identity::service_id(name, DEFAULT_ACCOUNT))
    }

    /// A new user of [`DEFAULT_ACCOUNT`] and an API key of theirs, whose value follows from the name.
    pub fn user_key(&self, name: &str) -> String {
        self.key_for(name, Identity::user(name, DEFAULT_ACCOUNT))
    }

    /// An identity and an API key of it, whose value follows from the name.
    pub fn key_for(&self, name: &str, identity: Identity) -> String {
        let key = fake_api_key(name);
        self.add_key(&key, ApiKey::new(name, identity.iam_id.clone()));
        self.add_identity(identity);
        key
    }

    /// Adds or replaces a trusted profile.
    pub fn add_profile(&self, profile: Profile) {
        self.change(|world| {
            world.tables.profiles.retain(|other| other.id != profile.id);
            world.tables.profiles.push(profile);
        });
    }

    /// ServiceAccounts are those of the cluster with these public keys, which it publishes at `/openid/v1/jwks`.
    pub fn trust_cluster(&self, jwks: serde_json::Value) {
        self.change(|world| world.tables.cluster = Some(jwks));
    }

    /// The identity of a key.
    pub fn identity_of(&self, key: &str) -> Option<Identity> {
        self.change(|world| {
            let entry = world.tables.keys.get(key)?;
            world.tables.identities.get(&entry.iam_id).cloned()
        })
    }

    /// Enables, disables or deletes a key.
    pub fn set_key_state(&self, key: &str, state: KeyState) {
        self.with_key(key, |entry| entry.state = state);
    }

    /// Lifetime of the tokens of one key in seconds; none: the default.
    pub fn set_key_lifetime(&self, key: &str, lifetime: Option<u64>) {
        self.with_key(key, |entry| entry.lifetime = lifetime);
    }

    /// Whether the identity of a key gets tokens.
    pub fn set_standing(&self, key: &str, standing: Standing) {
        self.change(|world| {
            let entry = world.tables.keys.get(key).expect("a key that was added");
            let identity = world.tables.identities.get_mut(&entry.iam_id).expect("an identity that was added");
            identity.standing = standing;
        });
    }

    pub(super) fn with_key(&self, key: &str, change: impl FnOnce(&mut ApiKey)) {
        self.change(|world| change(world.tables.keys.get_mut(key).expect("a key that was added")));
    }
}

/// How it behaves.
impl FakeIam {
    /// Lifetime of tokens in seconds; 3600 at the start.
    pub fn set_lifetime(&self, seconds: u64) {
        self.change(|world| world.lifetime = seconds);
    }

    /// How long each answer takes; nothing at the start.
    pub fn set_latency(&self, latency: Duration) {
        self.change(|world| world.latency = latency);
    }

    /// How far its clock is ahead of the machine's, in seconds; behind if negative.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.change(|world| world.clock_offset = seconds);
    }

    /// A limit for each key, or none.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.change(|world| world.limiter.limit = limit);
    }

    /// Appends a fault to the queue of one key. Requests that are malformed are refused before faults are looked at.
    pub fn fault(&self, key: &str, fault: Fault, times: Times) {
        self.change(|world| world.faults.push(Some(&key_id(key)), fault, times));
    }

    /// Appends a fault to the queue for all keys; a key's own queue goes first.
    pub fn fault_any(&self, fault: Fault, times: Times) {
        self.change(|world| world.faults.push(None, fault, times));
    }

    /// Forgets the faults of one key.
    pub fn clear_faults_of(&self, key: &str) {
        self.change(|world| world.faults.clear_key(&key_id(key)));
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.change(|world| world.faults.clear());
    }

    /// How many faults have not happened yet; one that happens for ever counts once.
    pub fn pending_faults(&self) -> usize {
        self.change(|world| world.faults.pending())
    }
}
