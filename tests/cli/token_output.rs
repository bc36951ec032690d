//! `token`: where the key comes from and how the token is printed.

use serde_json::{Value, json};
use testkit::fake_iam::{ApiKey, DEFAULT_ACCOUNT, FakeIam};

use crate::command::{Call, call, file};

fn token(iam: &FakeIam, args: &[&str]) -> Call {
    call(&[&["token", "--endpoint", &iam.url(), "--allow-insecure-http"], args].concat())
}

/// The token behind `start`, on one line, which must be good.
fn checked(iam: &FakeIam, out: &str, start: &str) {
    let token = out.strip_prefix(start).and_then(|rest| rest.strip_suffix('\n'));
    iam.verify(token.expect("another form")).expect("a valid token");
}

#[test]
fn the_key_may_lie_in_a_file_of_any_known_form() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("file");
    let created = json!({"name": "k", "description": "", "apikey": key, "iam_id": "iam-ServiceId-1"});
    let binding = json!({"apikey": key, "iam_apikey_name": "n", "url": "https://api.example.com"});
    for content in [
        key.clone(),
        format!("  {key}\r\n"),
        format!("\u{feff}{key}\n"),
        created.to_string(),
        serde_json::to_string_pretty(&binding).unwrap(),
        format!("# made by hand\nIBMCLOUD_AUTHTYPE=iam\nIBMCLOUD_APIKEY={key}\n"),
        format!("HPCS_AUTH_TYPE=iam\nHPCS_APIKEY={key}\n"),
    ] {
        let out = token(&iam, &["--apikey-file", &file(content)]).run().succeeded();
        checked(&iam, &out, "IAM token:  Bearer ");
    }
    assert_eq!(iam.exchanges_of(&key), 7);
}

#[test]
fn the_key_may_come_from_standard_input() {
    let iam = FakeIam::start();
    let key = iam.user_key("stdin");
    for content in [format!("{key}\n"), json!({"apikey": key}).to_string()] {
        let out = token(&iam, &["--apikey-file", "-", "--output", "raw"]).input(&content).run().succeeded();
        checked(&iam, &out, "");
    }
}

#[test]
fn the_key_may_come_from_the_environment() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("environment");
    for value in [key.clone(), format!("@{}", file(&key)), format!("@{}", file(json!({"apikey": key}).to_string()))] {
        let out = token(&iam, &[]).env("IBMCLOUD_API_KEY", &value).run().succeeded();
        checked(&iam, &out, "IAM token:  Bearer ");
    }
}

#[test]
fn the_file_goes_before_the_environment() {
    let iam = FakeIam::start();
    let [wanted, other] = ["wanted", "other"].map(|name| iam.service_id_key(name));
    let call = token(&iam, &["--apikey-file", &file(&wanted)]).env("IBMCLOUD_API_KEY", &other);
    call.run().succeeded();
    assert_eq!([iam.exchanges_of(&wanted), iam.exchanges_of(&other)], [1, 0]);
}

#[test]
fn each_output_is_as_its_reader_wants_it() {
    let iam = FakeIam::start();
    let key = file(iam.service_id_key("output"));
    let print = |args: &[&str]| token(&iam, &[&["--apikey-file", &key], args].concat()).run().succeeded();
    checked(&iam, &print(&[]), "IAM token:  Bearer ");
    checked(&iam, &print(&["--output", "raw"]), "");
    checked(&iam, &print(&["-o", "header"]), "Authorization: Bearer ");
    let json: Value = serde_json::from_str(&print(&["--output", "json"])).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 1);
    checked(&iam, &format!("{}\n", json["iam_token"].as_str().unwrap()), "Bearer ");
}

#[test]
fn the_endpoint_may_be_pasted_with_its_path() {
    let iam = FakeIam::start();
    let key = file(iam.service_id_key("pasted"));
    let endpoint = format!("{}/identity/token", iam.url());
    let args = ["token", "--endpoint", &endpoint, "--allow-insecure-http", "--apikey-file", &key];
    checked(&iam, &call(&args).run().succeeded(), "IAM token:  Bearer ");
}

#[test]
fn the_account_is_checked_if_asked_for() {
    let iam = FakeIam::start();
    let key = file(iam.service_id_key("account"));
    let right = token(&iam, &["--apikey-file", &key, "--account-id", DEFAULT_ACCOUNT]);
    checked(&iam, &right.run().succeeded(), "IAM token:  Bearer ");
    let complaint = token(&iam, &["--apikey-file", &key, "--account-id", "0123"]).run().failed();
    assert!(complaint.contains("the token is of another account"), "{complaint}");
}

#[test]
fn it_is_one_call_with_the_documented_form() {
    let iam = FakeIam::start();
    iam.record_bodies(true);
    let (plain, base) = (iam.service_id_key("form"), testkit::fake_iam::fake_api_key("form-special"));
    let special = format!("{base}+/&%");
    iam.add_key(&special, ApiKey::new("special", iam.identity_of(&plain).unwrap().iam_id));
    token(&iam, &[]).env("IBMCLOUD_API_KEY", &special).run().succeeded();
    let calls = iam.calls();
    assert_eq!(calls.len(), 1);
    let body = format!("grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey={base}%2B%2F%26%25");
    assert!(calls[0].body.as_deref() == Some(body.as_bytes()), "another body");
    assert!(calls[0].user_agent.as_deref().unwrap().starts_with("iam-token-operator/"));
}
