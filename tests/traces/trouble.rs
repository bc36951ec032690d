//! A collector that fails holds up nothing, and is told of once.

use std::time::{Duration, Instant};

use iam_token_operator::api::REFRESH_REQUESTED;
use testkit::fake_collector::FakeCollector;

use crate::harness::{World, eventually};
use crate::{SOON, world};

/// How often the log says this.
fn said(world: &World, what: &str) -> usize {
    world.operator.log().matches(what).count()
}

async fn refresh(world: &World, request: &str) {
    let data = world.data("hpcs").await.unwrap();
    world.annotate("hpcs", REFRESH_REQUESTED, request).await;
    world.changed("hpcs", &data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_is_told_of_once_and_taken_up_again() {
    let collector = FakeCollector::start();
    collector.down();
    let world = world(&collector, &[SOON], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let down = "the collector of traces cannot be reached. Until the collector takes them, spans are lost";
    eventually("a warning", async || if said(&world, down) > 0 { Ok(()) } else { Err(()) }).await;
    for request in ["1", "2", "3"] {
        refresh(&world, request).await;
    }
    collector.up();
    refresh(&world, "4").await;
    eventually("the next line", async || if said(&world, "takes spans again") > 0 { Ok(()) } else { Err(()) }).await;
    assert_eq!((said(&world, down), said(&world, "takes spans again")), (1, 1));
    assert!(!collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_is_told_of_with_its_answer() {
    let collector = FakeCollector::start();
    collector.answer_with(Some(401));
    let world = world(&collector, &[SOON], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let refused = "the collector of traces answers HTTP 401";
    eventually("a warning", async || if said(&world, refused) > 0 { Ok(()) } else { Err(()) }).await;
    assert!(!world.operator.log().contains("as told"), "what a collector says is nobody's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_up_neither_tokens_nor_the_end() {
    let collector = FakeCollector::start();
    collector.hang(true);
    let mut world = world(&collector, &[SOON], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    eventually("a request that hangs", async || if collector.requests().is_empty() { Err(()) } else { Ok(()) }).await;
    for request in ["1", "2", "3"] {
        refresh(&world, request).await;
    }
    let begin = Instant::now();
    world.operator.signal("-TERM");
    let code = eventually("the end", async || world.operator.exit_code().ok_or(())).await;
    assert_eq!(code, 0);
    assert!(begin.elapsed() < Duration::from_secs(20), "kubelet kills after 30 s: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_last_is_sent_before_the_end() {
    let collector = FakeCollector::start();
    let mut world = world(&collector, &[("OTEL_BSP_SCHEDULE_DELAY", "600000")], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    assert_eq!(collector.spans(), [], "too early for this test");
    world.operator.signal("-TERM");
    let code = eventually("the end", async || world.operator.exit_code().ok_or(())).await;
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert!(code == 0 && names.iter().any(|name| name == "reconcile"), "{names:?}");
}
