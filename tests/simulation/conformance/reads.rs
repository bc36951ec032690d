//! Reads, and what is not there.

use serde_json::{Value, json};

use super::same;

#[tokio::test]
async fn lists_come_whole_or_in_pages() {
    same(async |server| {
        server.list("secrets", "", false).await;
        for name in ["b", "a", "c"] {
            server.create("secrets", &json!({"metadata": {"name": name}, "stringData": {"k": name}})).await;
        }
        for metadata in [false, true] {
            server.list("secrets", "", metadata).await;
            server.list("secrets", "limit=500", metadata).await;
            server.list("secrets", "resourceVersion=0&limit=2", metadata).await;
            let (version, token) = server.list("secrets", "limit=2", metadata).await;
            let (again, none) = server.list("secrets", &format!("limit=2&continue={token}"), metadata).await;
            server.seen.push(format!("{} {none:?}", version == again));
        }
        server.list("secrets", "fieldSelector=metadata.name%3Db", false).await;
        server.list("iamtokens", "limit=1", true).await;
    })
    .await;
}

#[tokio::test]
async fn objects_come_whole_or_as_metadata() {
    same(async |server| {
        server.get("secrets/a").await;
        server.get_metadata("secrets/a").await;
        server.create("secrets", &json!({"metadata": {"name": "a"}, "stringData": {"k": "v"}})).await;
        server.get("secrets/a").await;
        server.get_metadata("secrets/a").await;
        server.get("iamtokens/a").await;
        server.get_metadata("iamtokens/a").await;
        server.get("leases/a").await;
        server.delete("iamtokens/a", &Value::Null).await;
        server.ask("POST", "secrets", "", "application/json", &json!({"metadata": {"name": "m"}, "data": {}})).await;
    })
    .await;
}
