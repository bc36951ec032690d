use serde_json::{Value, json};
use testkit::fake_iam::KeyState;

use super::plugin;
use crate::harness::{World, eventually};

#[tokio::test]
async fn what_happened_is_told_with_the_newest_last() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.iam.set_key_state(&key, KeyState::Disabled);
    plugin(&world, &["refresh", "hpcs", "--wait"]).run().ended(3);
    let out = eventually("two events", async || {
        let out = plugin(&world, &["events", "hpcs"]).run().succeeded();
        if out.contains("CredentialRejected") { Ok(out) } else { Err(out) }
    })
    .await;
    let (first, second) = (out.find("TokenValid").unwrap(), out.find("CredentialRejected").unwrap());
    assert!(
        first < second && out.contains("    The target holds a valid token.\n") && out.contains("s ago: "),
        "{out}"
    );
    let list: Value =
        serde_json::from_str(&plugin(&world, &["events", "hpcs", "-o", "json"]).run().succeeded()).unwrap();
    assert_eq!(list["items"][0]["involvedObject"]["name"], json!("hpcs"));
}

#[tokio::test]
async fn none_is_no_error_and_a_wrong_name_is_one() {
    let mut world = World::start().await;
    world.operator.kill();
    world.put_pair("hpcs").await;
    let (out, err) = plugin(&world, &["events", "hpcs"]).run().ended(0);
    assert!(out.is_empty() && err.contains("no events"), "{err}");
    assert!(plugin(&world, &["events", "nope"]).run().complained().contains("There are: hpcs."));
}
