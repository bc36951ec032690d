use std::time::{Duration, Instant};

use serde_json::json;
use testkit::fake_iam::KeyState;

use super::{plugin, tells_an_hour};
use crate::harness::World;

#[tokio::test]
async fn who_waits_returns_with_a_new_token() {
    let world = World::start().await;
    for name in ["one", "two"] {
        world.put_pair(name).await;
    }
    let before = [world.ready("one").await, world.ready("two").await];
    let out = plugin(&world, &["refresh", "one", "two", "--wait"]).run().succeeded();
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.starts_with("one: Secret one holds a new token, valid for ") && tells_an_hour(&out), "{out}");
    for (name, before) in ["one", "two"].into_iter().zip(before) {
        assert_ne!(world.data(name).await.unwrap()["token"], before["token"], "{name}");
    }
}

#[tokio::test]
async fn who_does_not_wait_has_asked_for_one() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let before = world.ready("hpcs").await;
    let out = plugin(&world, &["refresh", "--all"]).run().succeeded();
    assert!(out.contains("asked for") && out.contains("kubectl iamtoken status hpcs"), "{out}");
    world.changed("hpcs", &before).await;
}

#[tokio::test]
async fn a_key_that_is_refused_ends_the_wait_with_3_and_costs_no_token() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let before = world.ready("hpcs").await;
    world.iam.set_key_state(&key, KeyState::Disabled);
    let args = ["refresh", "hpcs", "--wait"];
    let (out, err) = plugin(&world, &args).run().ended(3);
    assert!(out.is_empty() && err.contains("BXNIM0462E") && err.contains("Put a valid key"), "{err}");
    // Again: nothing changes in the status, and it is noticed all the same.
    let (_, err) = plugin(&world, &args).run().ended(3);
    assert!(err.contains("BXNIM0462E"), "{err}");
    assert_eq!(world.data("hpcs").await.unwrap(), before);
    world.iam.set_key_state(&key, KeyState::Enabled);
    plugin(&world, &args).run().succeeded();
}

#[tokio::test]
async fn one_that_is_suspended_is_not_asked_for() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"suspend": true})).await;
    let begin = Instant::now();
    let (out, err) = plugin(&world, &["refresh", "hpcs", "--wait"]).run().ended(3);
    assert!(out.is_empty() && err.contains("suspended") && err.contains("kubectl iamtoken resume hpcs"), "{err}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(world.tokens().get("hpcs").await.unwrap().metadata.annotations, None);
}

#[tokio::test]
async fn nobody_waits_for_longer_than_they_said() {
    let mut world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.operator.kill();
    let (_, err) = plugin(&world, &["refresh", "hpcs", "--wait", "--timeout", "2s"]).run().ended(3);
    assert!(err.contains("no new token within 2 s") && err.contains("operator runs"), "{err}");
}

#[tokio::test]
async fn wrong_arguments_are_misuse_and_change_nothing() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    for args in [
        &["refresh"][..],
        &["refresh", "hpcs", "--all"],
        &["refresh", "hpcs", "--timeout", "2s"],
        &["refresh", "hpcs", "--wait", "--timeout", "soon"],
    ] {
        plugin(&world, args).run().misused();
    }
    let err = plugin(&world, &["refresh", "hpcs", "nope"]).run().complained();
    assert!(err.contains("IamToken nope does not exist"), "{err}");
    assert_eq!(world.tokens().get("hpcs").await.unwrap().metadata.annotations, None);
}
