//! Only the leader speaks of IamTokens.

use crate::scrape::{scrape, until};
use crate::{SCRAPED, world};

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_tells_of_iamtokens_and_the_other_once_it_leads() {
    let mut world = world().await;
    world.operator.kill();
    let mut first = world.replica(&SCRAPED).await;
    until(&first, "the first leads", |scrape| scrape.value("leader", &[]) == Some(1.0)).await;
    let second = world.replica(&SCRAPED).await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    until(&first, "told by the leader", |scrape| scrape.of_token("ready", "hpcs") == Some(1.0)).await;
    let listed = [("verb", "watch"), ("resource", "secrets"), ("code", "200")];
    let standby = until(&second, "watches", |scrape| scrape.value("api_requests_total", &listed) >= Some(1.0)).await;
    assert_eq!(standby.value("leader", &[]), Some(0.0));
    assert!(!standby.text.contains("iam_token_operator_token"), "{}", standby.text);
    assert!(standby.text.contains("process_resident_memory_bytes"));
    first.kill();
    until(&second, "told by the other", |scrape| {
        scrape.value("leader", &[]) == Some(1.0) && scrape.of_token("ready", "hpcs") == Some(1.0)
    })
    .await;
    let moved = scrape(&second).await;
    assert_eq!(moved.sum("exchanges_total", &[]), 0.0, "the token was still good");
}
