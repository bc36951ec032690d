//! Targets: server-side apply of Secrets, and what others do to them.

use serde_json::{Value, json};

use super::same;
use super::server::{Known, MANAGER};

/// What the operator applies.
fn target(version: Option<&str>, uid: Option<&str>, token: &str) -> Value {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "a",
            "labels": {"iamtoken.dev/managed": "true", "team": "x"},
            "annotations": {"iamtoken.dev/record": token},
            "ownerReferences": [owner("uid-1", true)],
        },
        "type": "Opaque",
        "data": {"token": token, "authorization": "QQ=="},
    });
    if let Some(version) = version {
        secret["metadata"]["resourceVersion"] = version.into();
    }
    if let Some(uid) = uid {
        secret["metadata"]["uid"] = uid.into();
    }
    secret
}

fn owner(uid: &str, controller: bool) -> Value {
    json!({"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "name": "a", "uid": uid, "controller": controller})
}

fn exactly(known: &Known) -> Value {
    json!({"uid": known.uid, "resourceVersion": known.version})
}

#[tokio::test]
async fn an_apply_expects_a_state() {
    same(async |server| {
        let (from, _) = server.list("secrets", "", false).await;
        // Absent, with a uid; then with a resourceVersion that nothing has.
        server.apply("secrets/a", &target(None, Some("11111111-0000-4000-8000-000000000000"), "QQ==")).await;
        let first = server.apply("secrets/a", &target(Some("1"), None, "QQ==")).await;
        server.apply("secrets/a", &target(Some("1"), None, "Qg==")).await;
        let second = server.apply("secrets/a", &target(Some(&first.version), Some(&first.uid), "Qg==")).await;
        // Stale; of another uid; of another uid and stale.
        server.apply("secrets/a", &target(Some(&first.version), Some(&first.uid), "Qw==")).await;
        let other = Some("11111111-0000-4000-8000-000000000000");
        server.apply("secrets/a", &target(Some(&second.version), other, "Qw==")).await;
        server.apply("secrets/a", &target(Some(&first.version), other, "Qw==")).await;
        server.apply("secrets/a", &target(None, other, "Qw==")).await;
        // Nothing to do.
        server.apply("secrets/a", &target(Some(&second.version), Some(&second.uid), "Qg==")).await;
        server.apply("secrets/a", &target(None, None, "Qg==")).await;
        server.apply_for_metadata("secrets/a", &target(Some(&second.version), Some(&second.uid), "Qw==")).await;
        server.delete("secrets/a", &exactly(&second)).await;
        let third = server.get("secrets/a").await;
        server.delete("secrets/a", &json!({"uid": "11111111-0000-4000-8000-000000000000"})).await;
        server.delete("secrets/a", &exactly(&third)).await;
        server.delete("secrets/a", &exactly(&third)).await;
        // A resourceVersion of old, with and without the uid.
        server.apply("secrets/a", &target(Some(&third.version), Some(&third.uid), "QQ==")).await;
        server.apply("secrets/a", &target(Some(&third.version), None, "QQ==")).await;
        server.watch("secrets", &from, false).await;
        server.watch("secrets", &from, true).await;
        server.watch("secrets", "0", true).await;
    })
    .await;
}

#[tokio::test]
async fn what_others_change_they_own() {
    same(async |server| {
        let (from, _) = server.list("secrets", "", true).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // One value, twice the same; one more key; labels; all of it back.
        server.merge("secrets/a", &json!({"data": {"token": "eHg="}})).await;
        server.merge("secrets/a", &json!({"data": {"token": "eHg="}})).await;
        server.merge("secrets/a", &json!({"stringData": {"more": "x"}})).await;
        server.merge("secrets/a", &json!({"metadata": {"labels": {"team": "y", "theirs": "z"}}})).await;
        server.merge("secrets/a", &json!({"metadata": {"annotations": {"iamtoken.dev/record": null}}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // The same value by another manager shares it.
        let shared = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"token": "QQ=="}});
        server.apply_as("secrets/a", "fieldManager=other", &shared).await;
        // Another value needs force.
        let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"token": "eHg=", "authorization": "eHg="}});
        server.apply_as("secrets/a", "fieldManager=other", &theirs).await;
        server.apply_as("secrets/a", "fieldManager=other&force=true", &theirs).await;
        server.apply_as("secrets/a", MANAGER, &target(None, None, "QQ==")).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // Owners: removed, replaced, added to.
        server.merge("secrets/a", &json!({"metadata": {"ownerReferences": null}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.merge("secrets/a", &json!({"metadata": {"ownerReferences": [owner("uid-2", true)]}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.merge("secrets/a", &json!({"metadata": {"ownerReferences": [owner("uid-2", false)]}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.merge("secrets/a", &json!({"data": null})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.watch("secrets", &from, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_replacement_takes_what_it_changes() {
    same(async |server| {
        let known = server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.replace("secrets/b", &json!({"metadata": {"name": "b"}})).await;
        server.replace("secrets/a", &json!({"metadata": {"name": "b"}})).await;
        let mut changed = target(Some(&known.version), Some(&known.uid), "QQ==");
        changed["data"] = json!({"token": "QQ==", "other": "QQ=="});
        changed["metadata"]["labels"] = json!({"team": "x"});
        server.replace("secrets/a", &changed).await;
        // Stale, of another uid, unconditional.
        server.replace("secrets/a", &changed).await;
        changed["metadata"]["uid"] = "11111111-0000-4000-8000-000000000000".into();
        server.replace("secrets/a", &changed).await;
        server.replace("secrets/a", &target(None, None, "QQ==")).await;
        server.replace("secrets/a", &target(None, None, "QQ==")).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // As kubectl edit does: all that was read, and one change.
        server.replace("secrets/a", &json!({"metadata": {"name": "a"}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // Without owners of fields.
        server.merge("secrets/a", &json!({"metadata": {"managedFields": [{}]}})).await;
        server.apply("secrets/a", &target(None, None, "Qg==")).await;
        let dropped =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"token": "Qg=="}});
        server.apply("secrets/a", &dropped).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_applied_no_longer_goes() {
    same(async |server| {
        server.create("secrets", &json!({"metadata": {"name": "a"}, "stringData": {"theirs": "x"}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        let mut less = target(None, None, "QQ==");
        less["data"] = json!({"token": "QQ=="});
        less["metadata"]["labels"] = json!({"iamtoken.dev/managed": "true"});
        less["metadata"].as_object_mut().unwrap().remove("ownerReferences");
        server.apply("secrets/a", &less).await;
        server.merge("secrets/a", &json!({"data": {"token": "eHg="}})).await;
        // What another changed meanwhile stays.
        let nothing = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
        server.apply("secrets/a", &nothing).await;
        server.apply("secrets/a", &nothing).await;
        // What two appliers want stays for the one.
        let both = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"shared": "QQ==", "mine": "QQ=="}});
        let shared = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"shared": "QQ=="}});
        server.apply("secrets/a", &both).await;
        server.apply_as("secrets/a", "fieldManager=other", &shared).await;
        server.apply("secrets/a", &nothing).await;
        server.delete("secrets/a", &Value::Null).await;
        server.apply("secrets/a", &both).await;
        server.merge("secrets/a", &json!({"data": {"theirs": "eHg="}, "metadata": {"labels": {"theirs": "x"}}})).await;
        server.apply("secrets/a", &nothing).await;
        // Without a name.
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        server.apply("secrets/a", &json!({"apiVersion": "v1", "kind": "Secret", "data": {"token": "QQ=="}})).await;
        server.apply("secrets/c", &json!({"apiVersion": "v1", "kind": "Secret", "data": {"token": "QQ=="}})).await;
    })
    .await;
}

#[tokio::test]
async fn some_changes_are_refused() {
    same(async |server| {
        let known = server.apply("secrets/a", &target(Some("1"), None, "QQ==")).await;
        let mut typed = target(None, None, "QQ==");
        typed["type"] = "example.com/other".into();
        server.apply("secrets/a", &typed).await;
        server.merge("secrets/a", &json!({"type": "example.com/other"})).await;
        typed["metadata"]["resourceVersion"] = known.version.into();
        server.replace("secrets/a", &typed).await;
        server
            .merge("secrets/a", &json!({"metadata": {"ownerReferences": [owner("u", true), owner("v", true)]}}))
            .await;
        server.merge("secrets/a", &json!({"data": {"token": "no base64"}})).await;
        server.merge("secrets/a", &json!({"data": {"big": "QUFB".repeat(350_000)}})).await;
        server.merge("secrets/a", &json!({"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})).await;
        server.merge("secrets/b", &json!({"metadata": {"labels": {"a": "b"}}})).await;
        server.merge("secrets/a", &json!({"immutable": true})).await;
        server.apply("secrets/a", &target(None, None, "Qg==")).await;
        server.merge("secrets/a", &json!({"immutable": false})).await;
        server.merge("secrets/a", &json!({"metadata": {"labels": {"still": "allowed"}}})).await;
        server.apply("secrets/a", &target(None, None, "QQ==")).await;
        // Not well-formed.
        server.apply_as("secrets/a", "", &target(None, None, "QQ==")).await;
        server.apply("secrets/b", &target(None, None, "QQ==")).await;
        server.apply("secrets/a", &json!({"data": {}})).await;
        server.create("secrets", &json!({"metadata": {}})).await;
        server.create("secrets", &json!({"metadata": {"name": "r", "resourceVersion": "5"}})).await;
        server.create("secrets", &json!({"metadata": {"name": "a"}})).await;
    })
    .await;
}

#[tokio::test]
async fn finalizers_hold_up_a_deletion() {
    same(async |server| {
        let (from, _) = server.list("secrets", "", false).await;
        server.create("secrets", &json!({"metadata": {"name": "a", "finalizers": ["example.com/f"]}})).await;
        server.delete("secrets/a", &Value::Null).await;
        server.delete("secrets/a", &Value::Null).await;
        server.apply("secrets/a", &target(None, None, "Qg==")).await;
        server.merge("secrets/a", &json!({"metadata": {"finalizers": null}})).await;
        server.get("secrets/a").await;
        server.watch("secrets", &from, false).await;
    })
    .await;
}
