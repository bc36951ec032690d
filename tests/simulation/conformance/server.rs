//! One API server, and what it answered.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Map, Value, json};

/// The manager of most applies.
pub const MANAGER: &str = "fieldManager=iam-token-operator";

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// One API server, and what it answered.
pub struct Server {
    client: Client,
    namespace: String,
    /// All that has been seen, without what may differ.
    pub seen: Vec<String>,
    versions: BTreeMap<String, u64>,
}

/// An object as an answer had it.
#[derive(Clone, Default)]
pub struct Known {
    pub uid: String,
    pub version: String,
}

// === impl Server ===

impl Server {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.into(), seen: vec![], versions: BTreeMap::new() }
    }

    pub async fn create(&mut self, plural: &str, object: &Value) -> Known {
        self.ask("POST", plural, "fieldManager=tests", "application/json", object).await
    }

    pub async fn replace(&mut self, path: &str, object: &Value) -> Known {
        self.ask("PUT", path, "fieldManager=tests", "application/json", object).await
    }

    pub async fn merge(&mut self, path: &str, change: &Value) -> Known {
        self.ask("PATCH", path, "fieldManager=tests", "application/merge-patch+json", change).await
    }

    /// A forced apply by the operator.
    pub async fn apply(&mut self, path: &str, object: &Value) -> Known {
        self.apply_as(path, &format!("{MANAGER}&force=true"), object).await
    }

    pub async fn apply_as(&mut self, path: &str, query: &str, object: &Value) -> Known {
        self.ask("PATCH", path, query, "application/apply-patch+yaml", object).await
    }

    pub async fn delete(&mut self, path: &str, preconditions: &Value) -> Known {
        self.ask("DELETE", path, "", "application/json", &json!({"preconditions": preconditions})).await
    }

    pub async fn get(&mut self, path: &str) -> Known {
        self.ask("GET", path, "", "application/json", &Value::Null).await
    }

    pub async fn get_metadata(&mut self, path: &str) -> Known {
        let answer = self.send("GET", path, "", METADATA, "", &Value::Null).await;
        self.note(&format!("GET metadata of {path}"), path, answer)
    }

    pub async fn apply_for_metadata(&mut self, path: &str, object: &Value) -> Known {
        let query = format!("{MANAGER}&force=true");
        let answer = self.send("PATCH", path, &query, METADATA, "application/apply-patch+yaml", object).await;
        self.note(&format!("PATCH for metadata {path}"), path, answer)
    }

    /// A list, sorted as it comes. Returns its resourceVersion and its continue token.
    pub async fn list(&mut self, plural: &str, query: &str, metadata: bool) -> (String, String) {
        let accept = if metadata { METADATA_LIST } else { "application/json" };
        let (code, mut list) = self.send("GET", plural, query, accept, "", &Value::Null).await;
        let text = |list: &Value, field: &str| list["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (version, token) = (text(&list, "resourceVersion"), text(&list, "continue"));
        let mut items = list["items"].take();
        for item in items.as_array_mut().into_iter().flatten() {
            // Items of built-in kinds have none on the real one.
            for field in ["kind", "apiVersion"].into_iter().filter(|_| !metadata) {
                item.as_object_mut().unwrap().remove(field);
            }
            normalize(item);
        }
        let kinds = [list["kind"].clone(), list["apiVersion"].clone()];
        let rest = list["metadata"]["remainingItemCount"].clone();
        self.seen.push(format!("LIST {plural}: {code} {kinds:?} {rest} {items:#}"));
        (version, token)
    }

    /// All events from a resourceVersion on, for a second.
    pub async fn watch(&mut self, plural: &str, from: &str, metadata: bool) {
        let accept = if metadata { METADATA } else { "application/json" };
        let query = format!("watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={from}");
        let (_, events) = self.send("GET", plural, &query, accept, "", &Value::Null).await;
        let mut last = 0;
        for event in events.as_array().unwrap() {
            let (type_, mut object) = (event["type"].clone(), event["object"].clone());
            // When bookmarks come is up to the server.
            if type_ == "BOOKMARK" {
                continue;
            }
            let version = normalize(&mut object).version.parse().unwrap_or(u64::MAX);
            self.seen.push(format!("EVENT {type_} {} {object:#}", version > last));
            last = version;
        }
    }

    /// Names the namespace in a reference.
    pub fn namespaced(&self, reference: &mut Value) {
        reference["namespace"] = self.namespace.as_str().into();
    }

    pub async fn ask(&mut self, method: &str, path: &str, query: &str, type_: &str, body: &Value) -> Known {
        let answer = self.send(method, path, query, "application/json", type_, body).await;
        self.note(&format!("{method} {path}"), path, answer)
    }

    fn note(&mut self, what: &str, path: &str, (code, mut object): (u16, Value)) -> Known {
        let known = normalize(&mut object);
        let version = known.version.parse().unwrap_or_default();
        let object_path = path.trim_end_matches("/status").to_owned();
        let before = self.versions.get(&object_path).copied();
        if version > 0 {
            self.versions.insert(object_path, version);
        }
        let step = self.seen.len();
        self.seen.push(format!(
            "{step}. {what}: {code}, version {:?} {object:#}",
            before.map(|before| version.cmp(&before))
        ));
        known
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        query: &str,
        accept: &str,
        type_: &str,
        body: &Value,
    ) -> (u16, Value) {
        let plural = path.split('/').next().unwrap();
        let api = match plural {
            "secrets" => "/api/v1",
            "leases" => "/apis/coordination.k8s.io/v1",
            "iamtokens" => "/apis/iamtoken.dev/v1alpha1",
            "events" => "/apis/events.k8s.io/v1",
            other => panic!("{other}"),
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{api}/namespaces/{}/{path}?{query}", self.namespace))
            .header("accept", accept);
        if !type_.is_empty() {
            request = request.header("content-type", type_);
        }
        let body = if body.is_null() { vec![] } else { body.to_string().into_bytes() };
        let request = request.body(body).unwrap();
        let (code, text) = loop {
            let answer = self.client.send(request.clone().map(Into::into)).await.unwrap();
            let code = answer.status().as_u16();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            if code != 429 {
                break (code, text);
            }
            // The real one, while it begins to serve a new CRD.
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let json = serde_json::from_slice(&text).ok().filter(|_| !query.contains("watch=true"));
        let lines = || {
            text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()).collect()
        };
        (code, json.unwrap_or_else(lines))
    }
}

/// Takes away what may differ, and returns it.
fn normalize(object: &mut Value) -> Known {
    if object["kind"] == "Status" {
        object.as_object_mut().unwrap().remove("message");
        for cause in object["details"]["causes"].as_array_mut().into_iter().flatten() {
            let message = cause["message"].take();
            let message = message.as_str().unwrap();
            cause["says immutable"] = message.contains("field is immutable when `immutable` is set").into();
            cause["says too long"] = message.contains("Too long").into();
        }
        if let Some(causes) = object["details"]["causes"].as_array_mut() {
            causes.sort_by_key(|cause| cause["field"].to_string());
            // The real one validates the metadata of IamTokens twice.
            causes.dedup();
        }
        if let Some(details) = object["details"].as_object_mut() {
            details.remove("uid");
            details.retain(|_, value| !value.is_null());
        }
        return Known::default();
    }
    let Some(metadata) = object["metadata"].as_object_mut() else { return Known::default() };
    let known = Known { uid: text(metadata, "uid"), version: text(metadata, "resourceVersion") };
    for field in ["creationTimestamp", "deletionTimestamp", "namespace", "uid", "resourceVersion"] {
        if let Some(value) = metadata.get_mut(field) {
            *value = "some".into();
        }
    }
    for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
        entry["time"] = entry["time"].is_string().into();
    }
    if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
        // They come in the order of their times.
        entries.sort_by_key(|entry| ["operation", "manager", "subresource"].map(|field| entry[field].to_string()));
    }
    known
}

fn text(map: &Map<String, Value>, field: &str) -> String {
    map.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
