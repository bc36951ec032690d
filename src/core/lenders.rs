//! What is known of the `ClusterIamCredentials`, of the namespaces that they admit, and of the Secrets that hold their
//! keys. Nothing is kept of other Secrets.

mod listing;
mod status;

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Selector, SelectorExt as _};

use self::listing::Listing;
pub use self::status::News;
use self::status::Told;
use super::asker::Asker;
use super::defaults::Defaults;
use super::key_health::Known;
use super::observed::{Facts, Seen};
use super::problem::Problem;
use super::record::Mark;
use super::view::Key;
use crate::api::{AllowedNamespaces, ClusterIamCredentialSpec, ClusterIamCredentialStatus, ListedCredential};

/// The index. Every change returns the `IamTokens` that must be looked at again.
#[derive(Debug, Default)]
pub struct Lenders {
    /// The namespaces that keys may be read in. Where there is none, nothing is lent.
    locked: BTreeSet<String>,
    defaults: Option<Defaults>,
    credentials: BTreeMap<String, Credential>,
    /// The labels of each namespace.
    namespaces: BTreeMap<String, Labels>,
    /// Those that hold a key.
    secrets: BTreeMap<Key, Seen>,
    /// The `IamTokens` that name each credential, whether it exists or not.
    users: BTreeMap<String, BTreeSet<Key>>,
    credentials_listed: Listing<String>,
    namespaces_listed: Listing<String>,
    secrets_listed: Listing<Key>,
}

type Labels = BTreeMap<String, String>;

/// A `ClusterIamCredential`.
#[derive(Debug)]
struct Credential {
    /// Which one in which state.
    mark: Mark,
    generation: i64,
    asker: Result<Asker, Problem>,
    allowed: Allowed,
    /// What the last try to use it came to, if that was no good.
    trouble: Option<Problem>,
    /// Nothing has become known of it since this process began: what its status says of earlier tries stands.
    fresh: bool,
    /// How its API key fares.
    key: Known,
    status: ClusterIamCredentialStatus,
    /// What this process last had said in the status.
    said: Vec<Told>,
}

/// Who may use it.
#[derive(Debug, Default)]
struct Allowed {
    names: BTreeSet<String>,
    selector: Option<Selector>,
}

// === impl Lenders: what is asked of it ===

impl Lenders {
    /// Credentials are lent from these namespaces; from none where there are none.
    #[must_use]
    pub fn new(locked: impl IntoIterator<Item = String>, defaults: &Defaults) -> Self {
        Self { locked: locked.into_iter().collect(), defaults: Some(defaults.clone()), ..Self::default() }
    }

    /// What the credential called `name` lends to a namespace.
    ///
    /// # Errors
    /// The [`Problem`] as the user of the credential is told it.
    pub fn lend(&self, name: &str, namespace: &str) -> Result<&Asker, Problem> {
        if self.locked.is_empty() {
            return Err(Problem::NothingIsLent);
        }
        if !self.credentials_listed.is_complete() {
            return Err(Problem::LendersUnknown);
        }
        let Some(credential) = self.credentials.get(name) else {
            return Err(Problem::CredentialNotFound { name: name.to_owned() });
        };
        if !credential.allowed.names.contains(namespace) {
            self.admits_by_label(credential, name, namespace)?;
        }
        let why = |problem: &Problem| Problem::Lent { name: name.to_owned(), why: Box::new(problem.clone()) };
        credential.asker.as_ref().map_err(why)
    }

    fn admits_by_label(&self, credential: &Credential, name: &str, namespace: &str) -> Result<(), Problem> {
        let refused = || Problem::NamespaceNotAdmitted { name: name.to_owned(), namespace: namespace.to_owned() };
        let selector = credential.allowed.selector.as_ref().ok_or_else(refused)?;
        if !self.namespaces_listed.is_complete() {
            return Err(Problem::LendersUnknown);
        }
        let labels = self.namespaces.get(namespace).ok_or_else(refused)?;
        if selector.matches(labels) { Ok(()) } else { Err(refused()) }
    }

    /// What is known of a Secret that holds a key.
    #[must_use]
    pub fn seen(&self, secret: &Key) -> Seen {
        self.secrets.get(secret).cloned().unwrap_or_default()
    }

    /// Whether the first lists of credentials and namespaces are complete.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.credentials_listed.is_complete() && self.namespaces_listed.is_complete()
    }

    /// The Secrets that hold a key and of which nothing is known.
    #[must_use]
    pub fn unknown(&self) -> Vec<Key> {
        let unknown = self.secrets.iter().filter(|(_, seen)| **seen == Seen::Unknown);
        unknown.map(|(secret, _)| secret.clone()).collect()
    }
}

// === impl Lenders: what it is told ===

impl Lenders {
    /// The `IamToken` names this credential, or none.
    pub fn used_by(&mut self, token: &Key, credential: Option<&str>) {
        self.users.retain(|name, users| {
            if Some(name.as_str()) != credential {
                users.remove(token);
            }
            !users.is_empty()
        });
        if let Some(name) = credential {
            self.users.entry(name.to_owned()).or_default().insert(token.clone());
        }
    }

    /// A try to use the credential has ended, well or badly. Returns whether that is news for its status.
    pub fn report(&mut self, name: &str, generation: i64, trouble: Option<Problem>) -> bool {
        let of_this = |credential: &&mut Credential| credential.generation == generation;
        let Some(credential) = self.credentials.get_mut(name).filter(of_this) else { return false };
        let told =
            |trouble: &Option<Problem>| trouble.as_ref().map(|problem| (problem.reason(), problem.needs_a_person()));
        let news = credential.fresh || told(&credential.trouble) != told(&trouble);
        credential.trouble = trouble;
        credential.fresh = false;
        news
    }

    /// IAM was asked about the API key of the credential. Returns whether that is news for its status.
    pub fn told_of_key(&mut self, name: &str, generation: i64, known: Known) -> bool {
        let of_this = |credential: &&mut Credential| credential.generation == generation;
        let Some(credential) = self.credentials.get_mut(name).filter(of_this) else { return false };
        let news = known != Known::NotYet && credential.key != known;
        if news {
            credential.key = known;
            credential.said.clear(); // What stood until now may go.
        }
        news
    }

    /// A list of all credentials begins.
    pub fn relist(&mut self) -> Vec<Key> {
        self.credentials_listed.begins(self.credentials.keys().cloned());
        vec![]
    }

    /// The list is complete: what it did not hold is gone.
    pub fn relisted(&mut self) -> Vec<Key> {
        let first = !self.credentials_listed.is_complete();
        let gone = self.credentials_listed.ends(|_| true);
        let woken = gone.iter().flat_map(|name| self.remove(name)).collect();
        if first { self.all_users() } else { woken }
    }

    /// A credential was created or changed.
    pub fn put(&mut self, listed: &ListedCredential) -> Vec<Key> {
        let (metadata, name) = (&listed.metadata, listed.metadata.name.clone().unwrap_or_default());
        self.credentials_listed.holds(&name);
        let generation = metadata.generation.unwrap_or_default();
        let mark = Mark {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            version: metadata.resource_version.as_deref().unwrap_or_default().into(),
        };
        let status = listed.status.clone().unwrap_or_default();
        if let Some(known) = self.credentials.get_mut(&name)
            && known.generation == generation
            && known.mark.uid == mark.uid
        {
            (known.mark, known.status) = (mark, status);
            return vec![];
        }
        let asker = match &listed.spec {
            Some(spec) => self.asker(&name, generation, spec),
            None => Err(Problem::Undecodable { kind: "ClusterIamCredential" }),
        };
        let allowed = listed.spec.as_ref().and_then(|spec| spec.allowed_namespaces.as_ref());
        let (allowed, senseless) = allowed.map(Allowed::new).unwrap_or_default();
        let asker = senseless.map_or(asker, Err);
        let credential = Credential {
            mark,
            generation,
            asker,
            allowed,
            trouble: None,
            fresh: true,
            key: Known::NotYet,
            status,
            said: vec![],
        };
        self.credentials.insert(name.clone(), credential);
        self.keep_named_secrets();
        self.users_of(&name)
    }

    /// A credential was deleted.
    pub fn remove(&mut self, name: &str) -> Vec<Key> {
        self.credentials.remove(name);
        self.keep_named_secrets();
        self.users_of(name)
    }

    /// A list of all namespaces begins.
    pub fn relist_namespaces(&mut self) -> Vec<Key> {
        self.namespaces_listed.begins(self.namespaces.keys().cloned());
        vec![]
    }

    /// The list is complete: what it did not hold is gone.
    pub fn relisted_namespaces(&mut self) -> Vec<Key> {
        let first = !self.namespaces_listed.is_complete();
        for gone in self.namespaces_listed.ends(|_| true) {
            self.namespaces.remove(&gone);
        }
        if first { self.all_users() } else { vec![] }
    }

    /// A namespace was created, or its labels have changed.
    pub fn put_namespace(&mut self, name: &str, labels: &Labels) -> Vec<Key> {
        self.namespaces_listed.holds(&name.to_owned());
        if self.namespaces.get(name) == Some(labels) {
            return vec![];
        }
        self.namespaces.insert(name.to_owned(), labels.clone());
        self.all_users().into_iter().filter(|user| user.namespace == name).collect()
    }

    /// A namespace was deleted, and its `IamTokens` before it.
    pub fn remove_namespace(&mut self, name: &str) -> Vec<Key> {
        self.namespaces.remove(name);
        vec![]
    }

    /// A list of all Secrets of this namespace begins.
    pub fn relist_secrets(&mut self, namespace: &str) -> Vec<Key> {
        let known = self.secrets.keys().filter(|secret| secret.namespace == namespace);
        self.secrets_listed.begins(known.cloned());
        vec![]
    }

    /// The list is complete: what it did not hold is gone.
    pub fn relisted_secrets(&mut self, namespace: &str) -> Vec<Key> {
        let gone = self.secrets_listed.ends(|secret| secret.namespace == namespace);
        gone.iter().flat_map(|secret| self.look(secret, Seen::Absent)).collect()
    }

    /// A Secret was created or changed.
    pub fn present(&mut self, secret: &Key, facts: impl FnOnce() -> Option<Facts>) -> Vec<Key> {
        if !self.secrets.contains_key(secret) {
            return vec![];
        }
        facts().map_or_else(Vec::new, |facts| self.look(secret, Seen::Present(Box::new(facts))))
    }

    /// A look answered a question: it counts only where no watch has answered it meanwhile.
    pub fn looked(&mut self, secret: &Key, seen: Seen) -> Vec<Key> {
        if self.secrets.get(secret) == Some(&Seen::Unknown) { self.look(secret, seen) } else { vec![] }
    }

    /// A Secret was deleted.
    pub fn absent(&mut self, secret: &Key) -> Vec<Key> {
        self.look(secret, Seen::Absent)
    }

    fn look(&mut self, secret: &Key, seen: Seen) -> Vec<Key> {
        self.secrets_listed.holds(secret);
        let Some(known) = self.secrets.get_mut(secret).filter(|known| **known != seen) else { return vec![] };
        let changed = std::mem::replace(known, seen) != Seen::Unknown;
        let named = self.credentials.iter_mut().filter(|(_, credential)| credential.secret().as_ref() == Some(secret));
        let users: Vec<String> = named
            .map(|(name, credential)| {
                credential.trouble = None;
                credential.fresh &= !changed;
                name.clone()
            })
            .collect();
        users.iter().flat_map(|name| self.users_of(name)).collect()
    }
}

// === impl Lenders: within ===

impl Lenders {
    fn asker(&self, name: &str, generation: i64, spec: &ClusterIamCredentialSpec) -> Result<Asker, Problem> {
        let defaults = self.defaults.as_ref().ok_or(Problem::NothingIsLent)?;
        let asker = Asker::lent(name, generation, spec, defaults)?;
        let namespace = asker.namespace("").to_owned();
        if self.locked.contains(&namespace) {
            return Ok(asker);
        }
        let allowed: Vec<&str> = self.locked.iter().map(String::as_str).collect();
        Err(Problem::NotLockedAway { namespace, allowed: allowed.join(", ") })
    }

    fn keep_named_secrets(&mut self) {
        let named: BTreeSet<Key> = self.credentials.values().filter_map(Credential::secret).collect();
        self.secrets.retain(|secret, _| named.contains(secret));
        for secret in named {
            self.secrets.entry(secret).or_default();
        }
    }

    fn users_of(&self, name: &str) -> Vec<Key> {
        self.users.get(name).into_iter().flatten().cloned().collect()
    }

    /// All `IamTokens` that name a credential.
    #[must_use]
    pub fn all_users(&self) -> Vec<Key> {
        self.users.values().flatten().cloned().collect()
    }
}

// === impl Credential, Allowed ===

impl Credential {
    fn secret(&self) -> Option<Key> {
        self.asker.as_ref().ok()?.secret("")
    }
}

impl Allowed {
    /// And what is wrong with the selector, which then admits nobody.
    fn new(given: &AllowedNamespaces) -> (Self, Option<Problem>) {
        let names = given.names.iter().flatten().cloned().collect();
        let selector = given.selector.clone().map(Selector::try_from).transpose();
        let senseless = selector.is_err().then_some(Problem::InvalidField {
            field: "spec.allowedNamespaces.selector",
            hint: "has an operator that is none of In, NotIn, Exists and DoesNotExist, or values that don't suit it",
        });
        (Self { names, selector: selector.unwrap_or_default() }, senseless)
    }
}

#[cfg(test)]
mod tests;
