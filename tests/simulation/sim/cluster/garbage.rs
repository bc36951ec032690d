//! The garbage collector, which runs when it is told to.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::apply::{self, Operation, Writer};
use super::kind::Kind;
use super::object::Object;
use super::store::{Place, State};
use super::{Cluster, Verb};

const NAME: &str = "garbage-collector";

// === impl Cluster ===

impl Cluster {
    /// Deletes the Secrets whose every owner is an IamToken that is gone. Where only some of the owners are gone, it takes
    /// these references away, as the real one does.
    pub fn collect_garbage(&self) {
        let changes = {
            let mut state = self.state();
            state.collect();
            std::mem::take(&mut state.changes)
        };
        self.tell(NAME, &changes);
    }
}

// === impl State ===

impl State {
    fn collect(&mut self) {
        let all = |kind| self.table(kind).objects.values().flat_map(|names| names.values());
        let tokens: BTreeSet<&str> = all(Kind::IamToken).map(|token| token.metadata("uid")).collect();
        let is_gone = |owner: &Value| {
            let is_token = owner["kind"] == "IamToken";
            is_token && owner["uid"].as_str().is_some_and(|uid| !tokens.contains(uid))
        };
        let orphans = all(Kind::Secret).filter_map(|secret| {
            let owners = secret.value["metadata"]["ownerReferences"].as_array()?;
            let left: Vec<Value> = owners.iter().filter(|owner| !is_gone(owner)).cloned().collect();
            (left.len() < owners.len()).then(|| (Arc::clone(secret), left))
        });
        let orphans: Vec<(Arc<Object>, Vec<Value>)> = orphans.collect();
        for (secret, left) in orphans {
            let (namespace, name) = (secret.metadata("namespace"), secret.metadata("name"));
            let place = Place { kind: Kind::Secret, namespace, name };
            if left.is_empty() {
                self.remove(place, (Verb::Delete, false));
                continue;
            }
            let mut new = secret.bare();
            new["metadata"]["ownerReferences"] = left.into();
            let writer = Writer {
                manager: "kube-controller-manager".into(),
                operation: Operation::Update,
                api_version: Kind::Secret.api_version().into(),
                status: false,
            };
            let type_ = Kind::Secret.type_();
            let owners = apply::update(secret.owners.clone(), &secret.value, &new, type_, writer, self.now());
            self.put(place, (Verb::Update, false), new, owners);
        }
    }
}
