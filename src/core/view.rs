//! The IamTokens, which Secrets they name, and what is known of those Secrets. Nothing is kept of any other Secret, so that
//! memory does not grow with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use smol_str::SmolStr;

use super::kept::Kept;
use super::observed::{Facts, Seen};
use super::short::Short;

/// A namespace and a name in it. All clones are one: several tables name each IamToken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<Names>);

/// The names in a [`Key`].
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Names {
    /// The namespace.
    pub namespace: SmolStr,
    /// The name.
    pub name: SmolStr,
}

/// What an `IamToken` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its uid.
    pub uid: Short,
    /// When it was created.
    pub created: Timestamp,
    /// The Secret that holds its API key.
    pub source: Option<Key>,
    /// The Secret that its token goes to.
    pub target: Key,
}

/// The index. Every change returns the `IamTokens` that must be looked at again.
#[derive(Debug, Default)]
pub struct View {
    tokens: BTreeMap<Key, Arc<Kept>>,
    secrets: BTreeMap<Key, Known>,
    relisting: Option<BTreeSet<Key>>,
}

#[derive(Debug, Default)]
struct Known {
    seen: Seen,
    users: Vec<Key>,
    /// A list of all Secrets is under way and has not held it yet.
    unconfirmed: bool,
    /// The newest resourceVersion heard of, its deletion's included.
    newest: u64,
}

// === impl Key ===

impl Key {
    /// The name in the namespace.
    #[must_use]
    pub fn new(namespace: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self(Arc::new(Names { namespace: namespace.into(), name: name.into() }))
    }

    /// A name in the same namespace.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        if self.name == name { self.clone() } else { Self::new(self.namespace.clone(), name) }
    }
}

impl Deref for Key {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl View: IamTokens ===

impl View {
    /// An `IamToken` was created or changed.
    pub fn put(&mut self, mut token: Kept) -> Vec<Key> {
        self.share(&mut token);
        let key = token.key.clone();
        if let Some(seen) = &mut self.relisting {
            seen.insert(key.clone());
        }
        if let Some(known) = self.tokens.get_mut(&key).filter(|known| known.claim == token.claim) {
            *known = Arc::new(token);
            return vec![];
        }
        // First the new names, then the old ones go: what is known of a Secret that it still names is kept.
        for secret in token.claim.secrets() {
            self.secrets.entry(secret.clone()).or_default().users.push(key.clone());
        }
        let mut wake = self.remove(&key);
        wake.extend(self.rivals(&key, &token.claim.target));
        self.tokens.insert(key, Arc::new(token));
        wake
    }

    /// All that name one thing do so by one key.
    fn share(&self, token: &mut Kept) {
        if let Some((known, _)) = self.tokens.get_key_value(&token.key) {
            token.key = known.clone();
        }
        let Claim { source, target, .. } = &mut token.claim;
        for secret in source.iter_mut().chain([target]) {
            match self.secrets.get_key_value(secret) {
                Some((known, _)) => *secret = known.clone(),
                None if *secret == token.key => *secret = token.key.clone(),
                None => {}
            }
        }
    }

    /// The `IamToken`, if it exists.
    #[must_use]
    pub fn token(&self, key: &Key) -> Option<Arc<Kept>> {
        self.tokens.get(key).cloned()
    }

    /// All `IamTokens`.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.tokens.values()
    }

    /// An `IamToken` was deleted.
    pub fn remove(&mut self, key: &Key) -> Vec<Key> {
        let Some(token) = self.tokens.remove(key) else { return vec![] };
        for secret in token.claim.secrets() {
            let Some(known) = self.secrets.get_mut(secret) else { continue };
            if let Some(place) = known.users.iter().position(|user| user == key) {
                known.users.remove(place);
            }
            if known.users.is_empty() {
                self.secrets.remove(secret);
            }
        }
        self.rivals(key, &token.claim.target)
    }

    /// A list of all `IamTokens` begins.
    pub fn relist(&mut self) {
        self.relisting = Some(BTreeSet::new());
    }

    /// The list is complete: what it did not hold is gone. Returns that too.
    pub fn relisted(&mut self) -> Vec<Key> {
        let Some(seen) = self.relisting.take() else { return vec![] };
        let gone: Vec<Key> = self.tokens.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        let wake: Vec<Key> = gone.iter().flat_map(|key| self.remove(key)).collect();
        gone.into_iter().chain(wake).collect()
    }

    /// The older `IamToken` that has the same target, if there is one: the oldest wins, by name among equals.
    #[must_use]
    pub fn winner(&self, key: &Key) -> Option<String> {
        let token = self.tokens.get(key)?;
        let rivals = self.rivals(key, &token.claim.target).into_iter();
        let age = |key: &Key| self.tokens.get(key).map(|token| (token.claim.created, key.clone()));
        let oldest = rivals.filter_map(|rival| age(&rival)).min()?;
        (Some(&oldest) < age(key).as_ref()).then(|| oldest.1.name.to_string())
    }

    fn rivals(&self, key: &Key, target: &Key) -> Vec<Key> {
        let users = self.users(target).into_iter();
        users
            .filter(|user| user != key)
            .filter(|user| self.tokens.get(user).is_some_and(|token| token.claim.target == *target))
            .collect()
    }

    fn users(&self, secret: &Key) -> Vec<Key> {
        self.secrets.get(secret).map(|known| known.users.clone()).unwrap_or_default()
    }
}

// === impl View: Secrets ===

impl View {
    /// What is known of a Secret.
    #[must_use]
    pub fn seen(&self, secret: &Key) -> Seen {
        self.secrets.get(secret).map(|known| known.seen.clone()).unwrap_or_default()
    }

    /// A watch delivered this Secret, or the answer to one of our own writes did.
    pub fn present(&mut self, secret: &Key, facts: impl FnOnce() -> Option<Facts>) -> Vec<Key> {
        let Some(known) = self.secrets.get_mut(secret) else { return vec![] };
        let Some(facts) = facts() else { return vec![] };
        known.unconfirmed = false;
        if known.is_old(facts.mark.version.number()) || known.seen.facts() == Some(&facts) {
            return vec![];
        }
        known.seen = Seen::Present(Box::new(facts));
        self.users(secret)
    }

    /// A Secret was deleted; `version` is the resourceVersion of its deletion, if it is known.
    pub fn absent(&mut self, secret: &Key, version: Option<&str>) -> Vec<Key> {
        let Some(known) = self.secrets.get_mut(secret) else { return vec![] };
        known.unconfirmed = false;
        if version.is_some_and(|version| known.is_old(version.parse().ok())) || known.seen == Seen::Absent {
            return vec![];
        }
        known.seen = Seen::Absent;
        self.users(secret)
    }

    /// A look answered a question: it counts only where no watch has answered it meanwhile.
    pub fn looked(&mut self, secret: &Key, seen: Seen) {
        if let Some(known) = self.secrets.get_mut(secret).filter(|known| known.seen == Seen::Unknown) {
            known.seen = seen;
        }
    }

    /// Nothing that is known of a Secret can be relied upon: a write found it otherwise.
    pub fn forget(&mut self, secret: &Key) {
        if let Some(known) = self.secrets.get_mut(secret) {
            known.seen = Seen::Unknown;
        }
    }

    /// A list of all Secrets begins.
    pub fn relist_secrets(&mut self) {
        self.secrets.values_mut().for_each(|known| known.unconfirmed = true);
    }

    /// The list is complete: what it did not hold is gone.
    pub fn relisted_secrets(&mut self) -> Vec<Key> {
        let gone = self.secrets.iter().filter(|(_, known)| known.unconfirmed).map(|(key, _)| key.clone());
        let gone: Vec<Key> = gone.collect();
        gone.iter().flat_map(|secret| self.absent(secret, None)).collect()
    }
}

// === impl Known, Claim ===

impl Known {
    /// Whether something newer was heard of before. resourceVersions of one resource can be compared as numbers
    /// (KEP-5504); where they are no numbers, nothing is old.
    fn is_old(&mut self, version: Option<u64>) -> bool {
        let Some(version) = version else { return false };
        let old = version < self.newest;
        self.newest = self.newest.max(version);
        old
    }
}

impl Claim {
    /// The Secrets that it names, each once.
    fn secrets(&self) -> impl Iterator<Item = &Key> {
        self.source.iter().filter(|source| **source != self.target).chain([&self.target])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Delivered;
    use crate::core::ownership::Owned;
    use crate::core::record::Mark;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    fn token(name: &str, created: i64, source: &str, target: &str) -> Kept {
        let created_at = Timestamp::from_second(created).unwrap().to_string();
        let metadata =
            json!({"namespace": "ns", "name": name, "uid": created.to_string(), "creationTimestamp": created_at});
        let spec = json!({"apiKeySecretRef": {"name": source}, "target": {"name": target}});
        serde_json::from_value::<Delivered>(json!({"metadata": metadata, "spec": spec})).unwrap().into()
    }

    fn facts(version: &str) -> Facts {
        let mark = Mark { uid: "u".into(), version: version.into() };
        Facts { mark, controller: None, record: None, owned: Owned::default() }
    }

    #[test]
    fn keeps_nothing_of_secrets_that_nobody_names() {
        let mut view = View::default();
        assert!(view.present(&key("other"), || Some(facts("1"))).is_empty());
        assert!(view.secrets.is_empty());
        view.put(token("a", 1, "s", "t"));
        assert_eq!(view.present(&key("s"), || Some(facts("1"))), [key("a")]);
        view.remove(&key("a"));
        assert!(view.secrets.is_empty());
    }

    #[test]
    fn an_echo_or_an_older_state_wakes_nobody() {
        let mut view = View::default();
        view.put(token("a", 1, "s", "t"));
        assert_eq!(view.present(&key("t"), || Some(facts("5"))), [key("a")]);
        assert!(view.present(&key("t"), || Some(facts("5"))).is_empty());
        assert!(view.present(&key("t"), || Some(facts("4"))).is_empty());
        assert!(view.absent(&key("t"), Some("4")).is_empty());
        assert_eq!(view.absent(&key("t"), Some("6")), [key("a")]);
        assert!(
            view.present(&key("t"), || Some(facts("5"))).is_empty(),
            "the answer to a write that was undone meanwhile"
        );
        assert_eq!(view.seen(&key("t")), Seen::Absent);
    }

    #[test]
    fn the_oldest_wins_and_its_end_wakes_the_next() {
        let mut view = View::default();
        view.put(token("old", 1, "s", "t"));
        assert_eq!(view.put(token("new", 2, "s", "t")), [key("old")]);
        assert_eq!(view.winner(&key("new")), Some("old".into()));
        assert_eq!(view.winner(&key("old")), None);
        assert_eq!(view.remove(&key("old")), [key("new")]);
        assert_eq!(view.winner(&key("new")), None);
    }

    #[test]
    fn a_changed_claim_keeps_what_is_known() {
        let mut view = View::default();
        view.put(token("a", 1, "s", "t"));
        view.present(&key("t"), || Some(facts("5")));
        view.put(token("a", 1, "s2", "t"));
        assert!(view.seen(&key("t")).facts().is_some());
        assert_eq!(view.seen(&key("s2")), Seen::Unknown);
        assert!(!view.secrets.contains_key(&key("s")));
    }

    #[test]
    fn among_equals_the_name_decides() {
        let mut view = View::default();
        view.put(token("b", 1, "s", "t"));
        view.put(token("a", 1, "s", "t"));
        assert_eq!(view.winner(&key("b")), Some("a".into()));
        assert_eq!(view.winner(&key("a")), None);
    }

    #[test]
    fn moving_to_another_target_frees_the_first() {
        let mut view = View::default();
        view.put(token("old", 1, "s", "t"));
        view.put(token("new", 2, "s", "t"));
        assert_eq!(view.put(token("old", 1, "s", "t2")), [key("new")]);
        assert_eq!(view.winner(&key("new")), None);
    }

    #[test]
    fn what_a_list_does_not_hold_is_gone() {
        let mut view = View::default();
        view.put(token("a", 1, "s", "t"));
        view.put(token("b", 2, "s", "u"));
        view.relist();
        view.put(token("b", 2, "s", "u"));
        assert_eq!(view.relisted(), [key("a")]);
        assert_eq!(view.tokens.len(), 1);
        view.relist_secrets();
        view.present(&key("s"), || Some(facts("9")));
        assert_eq!(view.relisted_secrets(), [key("b")]);
        assert_eq!(view.seen(&key("u")), Seen::Absent);
        assert_ne!(view.seen(&key("s")), Seen::Absent);
    }
}
