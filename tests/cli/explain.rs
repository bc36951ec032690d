//! `explain` of a token on standard input.

use serde_json::{Value, json};
use testkit::fake_iam::FakeIam;

use crate::command::call;

#[test]
fn a_token_on_standard_input_is_explained_in_each_form_that_carries_one() {
    let iam = FakeIam::start();
    let token = iam.mint(&iam.service_id_key("explain"), 3600);
    let signature = token.rsplit('.').next().unwrap();
    for input in [
        token.clone(),
        format!("Authorization: Bearer {token}\n"),
        format!("IAM token:  Bearer {token}\n"),
        json!({"iam_token": format!("Bearer {token}")}).to_string(),
    ] {
        let out = call(&["explain"]).input(&input).run().succeeded();
        assert!(out.contains("(ServiceId)") && out.contains("m of 60m"), "{out}");
        assert!(!out.contains(signature), "{out}");
    }
    let yaml = call(&["explain", "-o", "yaml"]).input(&token).run().succeeded();
    let told: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(told["claims"], iam.verify(&token).unwrap());
    assert!(told["header"]["kid"].is_string() && !yaml.contains(signature));
}

#[test]
fn an_expired_one_is_explained_too_and_the_exit_code_is_3() {
    let iam = FakeIam::start();
    let token = iam.mint(&iam.user_key("expired"), -60);
    let (out, err) = call(&["explain"]).input(&token).run().ended(3);
    assert!(out.contains("(User)") && out.contains("expired") && err.is_empty(), "{out}{err}");
    assert!(!out.contains('@'), "{out}");
}

#[test]
fn what_is_no_token_is_never_repeated() {
    for (input, expected) in [
        ("", "is empty"),
        ("FAKE-key", "is it an API key"),
        (r#"{"apikey": "FAKE-key"}"#, "JSON without access_token"),
        ("FAKE.FAKE.FAKE", "no JSON in base64url"),
    ] {
        let err = call(&["explain"]).input(input).run().failed();
        assert!(err.to_lowercase().contains(&expected.to_lowercase()) && !err.contains("FAKE"), "{err}");
    }
}

#[test]
fn a_token_in_an_argument_is_refused_without_being_repeated() {
    let token = "eyJhbGciOiJGQUtFIn0.eyJGQUtFIjoxfQ.FAKE";
    for args in [&["explain", token][..], &["explain", "Bearer", token], &["explain", "hpcs", token]] {
        let err = call(args).run().misused();
        assert!(err.contains("standard input") && !err.contains("FAKE") && !err.contains("eyJ"), "{err}");
    }
    assert!(call(&["explain", "--key", "token"]).run().misused().contains("--secret"));
}
