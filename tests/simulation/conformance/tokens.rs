//! IamTokens: spec, status, generation.

use serde_json::{Value, json};

use super::same;
use super::server::MANAGER;

fn token(spec: &Value) -> Value {
    json!({"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": "a"}, "spec": spec})
}

fn spec(key: &str) -> Value {
    json!({"apiKeySecretRef": {"name": key}, "target": {"labels": {"a": "b"}, "data": [{"key": "t", "format": "Json"}]}})
}

fn status(ready: &str, version: Option<&str>, uid: Option<&str>) -> Value {
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": ready, "reason": "R", "message": "m", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let mut object = json!({
        "apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": "a"},
        "status": {
            "observedGeneration": 1, "conditions": [condition("Ready"), condition("Degraded")],
            "target": {"name": "a"}, "expiresAt": "2026-01-01T00:00:00Z",
        },
    });
    if let Some(version) = version {
        object["metadata"]["resourceVersion"] = version.into();
    }
    if let Some(uid) = uid {
        object["metadata"]["uid"] = uid.into();
    }
    object
}

#[tokio::test]
async fn spec_and_status_are_apart() {
    same(async |server| {
        let (from, _) = server.list("iamtokens", "", false).await;
        server.apply("iamtokens/a/status", &status("True", None, None)).await;
        let mut both = token(&spec("key"));
        both["status"] = json!({"observedGeneration": 7});
        let first = server.create("iamtokens", &both).await;
        let second = server.apply("iamtokens/a/status", &status("False", Some(&first.version), Some(&first.uid))).await;
        // Stale; another uid; nothing new; changed.
        server.apply("iamtokens/a/status", &status("True", Some(&first.version), Some(&first.uid))).await;
        let other = Some("11111111-0000-4000-8000-000000000000");
        server.apply("iamtokens/a/status", &status("True", Some(&first.version), other)).await;
        server.apply("iamtokens/a/status", &status("True", Some(&second.version), other)).await;
        server.apply("iamtokens/a/status", &status("False", Some(&second.version), Some(&second.uid))).await;
        server.apply("iamtokens/a/status", &status("True", Some(&second.version), Some(&second.uid))).await;
        // A status that says less.
        let mut less = status("True", None, None);
        less["status"] = json!({"conditions": [less["status"]["conditions"][1]]});
        server.apply("iamtokens/a/status", &less).await;
        // Spec and labels do not go through the status.
        let mut wrong = status("True", None, None);
        wrong["spec"] = spec("other");
        wrong["metadata"]["labels"] = json!({"a": "b"});
        server.apply("iamtokens/a/status", &wrong).await;
        server
            .merge("iamtokens/a/status", &json!({"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": true}}))
            .await;
        server.merge("iamtokens/a/status", &json!({"status": {"expiresAt": "2027-01-01T00:00:00Z"}})).await;
        server.apply("iamtokens/a/status", &status("True", None, None)).await;
        server.apply_as("iamtokens/a/status", "fieldManager=other", &status("False", None, None)).await;
        server.get("iamtokens/a").await;
        server.get_metadata("iamtokens/a").await;
        server.watch("iamtokens", &from, false).await;
        server.watch("iamtokens", &from, true).await;
    })
    .await;
}

#[tokio::test]
async fn only_a_new_spec_is_a_new_generation() {
    same(async |server| {
        let (from, _) = server.list("iamtokens", "", true).await;
        let first = server.create("iamtokens", &token(&spec("key"))).await;
        server.apply("iamtokens/a/status", &status("True", None, None)).await;
        server.merge("iamtokens/a", &json!({"metadata": {"labels": {"a": "b"}}})).await;
        server.merge("iamtokens/a", &json!({"status": {"expiresAt": "2027-01-01T00:00:00Z"}})).await;
        server.merge("iamtokens/a", &json!({"spec": {"suspend": true}})).await;
        server.merge("iamtokens/a", &json!({"spec": {"suspend": true}})).await;
        server.merge("iamtokens/a", &json!({"spec": {"target": null}})).await;
        server.merge("iamtokens/a", &json!({"metadata": {"annotations": {"iamtoken.dev/refresh": "1"}}})).await;
        // A user who applies.
        server.apply_as("iamtokens/a", "fieldManager=user&force=true", &token(&spec("key2"))).await;
        server
            .apply_as("iamtokens/a", "fieldManager=user", &token(&json!({"apiKeySecretRef": {"name": "key2"}})))
            .await;
        server.apply_as("iamtokens/a", MANAGER, &token(&json!({"apiKeySecretRef": {"name": "key3"}}))).await;
        // Replaced: unconditionally, stale, as it is.
        server.replace("iamtokens/a", &token(&spec("key4"))).await;
        let mut replacement = token(&spec("key4"));
        replacement["metadata"]["resourceVersion"] = first.version.into();
        server.replace("iamtokens/a", &replacement).await;
        replacement["metadata"]["resourceVersion"] = server.get("iamtokens/a").await.version.into();
        let known = server.replace("iamtokens/a", &replacement).await;
        server.delete("iamtokens/a", &json!({"uid": "11111111-0000-4000-8000-000000000000"})).await;
        server.delete("iamtokens/a", &json!({"uid": known.uid})).await;
        server.apply("iamtokens/a/status", &status("True", Some(&known.version), Some(&known.uid))).await;
        let again = server.create("iamtokens", &token(&spec("key"))).await;
        server.apply("iamtokens/a/status", &status("True", Some(&known.version), Some(&known.uid))).await;
        server.apply("iamtokens/a/status", &status("True", Some(&again.version), Some(&again.uid))).await;
        server.watch("iamtokens", &from, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_finalizer_holds_up_a_deletion() {
    same(async |server| {
        let mut held = token(&spec("key"));
        held["metadata"]["finalizers"] = json!(["example.com/f"]);
        server.create("iamtokens", &held).await;
        server.delete("iamtokens/a", &Value::Null).await;
        server.apply("iamtokens/a/status", &status("True", None, None)).await;
        server.merge("iamtokens/a", &json!({"metadata": {"finalizers": []}})).await;
        server.get("iamtokens/a").await;
    })
    .await;
}
