//! People and other controllers: they create, change and delete, at random and without regard for the operator.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use iam_token_operator::core::endpoint::Endpoint;
use iam_token_operator::iam::{Ask, Credential};
use serde_json::{Value, json};
use std::sync::Arc;

use super::cluster::{Answer, Cluster, Request};
use super::dice::Dice;
use super::iam::{Iam, KeyState};
use super::oracle::{Name, Oracle};
use super::scenario::{Break, Scenario};
use super::weather::Racer;

/// After eight in a row a repair can wait for five minutes (`core::pace`).
const REPAIR: Duration = Duration::from_secs(330);

pub struct People {
    cluster: Cluster,
    iam: Arc<Iam>,
    oracle: Arc<Oracle>,
    dice: Dice,
    namespaces: Vec<String>,
    most_tokens: usize,
    numbers: u64,
    /// All keys draw the same jitter. For breaking things.
    same_jitter: bool,
}

impl People {
    pub fn new(cluster: &Cluster, iam: &Arc<Iam>, oracle: &Arc<Oracle>, dice: Dice, scenario: &Scenario) -> Self {
        Self {
            cluster: cluster.clone(),
            iam: Arc::clone(iam),
            oracle: Arc::clone(oracle),
            dice,
            namespaces: (0..scenario.namespaces).map(|number| format!("ns{number}")).collect(),
            most_tokens: scenario.tokens,
            numbers: 0,
            same_jitter: scenario.broken == Some(Break::Jitter),
        }
    }

    /// As many sources and `IamTokens` as there shall be.
    pub fn settle(&mut self, sources: usize) {
        for number in 0..sources {
            for namespace in self.namespaces.clone() {
                let key = self.new_key();
                self.put_source(&namespace, &format!("source{number}"), &key);
            }
        }
        for _ in 0..self.most_tokens {
            self.create_token(sources);
        }
    }

    /// A source and an `IamToken` for it; each number gives others.
    pub fn create_pair(&mut self, number: usize) {
        self.create_pair_in(0, number);
    }

    /// The same in the namespace at this place. Returns the key.
    pub fn create_pair_in(&mut self, place: usize, number: usize) -> String {
        let (namespace, name) = (self.namespaces[place].clone(), format!("pair{number:05}"));
        let (key, source) = (self.new_key(), format!("{name}-key"));
        self.put_source(&namespace, &source, &key);
        let spec = json!({"apiKeySecretRef": {"name": source}});
        self.create("iamtokens", &namespace, json!({"metadata": {"name": name}, "spec": spec}));
        key
    }

    /// A person asks for a refresh of the token of this pair.
    pub fn ask(&mut self, number: usize) {
        let (namespace, name, text) = (self.namespaces[0].clone(), format!("pair{number:05}"), self.number());
        let change = json!({"metadata": {"annotations": {"iamtoken.dev/refresh-requested": text}}});
        self.change("iamtokens", &namespace, &name, &change);
    }

    /// Who means harm does something to the pair of this number in the first namespace.
    pub fn churn(&mut self, number: usize) {
        let (namespace, name) = (self.namespaces[0].clone(), format!("pair{number:05}"));
        let text = self.number();
        match self.dice.below(6) {
            0 | 1 => {
                let key = self.new_key();
                self.put_source(&namespace, &format!("{name}-key"), &key);
            }
            2 => {
                let change = json!({"metadata": {"annotations": {"iamtoken.dev/refresh-requested": text}}});
                self.change("iamtokens", &namespace, &name, &change);
            }
            3 => {
                let target = format!("{name}-{}", self.dice.below(3));
                self.change("iamtokens", &namespace, &name, &json!({"spec": {"target": {"name": target}}}));
            }
            4 => {
                let target = self.oracle.tokens().into_iter().find(|((_, it), _)| *it == name).map(|(_, it)| it.target);
                self.delete("secrets", &namespace, &target.unwrap_or(name));
            }
            _ => {
                self.delete("iamtokens", &namespace, &name);
                self.create_pair(number);
            }
        }
    }

    /// One of them does something.
    pub fn act(&mut self, sources: usize) {
        let namespace = self.namespaces[self.dice.below(self.namespaces.len())].clone();
        let source = format!("source{}", self.dice.below(sources));
        match self.dice.below(21) {
            0..=2 => {
                let key = self.new_key();
                self.put_source(&namespace, &source, &key);
            }
            3 => self.put_source(&namespace, &source, "two words"),
            4 => self.delete("secrets", &namespace, &source),
            5 => {
                let labels = json!({"metadata": {"labels": {"touched": self.number()}}});
                self.change("secrets", &namespace, &source, &labels);
            }
            6 | 7 => self.create_token(sources),
            8 => self.delete_token(),
            9..=11 => self.change_token(&source),
            12 | 13 => self.spoil_target(),
            14 => self.delete_target(),
            15 => self.take_target_over(),
            16 => self.create_foreign(&namespace),
            17 => self.judge_key(),
            18 => self.cluster.compact(),
            19 => self.create_other(&namespace),
            _ => self.cluster.collect_garbage(),
        }
    }

    /// Who takes a Secret over, or makes one of that name, whenever told to.
    pub fn racer(&mut self) -> Racer {
        let (cluster, oracle, uid) = (self.cluster.clone(), Arc::clone(&self.oracle), self.foreign_uid());
        Box::new(move |namespace, name| {
            let owner = json!([{"apiVersion": "v1", "kind": "Other", "name": "other", "uid": uid, "controller": true}]);
            let change = json!({"metadata": {"ownerReferences": owner}});
            if ask(&cluster, Method::PATCH, &path("secrets", namespace, Some(name)), &change) == 404 {
                let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}});
                ask(&cluster, Method::POST, &path("secrets", namespace, None), &secret);
            }
            oracle.touched(namespace, REPAIR);
        })
    }

    fn foreign_uid(&mut self) -> String {
        format!("00000000-0000-4000-9000-{:012}", self.dice.between(1, 999))
    }

    /// All that people broke they mend.
    pub fn mend(&mut self, sources: usize) {
        for namespace in self.namespaces.clone() {
            for number in 0..sources {
                let key = self.new_key();
                self.put_source(&namespace, &format!("source{number}"), &key);
            }
        }
        self.cluster.collect_garbage();
    }

    fn number(&mut self) -> String {
        self.numbers += 1;
        self.numbers.to_string()
    }

    fn new_key(&mut self) -> String {
        let mut key = format!("FAKE-key-{}", self.number());
        while self.same_jitter && !draws_little(&key) {
            key = format!("FAKE-key-{}", self.number());
        }
        self.iam.set_key(&key, KeyState::Valid);
        key
    }

    fn put_source(&mut self, namespace: &str, name: &str, key: &str) {
        self.oracle.note(|| format!("people: {namespace}/{name} holds {key}"));
        let data = json!({"data": {"apikey": STANDARD.encode(key)}});
        if self.change("secrets", namespace, name, &data) == 404 {
            self.create("secrets", namespace, json!({"metadata": {"name": name}, "data": data["data"]}));
        }
        self.oracle.source_changed(namespace, name);
    }

    /// IAM thinks otherwise of a key.
    fn judge_key(&mut self) {
        let sources: Vec<_> =
            self.oracle.secrets().into_iter().filter_map(|(_, secret)| secret.data.get("apikey").cloned()).collect();
        let sources: Vec<_> = sources.into_iter().filter(|key| self.iam.key(key).is_some()).collect();
        if sources.is_empty() {
            return;
        }
        let key = self.dice.pick(&sources).clone();
        let state = *self.dice.pick(&[KeyState::Valid, KeyState::Deleted, KeyState::Disabled, KeyState::Locked]);
        self.oracle.note(|| format!("people: {key} is {state:?}"));
        self.iam.set_key(&key, state);
    }

    fn create_token(&mut self, sources: usize) {
        let tokens = self.oracle.tokens();
        if tokens.len() >= self.most_tokens {
            return;
        }
        let namespace = self.dice.pick(&self.namespaces).clone();
        let name = format!("token{}", self.dice.below(self.most_tokens * 2));
        let mut spec = json!({"apiKeySecretRef": {"name": format!("source{}", self.dice.below(sources))}});
        if self.dice.chance(0.2) {
            spec["target"] = json!({"name": format!("token{}", self.dice.below(self.most_tokens * 2))});
        }
        if self.dice.chance(0.2) {
            spec["target"]["deletionPolicy"] = json!("Retain");
        }
        if self.dice.chance(0.2) {
            spec["target"]["adopt"] = json!(true);
        }
        self.create("iamtokens", &namespace, json!({"metadata": {"name": name}, "spec": spec}));
        self.oracle.touched(&namespace, Duration::ZERO);
    }

    fn delete_token(&mut self) {
        if let Some((namespace, name)) = self.any_token() {
            self.delete("iamtokens", &namespace, &name);
            if self.dice.chance(0.7) {
                self.cluster.collect_garbage();
            }
            self.oracle.touched(&namespace, Duration::ZERO);
        }
    }

    fn change_token(&mut self, source: &str) {
        let Some((namespace, name)) = self.any_token() else { return };
        let (number, suspend) = (self.number(), self.dice.chance(0.5));
        let target = format!("token{}", self.dice.below(self.most_tokens * 2));
        let change = match self.dice.below(6) {
            0 | 1 => json!({"metadata": {"annotations": {"iamtoken.dev/refresh-requested": number}}}),
            2 => json!({"spec": {"suspend": suspend}}),
            3 => json!({"spec": {"apiKeySecretRef": {"name": source}}}),
            4 => json!({"spec": {"target": {"name": target}}}),
            _ => json!({"spec": {"target": {"labels": {"number": number}}}}),
        };
        self.change("iamtokens", &namespace, &name, &change);
        self.oracle.touched(&namespace, Duration::ZERO);
    }

    fn spoil_target(&mut self) {
        let Some((namespace, name)) = self.any_target() else { return };
        let value = STANDARD.encode("FAKE-spoilt");
        let change = match self.dice.below(5) {
            0 => json!({"data": {"token": value}}),
            1 => json!({"data": {"token": value, "authorization": value}}),
            2 => json!({"data": null}),
            3 => json!({"metadata": {"annotations": {"iamtoken.dev/record": null}}}),
            _ => json!({"metadata": {"labels": {"iamtoken.dev/managed": "no", "others": "yes"}}}),
        };
        self.change("secrets", &namespace, &name, &change);
        self.oracle.touched(&namespace, REPAIR);
    }

    fn delete_target(&mut self) {
        if let Some((namespace, name)) = self.any_target() {
            self.delete("secrets", &namespace, &name);
            self.oracle.touched(&namespace, REPAIR);
        }
    }

    /// Another controller takes a target for its own; sometimes it has gone again a while later.
    fn take_target_over(&mut self) {
        let Some((namespace, name)) = self.any_target() else { return };
        let uid = self.foreign_uid();
        let owner = json!([{"apiVersion": "v1", "kind": "Other", "name": "other", "uid": uid, "controller": true}]);
        self.change("secrets", &namespace, &name, &json!({"metadata": {"ownerReferences": owner}}));
        self.oracle.touched(&namespace, REPAIR);
    }

    /// A Secret of somebody else stands where a target may have to be.
    fn create_foreign(&mut self, namespace: &str) {
        let name = format!("token{}", self.dice.below(self.most_tokens * 2));
        let secret = json!({"metadata": {"name": name}, "data": {"mine": STANDARD.encode("FAKE-mine")}});
        self.create("secrets", namespace, secret);
        self.oracle.touched(namespace, Duration::ZERO);
    }

    /// A Secret that is nobody's business.
    fn create_other(&mut self, namespace: &str) {
        let name = format!("other{}", self.dice.below(5));
        let change = json!({"data": {"x": STANDARD.encode(self.number())}});
        if self.change("secrets", namespace, &name, &change) == 404 {
            self.create("secrets", namespace, json!({"metadata": {"name": name}, "data": change["data"]}));
        }
    }

    fn any_token(&mut self) -> Option<Name> {
        let tokens = self.oracle.tokens();
        (!tokens.is_empty()).then(|| self.dice.pick(&tokens).0.clone())
    }

    fn any_target(&mut self) -> Option<Name> {
        let tokens = self.oracle.tokens();
        let ((namespace, _), token) = (!tokens.is_empty()).then(|| self.dice.pick(&tokens).clone())?;
        Some((namespace, token.target))
    }

    fn create(&self, plural: &str, namespace: &str, mut object: Value) -> u16 {
        let (kind, version) =
            if plural == "secrets" { ("Secret", "v1") } else { ("IamToken", "iamtoken.dev/v1alpha1") };
        object["kind"] = json!(kind);
        object["apiVersion"] = json!(version);
        ask(&self.cluster, Method::POST, &path(plural, namespace, None), &object)
    }

    fn change(&self, plural: &str, namespace: &str, name: &str, change: &Value) -> u16 {
        ask(&self.cluster, Method::PATCH, &path(plural, namespace, Some(name)), change)
    }

    fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.oracle.note(|| format!("people: delete {plural} {namespace}/{name}"));
        ask(&self.cluster, Method::DELETE, &path(plural, namespace, Some(name)), &json!({}));
        if plural == "secrets" {
            self.oracle.source_changed(namespace, name);
        }
    }
}

fn ask(cluster: &Cluster, method: Method, path: &str, body: &Value) -> u16 {
    let merges = method == Method::PATCH;
    let request = Request {
        method,
        path: path.to_owned(),
        query: vec![],
        accept: "application/json".into(),
        content_type: if merges { "application/merge-patch+json" } else { "application/json" }.into(),
        agent: "people".into(),
        body: Bytes::from(body.to_string()),
    };
    match cluster.answer("people", &request) {
        Answer::Object(code, _) => code.as_u16(),
        Answer::Watch(_) => 200,
    }
}

/// Whether the operator draws next to no jitter from the key.
fn draws_little(key: &str) -> bool {
    let endpoint = Endpoint::parse("https://iam.invalid", false).unwrap();
    let credential = Credential::ApiKey(key.into());
    Ask { endpoint, failover: vec![], credential, profile: None, account_id: None }.jitter() < 256
}

fn path(plural: &str, namespace: &str, name: Option<&str>) -> String {
    let group = if plural == "secrets" { "api/v1" } else { "apis/iamtoken.dev/v1alpha1" };
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    format!("/{group}/namespaces/{namespace}/{plural}{name}")
}
