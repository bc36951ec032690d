//! The limit on series of single IamTokens.

use crate::harness::World;
use crate::scrape::{Scrape, scrape, until};
use crate::world_with;

/// Two good ones, and one without a key.
async fn three(world: &World) -> Scrape {
    for name in ["a", "b"] {
        world.put_pair(name).await;
        world.ready(name).await;
    }
    world.put_token("bad", &serde_json::json!({"apiKeySecretRef": {"name": "nowhere"}})).await;
    world.condition("bad", "Stalled", "SourceNotFound").await;
    until(&world.operator, "all three", |scrape| {
        scrape.value("tokens", &[("state", "ready")]) == Some(2.0)
            && scrape.value("tokens", &[("state", "stalled")]) == Some(1.0)
    })
    .await
}

fn shown(scrape: &Scrape) -> Vec<&str> {
    ["a", "b", "bad"].into_iter().filter(|name| scrape.of_token("ready", name).is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limit_those_with_trouble_are_shown_and_all_are_counted() {
    let world = world_with(&["--metrics-per-object-limit", "2"]).await;
    let over = three(&world).await;
    assert_eq!((shown(&over), over.value("tokens_omitted", &[])), (vec!["bad"], Some(2.0)));
    assert!(over.value("tokens_earliest_expiry_timestamp_seconds", &[]).is_some());
    world.tokens().delete("bad", &kube::api::DeleteParams::default()).await.unwrap();
    let under = until(&world.operator, "within the limit", |scrape| scrape.value("tokens_omitted", &[]) == Some(0.0));
    assert_eq!(shown(&under.await), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_0_shows_none() {
    let world = world_with(&["--metrics-per-object-limit", "0"]).await;
    let none = three(&world).await;
    assert_eq!((shown(&none), none.value("tokens_omitted", &[])), (vec![], Some(3.0)));
    assert!(!scrape(&world.operator).await.text.contains("name=\""));
}
