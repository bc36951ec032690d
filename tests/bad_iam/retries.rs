//! When a failed call is repeated.

use std::time::Duration;

use futures::FutureExt as _;
use iam_token_operator::api::{CONDITION_RECONCILING, REFRESH_REQUESTED};
use serde_json::json;
use testkit::fake_iam::{Call, Fault, RetryAfter, Times};
use tokio::time::sleep;

use crate::harness::{World, eventually};
use crate::scene::{Trap, gaps, side_by_side};

/// What a busy machine may add between a timer and the call.
const DOUBT: Duration = Duration::from_secs(4);

/// A pair whose key meets these faults, each once but the last, which stays.
async fn put(world: &World, name: &str, faults: &[Fault]) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    for (number, fault) in faults.iter().enumerate() {
        let times = if number + 1 == faults.len() { Times::Forever } else { Times::Count(1) };
        world.iam.fault(&key, fault.clone(), times);
    }
    world.put_pair(name).await
}

async fn calls(world: &World, key: &str, least: usize) -> Vec<Call> {
    eventually(&format!("{least} calls"), async || {
        let calls = world.iam.calls_of(key);
        if calls.len() >= least { Ok(calls) } else { Err(calls) }
    })
    .await
}

#[tokio::test]
async fn they_are_few_and_in_time() {
    let world = World::start().await;
    side_by_side([
        ("without a token", without_a_token_calls_are_few(&world).boxed_local()),
        ("Retry-After", retry_after_is_honoured_where_the_token_outlives_it(&world).boxed_local()),
        ("a long Retry-After", retry_after_is_cut_where_the_token_would_not_outlive_it(&world).boxed_local()),
        ("a near end", a_near_end_makes_the_tries_more_frequent(&world).boxed_local()),
    ])
    .await;
}

async fn without_a_token_calls_are_few(world: &World) {
    let trap = Trap::set();
    let passing = [
        ("status-500", Fault::status(500)),
        ("reset", Fault::Reset),
        ("html", Fault::Html),
        ("endless", Fault::Endless),
        ("throttled-some-time", Fault::rate_limited(RetryAfter::None)),
        ("throttled-0", Fault::rate_limited(RetryAfter::Seconds(0))),
        ("throttled-1", Fault::rate_limited(RetryAfter::Seconds(1))),
    ];
    let lasting = [
        ("not-found", Fault::error("BXNIM0415E")),
        ("locked", Fault::error("BXNIM0400E")),
        ("bare-404", Fault::status(404)),
        ("redirect", Fault::redirect(307, &trap.url())),
    ];
    let mut keys = vec![];
    for ((name, fault), most) in passing.into_iter().map(|row| (row, 6)).chain(lasting.into_iter().map(|row| (row, 1)))
    {
        keys.push((name, put(world, name, &[fault]).await, most));
    }
    sleep(Duration::from_secs(10)).await;
    let counts: Vec<_> = keys.iter().map(|(name, key, most)| (name, world.iam.calls_of(key).len(), *most)).collect();
    let right = |&(_, calls, most): &(_, usize, usize)| calls <= most && calls >= most.min(2);
    assert!(counts.iter().all(right), "name, calls, most: {counts:?}");
    trap.assert_untouched();
}

async fn retry_after_is_honoured_where_the_token_outlives_it(world: &World) {
    let later_503 = Fault::Raw { status: 503, headers: vec![("Retry-After".into(), "4".into())], body: String::new() };
    let rows = [
        ("seconds", Fault::rate_limited(RetryAfter::Seconds(4)), 4),
        ("date", Fault::rate_limited(RetryAfter::Date(5)), 4), // A date has no fractions of a second.
        ("unavailable", later_503, 4),
    ];
    let mut keys = vec![];
    for (name, fault, least) in rows {
        let key = put(world, name, &[Fault::lifetime(3600), fault, Fault::lifetime(3600)]).await;
        keys.push((name, key, Duration::from_secs(least)));
    }
    for (name, ..) in &keys {
        world.ready(name).await;
        world.annotate(name, REFRESH_REQUESTED, "first").await;
    }
    for (name, key, _) in &keys {
        calls(world, key, 2).await;
        world.annotate(name, REFRESH_REQUESTED, "impatient").await;
    }
    for (name, key, least) in &keys {
        let gaps = gaps(&calls(world, key, 3).await);
        assert!((*least..*least + DOUBT).contains(&gaps[1]), "{name}: {gaps:?}");
    }
    for (name, key, _) in &keys {
        eventually("the last request answered", async || {
            let echoed = world.status(name).await.last_handled_refresh;
            if echoed.as_deref() == Some("impatient") { Ok(()) } else { Err(echoed) }
        })
        .await;
        assert_eq!(world.iam.calls_of(key).len(), 3, "{name}");
    }
}

async fn retry_after_is_cut_where_the_token_would_not_outlive_it(world: &World) {
    let long = Fault::rate_limited(RetryAfter::Seconds(3600));
    let cold = put(world, "cold", &[long.clone(), Fault::lifetime(3600)]).await;
    let warm = put(world, "warm", &[Fault::lifetime(16), long, Fault::lifetime(3600)]).await;
    let (least, most) = (Duration::from_secs(5), Duration::from_secs(5) + DOUBT);
    for (name, key, number) in [("cold", &cold, 0), ("warm", &warm, 1)] {
        let gaps = gaps(&calls(world, key, number + 2).await);
        assert!((least..most).contains(&gaps[number]), "{name}: {gaps:?}");
        world.ready(name).await;
    }
}

async fn a_near_end_makes_the_tries_more_frequent(world: &World) {
    let key = put(world, "near-end", &[Fault::lifetime(20), Fault::status(503)]).await;
    world.condition("near-end", CONDITION_RECONCILING, "IamUnavailable").await;
    let calls = calls(world, &key, 5).await;
    let gaps = gaps(&calls);
    assert!(gaps[0] <= Duration::from_secs(10) + DOUBT, "{gaps:?}");
    assert!(gaps[1..].iter().all(|gap| *gap < Duration::from_secs(3) + DOUBT / 2), "{gaps:?}");
    assert!(gaps[1..].iter().all(|gap| *gap > Duration::from_millis(900)), "{gaps:?}");
    world.iam.clear_faults_of(&key);
    let status = world.status("near-end").await;
    let from = json!(status.refreshed_at);
    eventually("refreshed", async || {
        let status = world.status("near-end").await;
        if json!(status.refreshed_at) == from { Err(status) } else { Ok(()) }
    })
    .await;
}
