use serde_json::{Value, json};

use super::{line, plugin};
use crate::harness::World;

#[tokio::test]
async fn a_token_that_is_well_is_told_in_words() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let out = plugin(&world, &["status", "hpcs"]).run().succeeded();
    assert!(out.starts_with(&format!("hpcs in namespace {}\n", world.namespace)), "{out}");
    for (start, expected) in [
        ("State", "Ready"),
        ("Token", "m of 60m left, until "),
        ("Credential", "API key in Secret hpcs-key, key apikey"),
        ("Identity", "(ServiceId), account "),
        ("Ready is True", "TokenValid"),
    ] {
        assert!(line(&out, start).contains(expected), "{expected}:\n{out}");
    }
    assert!(out.contains("  The target holds a valid token.\n"), "{out}");
    assert!(out.contains("Next\n  Nothing to do. It is refreshed by itself in 4"), "{out}");
    let object: Value =
        serde_json::from_str(&plugin(&world, &["status", "hpcs", "-o", "json"]).run().succeeded()).unwrap();
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("IamToken"), &json!("hpcs")));
}

#[tokio::test]
async fn one_that_is_not_ready_says_what_to_do_and_exits_with_3() {
    let world = World::start().await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}})).await;
    world.condition("hpcs", "Stalled", "SourceNotFound").await;
    let (out, err) = plugin(&world, &["status", "hpcs"]).run().ended(3);
    assert!(
        out.contains("Not ready: SourceNotFound") && out.ends_with("Next\n  Create it in this namespace.\n"),
        "{out}"
    );
    assert_eq!(err, "");
    let (out, _) = plugin(&world, &["status", "hpcs", "-o", "name"]).run().ended(3);
    assert_eq!(out, "iamtoken.iamtoken.dev/hpcs\n");
}

#[tokio::test]
async fn one_that_is_not_there_is_an_error_that_names_the_others() {
    let world = World::start().await;
    let none = plugin(&world, &["status", "hpcs"]).run().complained();
    assert!(none.contains("IamToken hpcs does not exist") && none.contains("kubectl iamtoken list -A"), "{none}");
    world.put_pair("other").await;
    let some = plugin(&world, &["status", "hpcs"]).run().complained();
    assert!(some.contains("There are: other."), "{some}");
}

#[tokio::test]
async fn an_operator_that_is_gone_shows() {
    let mut world = World::start().await;
    world.operator.kill();
    world.put_pair("hpcs").await;
    let (out, _) = plugin(&world, &["status", "hpcs"]).run().ended(3);
    assert!(line(&out, "State").contains("New") && out.contains("check that the operator runs"), "{out}");
}
