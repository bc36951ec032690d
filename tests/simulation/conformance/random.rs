//! Requests at random.

use serde_json::{Map, Value, json};

use super::same;
use super::server::{Known, Server};

const STEPS: usize = 250;

/// A generator of numbers that are the same each time (Knuth's MMIX).
struct Dice(u64);

// === impl Dice ===

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// Some of these keys, each with one of these values.
    fn map(&mut self, keys: &[&str], values: &[&str]) -> Map<String, Value> {
        let chosen: Vec<&str> = keys.iter().copied().filter(|_| self.is(2)).collect();
        chosen.into_iter().map(|key| (key.to_owned(), self.one_of(values).into())).collect()
    }

    /// Without empty maps: the real one stores those of custom resources for a while, so that the next write is one
    /// though it changes nothing.
    fn metadata(&mut self) -> Value {
        let mut metadata = json!({"name": "a"});
        for field in ["labels", "annotations"] {
            let map = self.map(&["x", "y", "z"], &["1", "2"]);
            if self.is(2) && !map.is_empty() {
                metadata[field] = map.into();
            }
        }
        if self.is(2) {
            let uids: Vec<&str> = ["u", "v", "w"].into_iter().filter(|_| self.is(2)).collect();
            let owners: Vec<Value> = uids
                .into_iter()
                .map(|uid| {
                    let controller = self.is(3);
                    json!({"apiVersion": "v1", "kind": "IamToken", "name": "n", "uid": uid, "controller": controller})
                })
                .collect();
            if !owners.is_empty() {
                metadata["ownerReferences"] = owners.into();
            }
        }
        metadata
    }

    /// Says in which state the object must be, or not.
    fn expect(&mut self, object: &mut Value, known: &[Known]) {
        let (Some(last), Some(first)) = (known.last(), known.first()) else { return };
        let metadata = &mut object["metadata"];
        match self.below(8) {
            0 | 1 => metadata["resourceVersion"] = last.version.as_str().into(),
            2 => metadata["resourceVersion"] = first.version.as_str().into(),
            3 => metadata["uid"] = first.uid.as_str().into(),
            4 => {
                metadata["uid"] = last.uid.as_str().into();
                metadata["resourceVersion"] = last.version.as_str().into();
            }
            5 => metadata["resourceVersion"] = "1".into(),
            _ => {}
        }
    }

    fn query(&mut self) -> String {
        let manager = self.one_of(&["iam-token-operator", "iam-token-operator", "one", "two"]);
        let force = if self.is(3) { "" } else { "&force=true" };
        format!("fieldManager={manager}{force}")
    }
}

fn remember(known: &mut Vec<Known>, answer: Known) {
    if !answer.version.is_empty() {
        known.push(answer);
    }
}

async fn secrets(server: &mut Server, seed: u64) {
    let mut dice = Dice(seed);
    let mut known = vec![];
    let (from, _) = server.list("secrets", "", false).await;
    for _ in 0..STEPS {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": dice.metadata()});
        if dice.is(2) {
            secret["data"] = dice.map(&["a", "b", "c"], &["MQ==", "Mg=="]).into();
        }
        if dice.is(4) {
            secret["type"] = dice.one_of(&["Opaque", "Opaque", "other"]).into();
        }
        dice.expect(&mut secret, &known);
        let answer = match dice.below(10) {
            0..5 => server.apply_as("secrets/a", &dice.query(), &secret).await,
            5 => server.create("secrets", &secret).await,
            6 => server.replace("secrets/a", &secret).await,
            7 | 8 => {
                for field in ["labels", "annotations", "ownerReferences"] {
                    if dice.is(5) {
                        secret["metadata"][field] = Value::Null;
                    }
                }
                if dice.is(5) {
                    secret["data"] = json!({"a": null, "b": "Mw=="});
                }
                server.merge("secrets/a", &secret).await
            }
            _ => {
                let metadata = &secret["metadata"];
                let (uid, version) = (&metadata["uid"], &metadata["resourceVersion"]);
                server.delete("secrets/a", &json!({"uid": uid, "resourceVersion": version})).await
            }
        };
        remember(&mut known, answer);
    }
    server.watch("secrets", &from, true).await;
}

async fn tokens(server: &mut Server, seed: u64) {
    let mut dice = Dice(seed);
    let mut known = vec![];
    let (from, _) = server.list("iamtokens", "", false).await;
    for _ in 0..STEPS {
        let mut token = json!({"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": dice.metadata()});
        let mut spec = json!({"apiKeySecretRef": {"name": dice.one_of(&["k", "l"])}});
        if dice.is(2) {
            spec["target"] = json!({"labels": dice.map(&["x", "y"], &["1", "2"]), "name": "t"});
        }
        token["spec"] = spec;
        if dice.is(2) {
            let types: Vec<&str> = ["Ready", "Other", "More"].into_iter().filter(|_| dice.is(2)).collect();
            let conditions = types.into_iter().map(|type_| {
                // The same whoever says it: a condition that is taken apart is not valid.
                json!({
                    "type": type_, "status": "True", "reason": "R", "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            });
            token["status"] = json!({"conditions": conditions.collect::<Vec<_>>(), "target": {"name": "t"}});
            if dice.is(2) {
                token["status"]["observedGeneration"] = dice.below(3).into();
            }
        }
        dice.expect(&mut token, &known);
        let path = dice.one_of(&["iamtokens/a", "iamtokens/a/status", "iamtokens/a/status"]);
        let action = dice.below(10);
        if action < 5 {
            // What else it says changes nothing but the times in managedFields.
            let is_status = path.ends_with("/status");
            token.as_object_mut().unwrap().remove(if is_status { "spec" } else { "status" });
            let metadata = token["metadata"].as_object_mut().unwrap();
            metadata.retain(|field, _| !is_status || ["name", "resourceVersion"].contains(&field.as_str()));
        }
        let answer = match action {
            0..5 => server.apply_as(path, &dice.query(), &token).await,
            5 => server.create("iamtokens", &token).await,
            6 => server.replace(path, &token).await,
            7 | 8 => server.merge(path, &token).await,
            _ => {
                let metadata = &token["metadata"];
                let (uid, version) = (&metadata["uid"], &metadata["resourceVersion"]);
                server.delete("iamtokens/a", &json!({"uid": uid, "resourceVersion": version})).await
            }
        };
        remember(&mut known, answer);
    }
    server.watch("iamtokens", &from, true).await;
}

#[tokio::test]
async fn secrets_at_random() {
    for seed in 1..4 {
        same(async |server| secrets(server, seed).await).await;
    }
}

#[tokio::test]
async fn tokens_at_random() {
    for seed in 1..4 {
        same(async |server| tokens(server, seed).await).await;
    }
}
