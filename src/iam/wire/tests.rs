use super::*;
use crate::core::endpoint::Endpoint;
use crate::core::view::Key;
use serde_json::json;

const KEY: &str = "FAKE+key/with=signs&and%more";

fn ask(account_id: Option<&str>) -> Ask {
    Ask {
        endpoint: Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap(),
        failover: vec![],
        credential: Credential::ApiKey(KEY.into()),
        profile: None,
        account_id: account_id.map(str::to_owned),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn answer(status: u16, body: &[u8]) -> Result<Grant, Failure> {
    let answer = Answer { status, retry_after: None, transaction_id: Some("t-1"), body };
    read(Request::first(&ask(None)), &answer, at(0), at(0))
}

#[test]
fn the_form_is_the_one_of_the_document() {
    let expected =
        "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=FAKE%2Bkey%2Fwith%3Dsigns%26and%25more";
    assert_eq!(Request::first(&ask(None)).form().as_slice(), expected.as_bytes());
}

#[test]
fn each_grant_has_its_form() {
    let token = SecretString::from("FAKE-token");
    let who = Key::new("payments", "hpcs");
    let account = Credential::ServiceAccount { who, token: "FAKE-jwt".into() };
    let urn = |grant: &str| format!("grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3A{grant}");
    let text = |request: Request<'_>| String::from_utf8(request.form().to_vec()).unwrap();
    for (profile, expected) in [
        (Profile::Id("Profile-1".into()), "profile_id=Profile-1"),
        (Profile::Name("a b".into()), "profile_name=a+b"),
        (Profile::Crn("crn:v1".into()), "profile_crn=crn%3Av1"),
    ] {
        let named = matches!(profile, Profile::Name(_));
        let key = Ask { profile: Some(profile), ..ask(Some("0123")) };
        let first = Request::first(&key);
        assert_eq!(text(first), text(Request::first(&ask(None))), "the key alone");
        let next = first.next(&token).unwrap();
        let tail = if named { "&account=0123" } else { "" };
        assert_eq!(text(next), format!("{}&access_token=FAKE-token&{expected}{tail}", urn("assume")));
        assert_eq!((first.tenant(), next.tenant(), next.next(&token).is_some()), (None, None, false));
        let key = Ask { credential: account.clone(), ..key };
        let first = Request::first(&key);
        assert_eq!(text(first), format!("{}&cr_token=FAKE-jwt&{expected}", urn("cr-token")));
        assert_eq!((first.tenant(), first.next(&token).is_some()), (Some("0123"), false));
    }
    assert_eq!(Request::first(&ask(Some("0123"))).tenant(), Some("0123"));
}

#[test]
fn a_refusal_is_laid_to_what_was_asked() {
    let token = SecretString::from("FAKE-token-of-the-key");
    let profile = Ask { profile: Some(Profile::Id("p".into())), ..ask(Some("0123")) };
    let who = Key::new("n", "s");
    let account = Credential::ServiceAccount { who, token: "FAKE-jwt".into() };
    let account = Ask { credential: account, ..profile.clone() };
    let plain = ask(Some("0123"));
    let [key, sa] = [&plain, &account].map(Request::first);
    let assume = Request::first(&profile).next(&token).unwrap();
    for (request, code, expected) in [
        (key, "BXNIM9999E", Kind::Rejected(Verdict::Other)),
        (sa, "BXNIM0401E", Kind::Rejected(Verdict::ServiceAccount)),
        (assume, "BXNIM0401E", Kind::Rejected(Verdict::Profile)),
        (sa, "BXNIM0398E", Kind::Rejected(Verdict::ProfileNotEligible)),
        (assume, "BXNIM0398E", Kind::Rejected(Verdict::ProfileNotEligible)),
        (key, "BXNIM0141E", Kind::OtherAccount),
        (Request::first(&profile), "BXNIM0141E", Kind::Rejected(Verdict::UserGone)),
    ] {
        let body = json!({"errorCode": code, "context": {"requestId": "FAKE-token-of-the-key"}}).to_string();
        let answer = Answer { status: 400, retry_after: None, transaction_id: None, body: body.as_bytes() };
        let failure = read(request, &answer, at(0), at(0)).unwrap_err();
        assert_eq!(failure.kind, expected, "{code}");
        assert!(request.assuming.is_none() || failure.request_id.is_none(), "it echoes the token");
    }
}

#[test]
fn the_account_of_a_key_that_becomes_a_profile_is_not_checked() {
    let profile = Ask { profile: Some(Profile::Id("p".into())), ..ask(Some("0123")) };
    let body = json!({"access_token": "opaque", "expires_in": 3600}).to_string();
    let answer = Answer { status: 200, retry_after: None, transaction_id: None, body: body.as_bytes() };
    let first = Request::first(&profile);
    let grant = read(first, &answer, at(0), at(0)).unwrap();
    let next = first.next(&grant.token).unwrap();
    assert_eq!(read(next, &answer, at(0), at(0)).unwrap_err().kind, Kind::Unusable(Flaw::NoAccount));
}

#[test]
fn a_token_is_read() {
    let body = json!({"access_token": "abc", "refresh_token": "not_supported", "token_type": "Bearer",
        "expires_in": 3600, "expiration": 1_800_003_700_i64, "scope": "ibm openid"});
    let grant = answer(200, body.to_string().as_bytes()).unwrap();
    assert_eq!(grant.token.expose_secret(), "abc");
    assert_eq!((grant.life.expires_at(), grant.skew), (at(3600), 100));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = json!({"access_token": "abc", "expires_in": 3600});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let table = [
        ("<html>".to_owned(), Flaw::NotJson),
        ("{\"access_token\":\"a".to_owned(), Flaw::NotJson),
        ("[\"abc\",\"Bearer\",3600,1]".to_owned(), Flaw::NotJson),
        (json!({"expires_in": 3600}).to_string(), Flaw::NoToken),
        (with("access_token", json!("")), Flaw::NoToken),
        (with("access_token", json!("a\nb")), Flaw::NotHeaderSafe),
        (with("access_token", json!("a b")), Flaw::NotHeaderSafe),
        (with("access_token", json!("\u{e9}")), Flaw::NotHeaderSafe),
        (with("token_type", json!("mac")), Flaw::NotBearer),
        (json!({"access_token": "abc"}).to_string(), Flaw::Lifetime),
        (with("expires_in", json!(0)), Flaw::Lifetime),
        (with("expires_in", json!(-1)), Flaw::Lifetime),
        (with("expires_in", json!("3600")), Flaw::Lifetime),
        (with("expires_in", json!(1e12)), Flaw::Lifetime),
        (with("expires_in", json!(86_401)), Flaw::Lifetime),
    ];
    for (body, flaw) in table {
        let failure = answer(200, body.as_bytes()).unwrap_err();
        assert_eq!(failure.kind, Kind::Unusable(flaw), "{body}");
    }
}

#[test]
fn a_refusal_shows_code_and_id_and_nothing_that_echoes_the_key() {
    let body =
        json!({"errorCode": "BXNIM0415E", "errorMessage": KEY, "errorDetails": KEY, "context": {"requestId": "r-1"}});
    let failure = answer(400, body.to_string().as_bytes()).unwrap_err();
    assert_eq!(failure.kind, Kind::Rejected(Verdict::NotFound));
    assert_eq!(failure.request_id.as_deref(), Some("r-1"));
    assert!(!failure.to_string().contains(KEY) && failure.to_string().contains("BXNIM0415E"), "{failure}");
    let body = json!({"errorCode": KEY, "context": {"requestId": "with=signs"}});
    let failure = answer(401, body.to_string().as_bytes()).unwrap_err();
    assert_eq!((failure.code, failure.request_id.as_deref()), (None, Some("t-1")));
}

#[test]
fn what_holds_a_part_of_a_secret_is_no_id() {
    let secret = "FAKE-key_0123456789";
    for text in [secret, "FAKE-key", "id-AKE-key_0123456789", "FAKE-key_012345678-id", "x-0123456789"] {
        assert!(is_echo(text, secret), "{text}");
    }
    for text in ["FAKE-ke", "BXNIM0415E", "0123456-FAKE-ke"] {
        assert!(!is_echo(text, secret), "{text}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(delay(" 7 ", at(0)), Some(Duration::from_secs(7)));
    assert_eq!(delay("Fri, 15 Jan 2027 08:00:30 GMT", at(0)), Some(Duration::from_secs(30)));
    assert_eq!(delay("Fri, 15 Jan 2027 07:00:00 GMT", at(0)), Some(Duration::ZERO));
    for bad in ["", "soon", "-5", "7.5"] {
        assert_eq!(delay(bad, at(0)), None, "{bad}");
    }
}

#[test]
fn a_plain_text_429_is_throttling() {
    let body = b"ApiKey based rate limit for calls to /token";
    assert_eq!(answer(429, body).unwrap_err().kind, Kind::Throttled(None));
}

#[test]
fn the_account_is_checked() {
    let body = json!({"access_token": "opaque", "expires_in": 3600}).to_string();
    let answer = Answer { status: 200, retry_after: None, transaction_id: None, body: body.as_bytes() };
    let failure = read(Request::first(&ask(Some("0123"))), &answer, at(0), at(0)).unwrap_err();
    assert_eq!(failure.kind, Kind::Unusable(Flaw::NoAccount));
}
