//! Trusted profiles: of a ServiceAccount, and of an API key.

use std::collections::HashMap;

use iam_token_operator::api::CONDITION_API_KEY_AT_RISK;
use serde_json::{Value, json};
use testkit::fake_iam::{DEFAULT_ACCOUNT, Fault, Times, claims_unverified};

use crate::harness::heap::{A_MINUTE, Memory};
use crate::harness::{World, skipped};
use crate::setup::{PROFILE, claims, of_service_account, put_profile, put_service_account, world};

const GRANT: &str = "urn:ibm:params:oauth:grant-type:";

/// The forms that IAM was sent, in order.
fn forms(world: &World) -> Vec<HashMap<String, String>> {
    let bodies = world.iam.calls().into_iter().filter_map(|call| call.body);
    bodies.map(|body| form_urlencoded::parse(&body).into_owned().collect()).collect()
}

fn names(form: &HashMap<String, String>) -> Vec<&str> {
    let mut names: Vec<_> = form.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn put_pair(world: &World, name: &str, key: &str, profile: &Value) {
    world.put_key(&format!("{name}-key"), key).await;
    let secret = json!({"name": format!("{name}-key")});
    world.put_token(name, &json!({"apiKeySecretRef": secret, "trustedProfile": profile})).await;
}

#[tokio::test]
async fn a_service_account_becomes_its_profile_without_any_api_key() {
    let world = world().await;
    world.iam.record_bodies(true);
    put_service_account(&world, "hpcs-client").await;
    put_profile(&world, &["hpcs-client"], &[]);
    let mut spec = of_service_account("hpcs-client");
    spec["accountId"] = json!(DEFAULT_ACCOUNT);
    world.put_token("hpcs", &spec).await;
    let data = world.ready("hpcs").await;
    assert_eq!(claims(&data)["iam_id"], format!("iam-{PROFILE}"));
    let identity = world.status("hpcs").await.identity.unwrap();
    assert_eq!(identity.subject_type.as_deref(), Some("Profile"));

    let (forms, calls) = (forms(&world), world.iam.calls());
    assert_eq!((forms.len(), calls[0].tenant.as_deref()), (1, Some(DEFAULT_ACCOUNT)));
    assert_eq!(names(&forms[0]), ["cr_token", "grant_type", "profile_id"]);
    assert_eq!(
        (forms[0]["grant_type"].as_str(), forms[0]["profile_id"].as_str()),
        (&*format!("{GRANT}cr-token"), PROFILE)
    );
    let sent = claims_unverified(&forms[0]["cr_token"]).unwrap();
    let subject = format!("system:serviceaccount:{}:hpcs-client", world.namespace);
    assert_eq!((&sent["sub"], &sent["aud"]), (&json!(subject), &json!(["iam"])));
    let life = sent["exp"].as_i64().unwrap() - sent["iat"].as_i64().unwrap();
    assert!((1..=3600).contains(&life), "{life} s");
    let seen = [world.operator.log(), serde_json::to_string(&world.tokens().get("hpcs").await.unwrap()).unwrap()];
    assert!(seen[0].contains("TRACE"), "this test looks at too little");
    let signature = forms[0]["cr_token"].rsplit('.').next().unwrap();
    assert!(seen.iter().all(|text| !text.contains(signature)), "the ServiceAccount's token was shown");
    assert!(world.iam.questions().is_empty(), "there is no API key to ask about");
}

#[tokio::test]
async fn it_is_refreshed_and_one_exchange_serves_all_of_one_service_account() {
    let world = world().await;
    world.iam.set_lifetime(8);
    put_service_account(&world, "client").await;
    put_profile(&world, &["client"], &[]);
    for name in ["one", "two", "three"] {
        world.put_token(name, &of_service_account("client")).await;
    }
    let mut before = world.ready("one").await;
    for _ in 0..2 {
        before = world.changed("one", &before).await;
    }
    for name in ["two", "three"] {
        let data = world.ready(name).await;
        assert!(data["expiration"].as_str() >= before["expiration"].as_str(), "{name}");
    }
    let exchanges = world.iam.exchanges();
    assert!((3..=4).contains(&exchanges), "{exchanges} exchanges for three tokens of three lives");
}

#[tokio::test]
async fn the_token_of_an_api_key_becomes_a_profile() {
    let world = world().await;
    world.iam.record_bodies(true);
    let key = world.iam.service_id_key("assumes");
    world.iam.let_read_own_key(&key, true);
    world.iam.set_key_expiry(&key, Some(1));
    put_profile(&world, &[], &[&key]);
    put_pair(&world, "hpcs", &key, &json!({"id": PROFILE})).await;
    let data = world.ready("hpcs").await;
    world.condition("hpcs", CONDITION_API_KEY_AT_RISK, "ApiKeyExpired").await;
    let asked: Vec<_> = world.iam.questions().iter().map(|question| question.status).collect();
    assert_eq!(asked, [Some(200)], "with the token of the key's own identity: the profile may not read the key");
    assert_eq!(
        (&claims(&data)["sub_type"], &claims(&data)["grant_type"]),
        (&json!("Profile"), &json!(format!("{GRANT}assume")))
    );
    let forms = forms(&world);
    assert_eq!(forms.len(), 2);
    assert_eq!(names(&forms[0]), ["apikey", "grant_type"]);
    assert_eq!(names(&forms[1]), ["access_token", "grant_type", "profile_id"]);
    let signature = forms[1]["access_token"].rsplit('.').next().unwrap();
    assert!(!world.operator.log().contains(signature), "the key's own token was logged");
}

#[tokio::test]
async fn both_exchanges_are_shared_and_tried_again_as_one() {
    let world = world().await;
    let key = world.iam.service_id_key("shared");
    put_profile(&world, &[], &[&key]);
    let who = world.iam.identity_of(&key).unwrap().iam_id;
    world.iam.fault(&who, Fault::status(503), Times::Count(1));
    for name in ["one", "two"] {
        put_pair(&world, name, &key, &json!({"name": "payments"})).await;
        world.change_spec(name, &json!({"accountId": DEFAULT_ACCOUNT})).await;
    }
    for name in ["one", "two"] {
        world.ready(name).await;
    }
    let grants: Vec<_> = world.iam.calls().into_iter().filter_map(|call| call.grant).collect();
    let pair = ["apikey", "assume"].map(|grant| format!("{GRANT}{grant}"));
    assert_eq!(grants, [pair.clone(), pair].concat(), "the first pair failed, the second served both");
}

#[tokio::test]
async fn another_profile_is_another_token() {
    let world = world().await;
    let key = world.iam.service_id_key("two-profiles");
    put_profile(&world, &[], &[&key]);
    put_pair(&world, "hpcs", &key, &Value::Null).await;
    let own = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"trustedProfile": {"id": PROFILE}})).await;
    let profile = world.changed("hpcs", &own).await;
    world.change_spec("hpcs", &json!({"trustedProfile": null})).await;
    let again = world.changed("hpcs", &profile).await;
    let who = [&own, &profile, &again].map(|data| claims(data)["sub_type"].clone());
    assert_eq!(who, ["ServiceId", "Profile", "ServiceId"]);
}

#[tokio::test]
async fn a_service_accounts_token_is_not_in_memory_a_minute_after() {
    let world = world().await;
    let process = world.operator.pid();
    if let Err(error) = Memory::of(process) {
        return skipped(&format!("a look into the operator's memory: {error}"));
    }
    world.iam.record_bodies(true);
    put_service_account(&world, "hpcs-client").await;
    put_profile(&world, &["hpcs-client"], &[]);
    world.put_token("hpcs", &of_service_account("hpcs-client")).await;
    let data = world.ready("hpcs").await;
    let secrets = [forms(&world)[0]["cr_token"].clone(), data["token"].as_str().unwrap().to_owned()];
    assert!(!Memory::of(process).unwrap().places(&secrets[1]).is_empty(), "the test is blind");
    tokio::time::sleep(A_MINUTE).await;
    let memory = Memory::of(process).unwrap();
    assert_eq!(secrets.map(|secret| memory.places(&secret)), [const { Vec::<String>::new() }; 2]);
}
