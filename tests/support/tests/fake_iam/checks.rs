//! What is refused, and how.

use std::net::TcpStream;

use testkit::fake_iam::{DEFAULT_ACCOUNT, FakeIam, KeyState, Standing, fake_api_key};

use crate::http::{FORM, GRANT, exchange, form_of, send, talk};

#[test]
fn requests_are_checked_strictly() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let good = form_of(&key);
    let json = FORM.replace("x-www-form-urlencoded", "json");
    let html = FORM.replace("Accept: application/json", "Accept: text/html, application/json;q=0");
    let any = FORM.replace("Accept: application/json", "Accept: text/html, */*;q=0.1");
    let charset = FORM.replace("urlencoded", "urlencoded; charset=utf-8");
    let unknown = good.replace("apikey&", "psychic&");
    let spaced = good.replace(&key, &format!("{key}+"));
    let cases: &[(&str, &str, &str, u16, &str)] = &[
        ("GET", FORM, &good, 405, "BXNIM0060E"),
        ("PUT", FORM, &good, 405, "BXNIM0060E"),
        ("POST", &json, r#"{"grant_type":"x","apikey":"y"}"#, 400, "BXNIM0109E"),
        ("POST", "Accept: */*\r\n", &good, 400, "BXNIM0109E"),
        ("POST", &html, &good, 406, "BXNIM0060E"),
        ("POST", FORM, "", 400, "BXNIM0109E"),
        ("POST", FORM, &format!("apikey={key}"), 400, "BXNIM0109E"),
        ("POST", FORM, &format!("grant_type=&apikey={key}"), 400, "BXNIM0109E"),
        ("POST", FORM, &format!("grant_type={GRANT}"), 400, "BXNIM0109E"),
        ("POST", FORM, &format!("grant_type={GRANT}&apikey="), 400, "BXNIM0109E"),
        ("POST", FORM, &format!("{good}&apikey={key}"), 400, "BXNIM0106E"),
        ("POST", FORM, &format!("{good}&x=%4"), 400, "BXNIM0106E"),
        ("POST", FORM, &format!("{good}&x=%zz"), 400, "BXNIM0106E"),
        ("POST", FORM, &good.replace("cloud_iam", "uaa"), 400, "BXNIM0106E"),
        ("POST", FORM, &unknown, 400, "BXNIM0106E"),
        ("POST", FORM, &good.replace("apikey&", "cr-token&"), 400, "BXNIM0109E"),
        ("POST", FORM, &good.replace("apikey&", "assume&"), 400, "BXNIM0109E"),
        ("POST", FORM, &spaced, 400, "BXNIM0415E"),
        ("POST", FORM, &"a".repeat(70_000), 413, "BXNIM0060E"),
    ];
    for (method, headers, body, status, code) in cases {
        let reply = send(iam.address(), &format!("{method} /identity/token"), headers, body);
        assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (*status, Some(*code)), "{method} {body:.80}");
    }
    for headers in [&any, &charset] {
        assert_eq!(send(iam.address(), "POST /identity/token", headers, &good).status, 200);
    }
    let chunked = format!(
        "POST /identity/token HTTP/1.1\r\nHost: iam\r\nConnection: close\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let reply = talk(TcpStream::connect(iam.address()).expect("a connection"), &chunked);
    assert_eq!(reply.json()["errorCode"], "BXNIM0109E");
    assert_eq!(iam.exchanges(), 2);
    assert_eq!(iam.calls().len(), cases.len() + 3);
}

#[test]
fn credentials_that_are_no_good_get_their_documented_error() {
    let iam = FakeIam::start();
    let stranger = fake_api_key("stranger");
    let check = |key: &str, status: u16, code: &str| {
        let reply = exchange(&iam, key);
        let body = reply.json();
        assert_eq!((reply.status, body["errorCode"].as_str()), (status, Some(code)));
        body
    };
    let body = check(&stranger, 400, "BXNIM0415E");
    assert!(body["errorDetails"].as_str().is_some_and(|text| text.contains(&stranger)), "the key is echoed");
    assert_eq!(body["errorMessage"], "Provided API key could not be found.");

    let key = iam.service_id_key("a");
    for (state, code) in [(KeyState::Disabled, "BXNIM0462E"), (KeyState::Deleted, "BXNIM0415E")] {
        iam.set_key_state(&key, state);
        check(&key, 400, code);
    }
    let key = iam.user_key("b");
    iam.set_standing(&key, Standing::Gone);
    check(&key, 400, "BXNIM0410E");
    iam.set_standing(&key, Standing::Suspended);
    check(&key, 401, "BXNIM0436E");
    iam.set_standing(&key, Standing::Locked);
    let body = check(&key, 401, "BXNIM0400E");
    assert_eq!(body["requirements"]["code"], "SoftLayer_Exception_User_Customer_AccountLocked");
    iam.set_standing(&key, Standing::Active);
    assert_eq!(exchange(&iam, &key).status, 200);
    assert_eq!(iam.calls_of(&key).iter().filter_map(|call| call.error_code.as_deref()).count(), 3);
}

#[test]
fn errors_have_the_documented_shape() {
    let iam = FakeIam::start();
    let headers = format!("{FORM}User-Agent: probe/1\r\nTransaction-Id: tx-42\r\n");
    let reply = send(iam.address(), "POST /identity/token", &headers, &form_of("nobody"));
    assert_eq!(reply.header("Transaction-Id"), Some("tx-42"));
    let context = reply.json()["context"].clone();
    assert_eq!(context["requestId"], "tx-42");
    assert_eq!(context["requestType"], "incoming.Identity_Token");
    assert_eq!(context["userAgent"], "probe/1");
    assert_eq!(context["url"], iam.url());
    for name in ["instanceId", "host", "startTime", "endTime", "elapsedTime", "locale", "threadId", "clusterName"] {
        assert!(context[name].is_string(), "{name}");
    }
    let start = context["startTime"].as_str().expect("a time");
    assert!(start.len() == 27 && start.ends_with(" UTC"), "{start}");
    let call = &iam.calls()[0];
    assert_eq!(call.transaction_id.as_deref(), Some("tx-42"));
    assert_eq!(call.user_agent.as_deref(), Some("probe/1"));
    assert!(exchange(&iam, "nobody").header("transaction-id").is_some_and(|id| id.len() > 30));
}

#[test]
fn a_token_is_pinned_to_the_accounts_asked_for() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let ask = |tenants: &str| {
        let headers = format!("{FORM}ibm-cloud-tenant: {tenants}\r\n");
        send(iam.address(), "POST /identity/token", &headers, &form_of(&key)).status
    };
    assert_eq!(ask("other"), 400);
    assert_eq!(ask(&format!("other, {DEFAULT_ACCOUNT}")), 200);
}
