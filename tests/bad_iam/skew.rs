//! IAM's clock is not ours.

use std::time::SystemTime;

use futures::FutureExt as _;
use serde_json::Value;

use crate::harness::World;
use crate::history::{History, Seen};
use crate::scene::side_by_side;

const LIFETIME: u64 = 6;

#[tokio::test]
async fn it_is_mentioned_and_does_no_harm() {
    side_by_side([
        ("ahead", lives_with(120, " s ahead of the operator's").boxed_local()),
        ("behind", lives_with(-120, " s behind the operator's").boxed_local()),
    ])
    .await;
}

async fn lives_with(offset: i64, says: &str) {
    let world = World::start().await;
    let history = History::of(&world).await;
    world.iam.set_clock_offset(offset);
    world.iam.set_lifetime(LIFETIME);
    let key = world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    for number in 1..=3 {
        let asked = world.iam.calls_of(&key)[number - 1].at;
        check_expiration(&data, asked);
        world.iam.verify(data["token"].as_str().unwrap()).expect("valid by IAM's clock");
        if number < 3 {
            data = world.changed("hpcs", &data).await;
        }
    }
    let all = history.all("hpcs");
    let lived = all.iter().skip_while(|seen| !seen.is_ready());
    assert!(lived.clone().count() >= 2 && lived.clone().all(Seen::is_ready), "{all:#?}");
    for seen in lived {
        let message = &seen.ready().unwrap().message;
        assert!(message.contains(says) && message.contains("check the nodes' time"), "{message}");
    }
    let calls = world.iam.calls_of(&key).len();
    assert!(calls <= 6, "{calls} calls");
}

/// By the operator's clock, whatever IAM says.
fn check_expiration(data: &Value, asked: SystemTime) {
    let asked = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let end: u64 = data["expiration"].as_str().unwrap().parse().unwrap();
    assert!(end <= asked + LIFETIME && end + 2 >= asked + LIFETIME, "asked at {asked}, expires at {end}");
}
