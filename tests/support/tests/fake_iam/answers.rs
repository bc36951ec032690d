//! The right answer and its token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::fake_iam::{
    ApiKey, DEFAULT_ACCOUNT, FakeIam, Fault, Identity, TokenError, claims_unverified, fake_api_key,
};
use testkit::fake_kms::FakeKms;

use crate::http::{FORM, epoch, exchange, form_of, send};

#[test]
fn a_service_id_key_gets_the_documented_answer() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("payments");
    let reply = exchange(&iam, &key);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    let mut names: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expiration", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(body["refresh_token"], "not_supported");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "ibm openid");
    assert_eq!(body["expires_in"], 3600);
    let expiration = body["expiration"].as_i64().expect("a number");
    assert!((epoch() + 3595..=epoch() + 3600).contains(&expiration));

    let claims = iam.verify(&reply.token()).expect("a good token");
    let identity = iam.identity_of(&key).expect("known");
    let service_id = identity.iam_id.trim_start_matches("iam-");
    assert_eq!(claims["iam_id"], identity.iam_id);
    assert_eq!(claims["id"], identity.iam_id);
    assert_eq!(claims["realmid"], "iam");
    assert_eq!(claims["identifier"], service_id);
    assert_eq!(claims["sub"], service_id);
    assert_eq!(claims["sub_type"], "ServiceId");
    assert_eq!(claims["name"], "payments");
    assert_eq!(claims["authn"]["iam_id"], identity.iam_id);
    assert_eq!(claims["account"], json!({"valid": true, "bss": DEFAULT_ACCOUNT, "frozen": false}));
    assert_eq!(claims["exp"], expiration);
    assert_eq!(claims["iat"], expiration - 3600);
    assert_eq!(claims["iss"], iam.issuer());
    assert_eq!(claims["grant_type"], "urn:ibm:params:oauth:grant-type:apikey");
    assert_eq!(claims["client_id"], "default");
    assert_eq!(claims["amr"], json!(["pwd"]));
    let other = claims_unverified(&exchange(&iam, &key).token()).expect("claims");
    assert_ne!(claims["jti"], other["jti"]);
}

#[test]
fn a_user_key_gives_a_users_token() {
    let iam = FakeIam::start();
    let key = iam.user_key("ada");
    let reply = send(iam.address(), "POST /oidc/token", FORM, &form_of(&key));
    let claims = iam.verify(&reply.token()).expect("a good token");
    assert!(reply.json()["ims_user_id"].is_u64());
    assert!(claims["iam_id"].as_str().is_some_and(|id| id.starts_with("IBMid-")));
    assert_eq!(claims["realmid"], "IBMid");
    assert_eq!(claims["sub"], "ada@example.com");
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["name"], "ada Example");
}

#[test]
fn the_published_key_verifies_tokens() {
    let iam = FakeIam::start();
    let token = exchange(&iam, &iam.service_id_key("a")).token();
    let discovery = send(iam.address(), "GET /identity/.well-known/openid-configuration", "", "").json();
    assert_eq!(discovery["issuer"], iam.issuer());
    let path = discovery["jwks_uri"].as_str().and_then(|uri| uri.strip_prefix(&iam.url())).expect("its own").to_owned();
    let keys = send(iam.address(), &format!("GET {path}"), "", "").json();
    let key = &keys["keys"][0];
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let parts: Vec<_> = token.split('.').collect();
    let header: Value = serde_json::from_slice(&part(parts[0])).expect("a header");
    assert_eq!(header, json!({"kid": key["kid"], "alg": "RS256"}));
    let n = part(key["n"].as_str().expect("a modulus"));
    let e = part(key["e"].as_str().expect("an exponent"));
    ring::signature::RsaPublicKeyComponents { n: &n, e: &e }
        .verify(
            &ring::signature::RSA_PKCS1_2048_8192_SHA256,
            format!("{}.{}", parts[0], parts[1]).as_bytes(),
            &part(parts[2]),
        )
        .expect("the signature is good");
}

#[test]
fn lifetime_and_clock_can_be_set() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    iam.set_lifetime(900);
    assert_eq!(exchange(&iam, &key).json()["expires_in"], 900);
    iam.set_key_lifetime(&key, Some(60));
    iam.set_clock_offset(-7200);
    let body = exchange(&iam, &key).json();
    assert_eq!(body["expires_in"], 60);
    assert!(body["expiration"].as_i64().is_some_and(|at| (at - epoch() + 7140).abs() < 5));
    let token = body["access_token"].as_str().expect("a token");
    assert!(iam.verify(token).is_ok());
    iam.set_clock_offset(0);
    assert_eq!(iam.verify(token), Err(TokenError::Expired));
    assert_eq!(iam.verify(&iam.mint(&key, -1)), Err(TokenError::Expired));
    assert!(iam.verify(&iam.mint(&key, 5)).is_ok());
}

#[test]
fn keys_look_real_and_are_never_shown() {
    let key = fake_api_key("seed");
    assert_eq!((key.len(), &key[..5]), (44, "FAKE-"));
    assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    assert_eq!(key, fake_api_key("seed"));
    assert_ne!(key, fake_api_key("other"));

    let iam = FakeIam::start();
    iam.add_identity(Identity::service_id("a", "c".repeat(32).as_str()));
    iam.add_key(&key, ApiKey::new("a", Identity::service_id("a", "").iam_id));
    iam.record_bodies(true);
    let token = exchange(&iam, &key).token();
    let calls = iam.calls();
    assert_eq!(calls[0].body.as_deref(), Some(form_of(&key).as_bytes()));
    let fault = Fault::field("access_token", token.as_str());
    let shown = format!("{iam:?} {calls:?} {fault:?} {:?} {:?}", iam.signing_key(), FakeKms::start(&iam));
    assert!(!shown.contains(&key) && !shown.contains(&token), "{shown}");
}
