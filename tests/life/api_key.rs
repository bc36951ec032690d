//! An API key that is about to expire, or is disabled, is told before it becomes an outage; that IAM tells nothing of a
//! key harms nobody.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use iam_token_operator::api::{CONDITION_API_KEY_AT_RISK, CONDITION_READY, REFRESH_REQUESTED};
use serde_json::json;
use testkit::fake_iam::{FakeIam, Fault, Times, key_id};
use tokio::time::sleep;

use crate::harness::{World, condition, eventually};

const DAY: i64 = 86_400;

/// Seconds since 1970, so many days from now.
fn in_days(days: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + days * DAY
}

/// A key that its identity may read and that expires then, in a Secret `name-key`, and an IamToken `name` for it.
async fn put(world: &World, name: &str, expires_at: Option<i64>) -> String {
    put_that(world, name, |iam, key| iam.set_key_expiry(key, expires_at)).await
}

/// A key that its identity may read and that is prepared so.
async fn put_that(world: &World, name: &str, prepare: impl FnOnce(&FakeIam, &str)) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    world.iam.let_read_own_key(&key, true);
    prepare(&world.iam, &key);
    world.put_key(&format!("{name}-key"), &key).await;
    world.put_token(name, &json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).await;
    key
}

async fn until_not_at_risk(world: &World, name: &str) {
    eventually(&format!("{name} not at risk"), async || {
        let status = world.status(name).await;
        if condition(&status, CONDITION_API_KEY_AT_RISK).is_none() { Ok(()) } else { Err(status) }
    })
    .await;
}

/// Reason and note of the warnings about this IamToken's key.
async fn warnings(world: &World, name: &str) -> Vec<(String, String)> {
    let events = world.events().await.into_iter();
    let of_key = events.filter(|event| event.reason.as_ref().is_some_and(|reason| reason.starts_with("ApiKey")));
    let of_it = of_key.filter(|event| event.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(name)));
    of_it
        .map(|event| {
            assert_eq!(event.type_.as_deref(), Some("Warning"));
            (event.reason.unwrap_or_default(), event.note.unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn a_key_that_expires_soon_is_told_and_the_next_one_is_not() {
    let world = World::start().await;
    let told = in_days(3);
    let key = put(&world, "hpcs", Some(told)).await;
    let risk = world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    assert_eq!((risk.status.as_str(), risk.observed_generation), ("True", Some(1)));
    let status = world.status("hpcs").await;
    let expires_at = status.api_key_expires_at.as_ref().unwrap().0;
    assert_eq!(expires_at.as_second(), told / 60 * 60);
    for text in ["key apikey of Secret hpcs-key", &expires_at.to_string(), "create a new one"] {
        assert!(risk.message.contains(text), "{}", risk.message);
    }
    assert_eq!(condition(&status, CONDITION_READY).unwrap().reason, "TokenValid");
    assert_eq!(status.conditions.len(), 2);
    assert_eq!(world.iam.calls_of(&key).len(), 1, "a question is no exchange");
    let note = eventually("an event", async || warnings(&world, "hpcs").await.pop().ok_or(())).await;
    assert_eq!(note, ("ApiKeyExpiring".to_owned(), risk.message));

    let next = world.iam.service_id_key(&format!("{}-next", world.namespace));
    world.iam.let_read_own_key(&next, true);
    world.put_key("hpcs-key", &next).await;
    until_not_at_risk(&world, "hpcs").await;
    assert_eq!(world.status("hpcs").await.api_key_expires_at, None);
    assert_eq!((world.iam.questions_of(&key).len(), world.iam.questions_of(&next).len()), (1, 1));
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_apart() {
    let world = World::start().await;
    let locked = put_that(&world, "locked", |iam, key| iam.set_key_locked(key, true)).await;
    put_that(&world, "disabled", |iam, key| iam.say_key_is_disabled(key, true)).await;
    put(&world, "expired", Some(in_days(-1))).await;
    let told = in_days(90);
    put(&world, "far", Some(told)).await;
    world.condition("expired", CONDITION_API_KEY_AT_RISK, "ApiKeyExpired").await;
    world.condition("disabled", CONDITION_API_KEY_AT_RISK, "ApiKeyDisabled").await;
    let far = eventually("a date", async || world.status("far").await.api_key_expires_at.ok_or(())).await;
    assert_eq!(far.0.as_second(), told / 60 * 60);
    eventually("a question", async || if world.iam.questions_of(&locked).is_empty() { Err(()) } else { Ok(()) }).await;
    sleep(Duration::from_secs(1)).await;
    for name in ["locked", "far"] {
        let status = world.status(name).await;
        assert_eq!(status.conditions.len(), 1, "{name}: {status:#?}");
    }
    for name in ["expired", "disabled"] {
        assert_eq!(condition(&world.status(name).await, CONDITION_READY).unwrap().reason, "TokenValid", "{name}");
    }
}

#[tokio::test]
async fn two_of_one_key_are_told_of_one_answer() {
    let world = World::start().await;
    let key = put(&world, "one", Some(in_days(1))).await;
    world.put_token("two", &json!({"apiKeySecretRef": {"name": "one-key"}})).await;
    for name in ["one", "two"] {
        world.condition(name, CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    }
    assert_eq!((world.iam.questions_of(&key).len(), world.iam.exchanges_of(&key)), (1, 1));
}

#[tokio::test]
async fn the_question_is_as_documented() {
    let world = World::start().await;
    let key = put(&world, "hpcs", Some(in_days(1))).await;
    world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    let question = world.iam.questions().remove(0);
    let mut headers = question.headers.clone();
    headers.sort();
    assert_eq!(headers, ["accept", "authorization", "host", "iam-apikey", "user-agent"]);
    assert_eq!(question.key_id, Some(key_id(&key)));
    assert_eq!((question.status, question.accept.as_deref()), (Some(200), Some("application/json")));
    assert!(question.user_agent.unwrap().starts_with("iam-token-operator/") && question.query.is_none());
}

/// Everything that IAM, or who stands in its place, may answer, and what must not be believed.
fn no_answers(elsewhere: &str) -> Vec<(&'static str, Option<Fault>)> {
    let raw = |body: &str| Some(Fault::Raw { status: 200, headers: vec![], body: body.into() });
    vec![
        ("forbidden", None),
        ("status-401", Some(Fault::status(401))),
        ("status-404", Some(Fault::status(404))),
        ("status-429", Some(Fault::status(429))),
        ("status-500", Some(Fault::status(500))),
        ("redirect", Some(Fault::redirect(307, &format!("{elsewhere}/v1/apikeys/details")))),
        ("html", Some(Fault::Html)),
        ("truncated", Some(Fault::Truncated)),
        ("large", Some(Fault::large())),
        ("endless", Some(Fault::Endless)),
        ("reset", Some(Fault::Reset)),
        ("list", raw(r#"[true, true, "2020-01-01T00:00+0000"]"#)),
        ("odd", raw(r#"{"locked": 1, "disabled": true, "expires_at": "2020-01-01T00:00+0000"}"#)),
        ("hang", Some(Fault::Hang)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_harms_no_exchange() {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}", trap.local_addr().unwrap());
    let world = World::start().await;
    let mut keys = vec![];
    for (name, fault) in no_answers(&elsewhere) {
        let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
        if let Some(fault) = fault {
            world.iam.let_read_own_key(&key, true);
            world.iam.fault_question(&key, fault, Times::Forever);
        }
        world.put_key(&format!("{name}-key"), &key).await;
        world.put_token(name, &json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).await;
        keys.push((name, key));
    }
    join_all(keys.iter().map(|(name, _)| world.ready(name))).await;
    // The others have been answered by then; the last one put still hangs, if this is no slow machine.
    sleep(Duration::from_millis(500)).await;
    join_all(keys.iter().map(async |(name, _)| {
        let before = world.data(name).await.unwrap();
        world.annotate(name, REFRESH_REQUESTED, "1").await;
        world.changed(name, &before).await;
    }))
    .await;
    sleep(Duration::from_secs(6)).await;
    for (name, key) in &keys {
        let status = world.status(name).await;
        assert_eq!(status.conditions.len(), 1, "{name}: {status:#?}");
        assert_eq!(condition(&status, CONDITION_READY).unwrap().reason, "TokenValid", "{name}");
        assert_eq!(status.api_key_expires_at, None, "{name}");
        let calls = world.iam.calls_of(key);
        assert!(calls.len() == 2 && calls.iter().all(|call| call.issued), "{name}: {calls:?}");
        let questions = world.iam.questions_of(key).len();
        assert!(questions == 1 || (questions == 2 && *name == "hang"), "{name}: {questions}");
    }
    assert!(trap.accept().is_err(), "the key went to where a redirect leads");
    assert!(!world.operator.log().contains("WARN"), "that IAM does not tell is worth no warning");
}

#[tokio::test]
async fn a_restart_neither_forgets_nor_repeats_it() {
    let mut world = World::start().await;
    let key = put(&world, "hpcs", Some(in_days(3))).await;
    world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    eventually("an event", async || warnings(&world, "hpcs").await.pop().ok_or(())).await;
    let before = world.tokens().get("hpcs").await.unwrap();
    world.restart(&[]).await;
    assert_eq!(world.tokens().get("hpcs").await.unwrap().metadata.resource_version, before.metadata.resource_version);
    assert_eq!((world.iam.questions_of(&key).len(), warnings(&world, "hpcs").await.len()), (1, 1));

    // The next exchange asks anew, and is answered otherwise.
    world.iam.set_key_expiry(&key, Some(in_days(90)));
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    until_not_at_risk(&world, "hpcs").await;
    assert_eq!(world.iam.questions_of(&key).len(), 2);
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_is_asked_and_nothing_is_said_any_longer() {
    let mut world = World::start().await;
    let key = put(&world, "hpcs", Some(in_days(3))).await;
    world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    world.restart(&["--key-health=false"]).await;
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    until_not_at_risk(&world, "hpcs").await;
    assert_eq!((world.iam.questions_of(&key).len(), world.iam.exchanges_of(&key)), (1, 2));
}

#[tokio::test]
async fn neither_question_nor_answer_is_shown() {
    let world = World::start_with(FakeIam::start(), "trace").await;
    let key = put(&world, "hpcs", Some(in_days(1))).await;
    let echo = world.iam.service_id_key(&format!("{}-echo", world.namespace));
    let body = json!({"locked": echo, "disabled": echo, "expires_at": echo, "errors": [{"code": echo}]}).to_string();
    let headers = vec![("Location".into(), echo.clone()), ("X-Echo".into(), echo.clone())];
    world.iam.fault_question(&echo, Fault::Raw { status: 400, headers, body }, Times::Forever);
    world.put_key("echo-key", &echo).await;
    world.put_token("echo", &json!({"apiKeySecretRef": {"name": "echo-key"}})).await;
    let tokens = [world.ready("hpcs").await, world.ready("echo").await].map(|data| data["token"].to_string());
    world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    eventually("both answers in the log", async || {
        let log = world.operator.log();
        let both = ["was asked about an API key", "tells nothing of an API key"].iter().all(|text| log.contains(text));
        if both && log.contains("TRACE") { Ok(()) } else { Err(()) }
    })
    .await;
    let tokens = tokens.map(|token| token.trim_matches('"').to_owned());
    world.assert_hidden(&[&[key, echo][..], &tokens].concat()).await;
}
