//! What a refresh costs the API server: one read and two writes, and nothing in between.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::control_plane::{AuditEvent, AuditMark};
use tokio::time::sleep;

use crate::harness::World;

/// The operator's own requests about this namespace, by verb and resource.
async fn requests(world: &World, since: AuditMark) -> BTreeMap<String, usize> {
    let events = world.plane.audit_since(since).await;
    let ours =
        |event: &&AuditEvent| event.namespace == world.namespace && event.user_agent.starts_with("iam-token-operator/");
    events.iter().filter(ours).fold(BTreeMap::new(), |mut counts, event| {
        let resource = [event.resource.as_str(), event.subresource.as_str()].join("/");
        *counts.entry(format!("{} {}", event.verb, resource.trim_end_matches('/'))).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn a_steady_refresh_is_one_read_and_two_writes() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    let key = world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    data = world.changed("hpcs", &data).await;
    sleep(Duration::from_secs(1)).await;
    let (mark, before) = (world.plane.audit_mark().await, world.iam.exchanges_of(&key));
    for _ in 0..4 {
        data = world.changed("hpcs", &data).await;
    }
    sleep(Duration::from_secs(1)).await;
    let refreshes = world.iam.exchanges_of(&key) - before;
    let requests = requests(&world, mark).await;
    let expected = [("get secrets", refreshes), ("patch iamtokens/status", refreshes), ("patch secrets", refreshes)];
    let expected: BTreeMap<String, usize> =
        expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    assert_eq!(refreshes, 4);
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn between_refreshes_there_is_no_request() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    sleep(Duration::from_secs(1)).await;
    let mark = world.plane.audit_mark().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(requests(&world, mark).await, BTreeMap::new());
}

#[tokio::test]
async fn many_that_share_a_key_make_one_exchange() {
    let world = World::start().await;
    let key = world.iam.service_id_key("shared");
    world.iam.set_latency(Duration::from_millis(100));
    world.put_key("k", &key).await;
    let spec = serde_json::json!({"apiKeySecretRef": {"name": "k"}});
    for number in 0..40 {
        world.put_token(&format!("t{number}"), &spec).await;
    }
    for number in 0..40 {
        world.ready(&format!("t{number}")).await;
    }
    assert_eq!(world.iam.calls_of(&key).len(), 1);
}
