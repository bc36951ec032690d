//! What IAM echoes, and what it gives beyond the access token, is shown nowhere, at any log level.

use iam_token_operator::api::REFRESH_REQUESTED;
use serde_json::json;
use testkit::fake_iam::{FakeIam, Fault, Times};

use crate::harness::World;
use crate::history::History;
use crate::scene::{Trap, check_target};

const REFRESH_TOKEN: &str = "FAKE-refresh-token-0123456789";

/// Everything that could carry the key back.
fn echoes(key: &str, elsewhere: &str) -> Vec<(&'static str, Fault)> {
    let raw = |status, body: String| Fault::Raw {
        status,
        headers: vec![("Content-Type".into(), "application/json".into()), ("X-Echo".into(), key.into())],
        body,
    };
    let error = json!({"errorCode": key, "errorMessage": key, "errorDetails": key, "context": {"requestId": key}});
    let later = Fault::Raw { status: 429, headers: vec![("Retry-After".into(), key.into())], body: key.into() };
    vec![
        ("details", Fault::error("BXNIM0415E")),
        ("fields-400", raw(400, error.to_string())),
        ("fields-500", raw(500, error.to_string())),
        ("page-200", raw(200, format!("<html>{key}"))),
        ("type-200", raw(200, json!({"access_token": "a", "expires_in": 60, "token_type": key}).to_string())),
        ("lasts-200", raw(200, json!({"access_token": "a", "expires_in": key}).to_string())),
        ("number-200", raw(200, json!({"access_token": [key], "expires_in": 60}).to_string())),
        ("line-200", raw(200, json!({"access_token": format!("{key}\n"), "expires_in": 60}).to_string())),
        ("redirect", Fault::redirect(302, &format!("{elsewhere}/?apikey={key}"))),
        ("retry-after", later),
    ]
}

#[tokio::test]
async fn no_echo_of_the_key_is_shown_even_at_trace() {
    let (world, trap) = (World::start_with(FakeIam::start(), "trace").await, Trap::set());
    let history = History::of(&world).await;
    let mut secrets = vec![];
    for (name, _) in echoes("", "") {
        let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
        let (_, fault) = echoes(&key, &trap.url()).into_iter().find(|(other, _)| *other == name).unwrap();
        world.iam.fault(&key, fault, Times::Count(1));
        world.put_pair(name).await;
        secrets.push(key);
    }
    for (name, _) in echoes("", "") {
        history
            .first(name, 0, "failed", |seen| seen.trouble().is_some_and(|it| it.reason != "Refreshing"))
            .await
            .unwrap();
        world.annotate(name, REFRESH_REQUESTED, "again").await;
    }
    for (name, _) in echoes("", "") {
        let data = world.ready(name).await;
        check_target(&world, &data).unwrap();
        secrets.push(data["token"].as_str().unwrap().to_owned());
    }
    trap.assert_untouched();
    assert!(world.operator.log().contains("TRACE"), "this was to be at trace");
    world.assert_hidden(&secrets).await;
}

#[tokio::test]
async fn the_refresh_token_is_dropped() {
    let world = World::start_with(FakeIam::start(), "trace").await;
    world.iam.fault_any(Fault::field("refresh_token", REFRESH_TOKEN), Times::Forever);
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    check_target(&world, &data).unwrap();
    let secret = serde_json::to_string(&world.secrets().get("hpcs").await.unwrap()).unwrap();
    assert!(!secret.contains(REFRESH_TOKEN) && !data.to_string().contains(REFRESH_TOKEN));
    world.assert_hidden(&[REFRESH_TOKEN.to_owned(), data["token"].as_str().unwrap().to_owned()]).await;
}
