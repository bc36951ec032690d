//! Leases, and events about objects.

use serde_json::{Value, json};

use super::same;

fn lease(version: Option<&str>, holder: &str) -> Value {
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 0,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    });
    if let Some(version) = version {
        lease["metadata"]["resourceVersion"] = version.into();
    }
    lease
}

#[tokio::test]
async fn a_lease_is_written_by_one() {
    same(async |server| {
        let (from, _) = server.list("leases", "", false).await;
        let first = server.create("leases", &lease(None, "a")).await;
        server.create("leases", &lease(None, "b")).await;
        let second = server.replace("leases/l", &lease(Some(&first.version), "b")).await;
        server.replace("leases/l", &lease(Some(&first.version), "c")).await;
        server.replace("leases/l", &lease(Some(&second.version), "b")).await;
        server.replace("leases/l", &lease(None, "c")).await;
        server.ask("PUT", "leases/l", "", "application/json", &lease(Some(&second.version), "")).await;
        server.delete("leases/l", &Value::Null).await;
        // A replacement of what is gone.
        server.replace("leases/l", &lease(Some(&second.version), "b")).await;
        server.delete("leases/l", &Value::Null).await;
        server.replace("leases/l", &lease(None, "b")).await;
        server.watch("leases", &from, false).await;
    })
    .await;
}

#[tokio::test]
async fn an_event_is_created_and_counted() {
    same(async |server| {
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
            "action": "Refresh", "reason": "R", "type": "Normal", "note": "n", "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "iam-token-operator", "reportingInstance": "iam-token-operator",
            "regarding": {"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "name": "a", "namespace": "ns"},
        });
        let code = async |server: &mut super::Server, answer: super::server::Known| {
            // Of events, the owners of fields are not kept.
            server.seen.pop();
            server.seen.push(format!("{}", answer.version.is_empty()));
        };
        let mut here = event.clone();
        server.namespaced(&mut here["regarding"]);
        for plural in ["events", "events"] {
            let answer = server.create(plural, &here).await;
            code(server, answer).await;
        }
        let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}});
        for name in ["events/e", "events/none"] {
            let answer = server.merge(name, &series).await;
            code(server, answer).await;
        }
    })
    .await;
}
