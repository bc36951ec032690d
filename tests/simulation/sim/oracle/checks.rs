//! The promises, as conditions that must hold at each write and at each look.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{Kind, Leadership, Name, OWN_KEY, RECOVERS_IN, Secret, State, Token, Watched};
use crate::sim::cluster::{Verb, Write};
use crate::sim::iam::{Iam, KeyState};

/// Replicas' names begin so; all others are people.
const REPLICA: &str = "replica";

impl State {
    pub(super) fn wrote(&mut self, write: &Write<'_>, at: Timestamp, iam: &Iam) {
        let name = (write.namespace.to_owned(), write.name.to_owned());
        let by_operator = write.who.starts_with(REPLICA);
        match write.kind {
            Kind::Event => return,
            Kind::Lease => return self.lease(write, at),
            Kind::Secret => self.secret(&name, write, by_operator, at, iam),
            Kind::IamToken => self.token(&name, write, by_operator, at),
        }
        if by_operator {
            self.not_interleaved(write, name, at);
        }
    }

    /// Promise 3 at each write of the operator; and whose token it is.
    fn secret(&mut self, name: &Name, write: &Write<'_>, by_operator: bool, at: Timestamp, iam: &Iam) {
        let after = write.after.map(Secret::read);
        if by_operator {
            self.counts.targets += 1;
            if let Err(what) = self.may_write(name, write, after.as_ref(), at, iam) {
                self.violated(at, format!("{} {:?} of Secret {}/{}: {what}", write.who, write.verb, name.0, name.1));
            }
        }
        match after {
            Some(after) => drop(self.secrets.insert(name.clone(), after)),
            None => drop(self.secrets.remove(name)),
        }
        self.note_keys(name, at);
    }

    /// The keys that sources hold now, of the `IamTokens` that name this Secret as their source.
    fn note_keys(&mut self, source: &Name, at: Timestamp) {
        let key = self.secrets.get(source).and_then(|secret| secret.data.get("apikey")).cloned();
        for (_, token) in self.tokens.iter_mut().filter(|((there, _), _)| *there == source.0) {
            if token.is.source == source.1 {
                token.holds(key.as_deref(), at);
            } else if let Some(key) = key.as_ref().filter(|_| token.sources.contains_key(&source.1)) {
                token.keys.insert(key.clone(), at);
            }
        }
    }

    fn may_write(
        &self,
        name: &Name,
        write: &Write<'_>,
        after: Option<&Secret>,
        at: Timestamp,
        iam: &Iam,
    ) -> Result<(), String> {
        let before = write.before.map(Secret::read);
        if let (Verb::Delete, Some(before)) = (write.verb, &before) {
            let ours = self.tokens.iter().any(|((there, called), token)| {
                *there == name.0 && before.is_open_to(&token.is.uid, called, false) && token.is.target != name.1
            });
            return if ours { Ok(()) } else { Err("it is no former target of anybody".into()) };
        }
        let after = after.ok_or("it is gone")?;
        let (uid, called) = after.owner.clone().ok_or("without a record")?;
        let Some(token) = self.tokens.get(&(name.0.clone(), called.clone())).filter(|token| token.is.uid == uid) else {
            return Ok(()); // For an IamToken that was deleted meanwhile: the garbage collector takes it.
        };
        if let Some(before) = before.filter(|before| !before.is_open_to(&uid, &called, token.is.adopt)) {
            return Err(format!("it is somebody else's: {:?}, {:?}", before.controller, before.owner));
        }
        let text = after.data.get("token").ok_or("without a token")?;
        let issued = iam.issued(text).ok_or("with a token that IAM never gave")?;
        let own = token.keys.get(&issued.key).is_some_and(|until| *until == Timestamp::MAX || *until + OWN_KEY >= at);
        if !own {
            return Err(format!("a token of {}, which is none of {:?}", issued.key, token.keys));
        }
        if after.data.get("authorization") != Some(&format!("Bearer {text}")) {
            return Err("keys that do not belong together".into());
        }
        Ok(())
    }

    fn token(&mut self, name: &Name, write: &Write<'_>, by_operator: bool, at: Timestamp) {
        if by_operator {
            self.counts.statuses += 1;
            if !write.subresource_status {
                self.violated(
                    at,
                    format!("{} writes more of IamToken {}/{} than its status", write.who, name.0, name.1),
                );
            }
        }
        let Some(value) = write.after else {
            self.tokens.remove(name);
            return;
        };
        let (is, seen) = (Token::read(value), self.seen(at));
        let source = (name.0.clone(), is.source.clone());
        let known = self.tokens.remove(name).filter(|known| known.is.uid == is.uid);
        let mut token = known.unwrap_or_else(|| Watched {
            is: is.clone(),
            sources: BTreeMap::new(),
            keys: BTreeMap::new(),
            due_by: at,
        });
        token.sources.retain(|_, until| *until + OWN_KEY >= at);
        token.sources.insert(token.is.source.clone(), at);
        token.sources.insert(is.source.clone(), at);
        if !by_operator {
            token.due_by = token.due_by.max(seen + RECOVERS_IN);
        }
        token.is = is;
        token.holds(self.secrets.get(&source).and_then(|secret| secret.data.get("apikey")).map(String::as_str), at);
        if by_operator && let Err(what) = self.tells_the_truth(name, &token, write.before) {
            self.violated(at, format!("the status of {}/{} says {what}", name.0, name.1));
        }
        self.tokens.insert(name.clone(), token);
    }

    /// What a status says of the target must be, or have been, true: a token that it names was written first.
    fn tells_the_truth(&self, name: &Name, token: &Watched, before: Option<&Value>) -> Result<(), String> {
        let said = &token.is.status;
        let news = before.is_none_or(|before| Token::read(before).status.refreshed_at != said.refreshed_at);
        let target = (name.0.clone(), token.is.target.clone());
        let there = self.secrets.get(&target).and_then(|secret| secret.refreshed_at.as_ref());
        if said.ready && news && !self.clocks_are_set && there.is_none() {
            return Err(format!("Ready with a token of {:?}, and the target holds none", said.refreshed_at));
        }
        Ok(())
    }

    fn lease(&mut self, write: &Write<'_>, at: Timestamp) {
        let holder = write.after.and_then(|lease| lease.pointer("/spec/holderIdentity")).and_then(Value::as_str);
        let holder = holder.unwrap_or_default().to_owned();
        let lease = self.lease.get_or_insert_with(|| Leadership {
            holder: String::new(),
            term: 0,
            terms: BTreeMap::new(),
            writers: BTreeMap::new(),
        });
        if lease.holder == holder || write.after.is_none() {
            return; // Who held a lease that somebody deleted holds it until another does.
        }
        lease.term += 1;
        lease.terms.insert(holder.clone(), lease.term);
        lease.holder = holder;
        let (holder, term) = (lease.holder.clone(), lease.term);
        self.journal.note(at, || format!("{holder:?} leads, term {term}"));
        self.touch(at, RECOVERS_IN, |_, _| true);
    }

    /// Once a leader has written an object, none from before it may.
    fn not_interleaved(&mut self, write: &Write<'_>, name: Name, at: Timestamp) {
        let Some(lease) = &mut self.lease else { return };
        let term = lease.terms.get(write.who).copied().unwrap_or_default();
        let last = lease.writers.entry((write.kind, name)).or_default();
        if term < *last {
            let what = format!("{} of term {term} writes {} after one of term {last}", write.who, write.name);
            self.violated(at, what);
        } else {
            *last = term;
        }
    }

    /// When the token in the target dies, if there is a good one now.
    pub(super) fn expiry(&self, name: &Name, token: &Watched) -> Option<Timestamp> {
        let target = self.secrets.get(&(name.0.clone(), token.is.target.clone()))?;
        let whole = target.owner.is_some() && target.data.get("token").is_some_and(|token| token.starts_with("FAKE."));
        let second =
            target.data.get("expiration")?.parse().ok().filter(|_| whole && target.is_held_by(&token.is.uid))?;
        Timestamp::from_second(second).ok()
    }

    /// Promises 1 and 5, for each `IamToken`.
    pub(super) fn check(&mut self, now: Timestamp, iam: &Iam) {
        let lifetime = iam.lifetime() as f64;
        let names: Vec<Name> = self.tokens.keys().cloned().collect();
        for name in names {
            let expected = self.is_expected(&name, iam);
            let Some(token) = self.tokens.get_mut(&name) else { continue };
            let key = token.current_key();
            if !expected {
                token.due_by = token.due_by.max(now + RECOVERS_IN);
            }
            if let Some(key) = key {
                // A look each 20 s; refreshes come after half of a lifetime at the earliest.
                let calls = self.calls.entry(key).or_default();
                calls.justified += 20.0 / (lifetime / 2.0);
                token.due_by = calls.left_alone_until.map_or(token.due_by, |until| token.due_by.max(until));
            }
            if now >= token.due_by
                && let Err(what) = self.is_well(&name, now, iam)
            {
                self.violated(now, format!("{}/{} {what}, and nothing stands in its way", name.0, name.1));
            }
        }
    }

    /// Whether the `IamToken` is one that can be served.
    fn is_expected(&self, name: &Name, iam: &Iam) -> bool {
        let Some(token) = self.tokens.get(name) else { return false };
        let is = &token.is;
        let target = (name.0.clone(), is.target.clone());
        let secret = self.secrets.get(&target);
        let key = self.secrets.get(&(name.0.clone(), is.source.clone())).and_then(|source| source.data.get("apikey"));
        let valid = key.is_some_and(|key| iam.key(key) == Some(KeyState::Valid));
        let held = secret.is_some_and(|secret| secret.is_held_by(&is.uid));
        let older = self.tokens.iter().any(|((there, called), rival)| {
            *there == name.0 && *called != name.1 && rival.is.target == is.target && rival.is.age < is.age
        });
        let open = secret.is_none_or(|secret| secret.is_open_to(&is.uid, &name.1, is.adopt));
        !is.suspend && valid && (held || !older) && open && is.target != is.source
    }

    fn is_well(&self, name: &Name, now: Timestamp, iam: &Iam) -> Result<(), String> {
        let Some(token) = self.tokens.get(name) else { return Ok(()) };
        let is = &token.is;
        let secret = self.secrets.get(&(name.0.clone(), is.target.clone())).ok_or("has no target")?;
        let text = secret.data.get("token").ok_or("has no token")?;
        let issued = iam.issued(text).ok_or("has a token that IAM never gave")?;
        if issued.expires_at <= now {
            return Err(format!("holds a token that expired at {}", issued.expires_at));
        }
        if Some(&issued.key) != token.current_key().as_ref() {
            return Err(format!("holds a token of {}, which is not the key now", issued.key));
        }
        if !is.status.ready || is.status.stalled {
            return Err(format!("has a good token, and its status says {:?}", is.status));
        }
        if is.status.observed != is.generation {
            return Err(format!("is of generation {} and observed {}", is.generation, is.status.observed));
        }
        if is.requested.is_some() && is.requested != is.status.handled {
            return Err(format!("was asked to refresh by {:?} and answers {:?}", is.requested, is.status.handled));
        }
        Ok(())
    }
}

impl Watched {
    /// Its source holds this key now.
    fn holds(&mut self, key: Option<&str>, at: Timestamp) {
        for until in self.keys.values_mut() {
            *until = (*until).min(at);
        }
        if let Some(key) = key {
            self.keys.insert(key.to_owned(), Timestamp::MAX);
        }
        self.keys.retain(|_, until| *until >= at || at.duration_since(*until) < OWN_KEY.try_into().unwrap());
    }

    fn current_key(&self) -> Option<String> {
        self.keys.iter().find(|(_, until)| **until == Timestamp::MAX).map(|(key, _)| key.clone())
    }
}

/// How long a check may be behind: as often as [`Oracle::check`](super::Oracle::check) is called.
pub const EVERY: Duration = Duration::from_secs(20);
