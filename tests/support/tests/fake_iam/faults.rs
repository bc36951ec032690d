//! What goes wrong on purpose.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use testkit::fake_iam::{FakeIam, Fault, RetryAfter, Times};

use crate::http::{FORM, exchange, form_of, request, wait_until};

#[test]
fn faults_replace_the_answer() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let after = |fault: Fault| {
        iam.fault(&key, fault, Times::Count(1));
        exchange(&iam, &key)
    };
    let reply = after(Fault::error_with_status("BXNIM0415E", 401));
    assert_eq!((reply.status, reply.json()["errorCode"].as_str()), (401, Some("BXNIM0415E")));
    assert!(reply.text().contains(&key));
    for code in ["BXNIM0050E", "BXNIM0398E", "BXNIM9999E"] {
        assert_eq!(after(Fault::error(code)).json()["errorCode"], code);
    }

    let reply = after(Fault::rate_limited(RetryAfter::None));
    assert_eq!((reply.status, reply.text().as_str()), (429, "ApiKey based rate limit for calls to /token"));
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(after(Fault::rate_limited(RetryAfter::Seconds(7))).header("retry-after"), Some("7"));
    let reply = after(Fault::rate_limited(RetryAfter::Date(60)));
    let date = httpdate::parse_http_date(reply.header("retry-after").expect("a date")).expect("an HTTP date");
    assert!(date > SystemTime::now() + Duration::from_secs(50));

    for status in [400, 401, 403, 500, 503] {
        let reply = after(Fault::status(status));
        assert_eq!((reply.status, reply.body.len()), (status, 0));
        assert_eq!(after(Fault::status_with_body(status, "upstream")).text(), "upstream");
    }
    for status in [302, 307] {
        let reply = after(Fault::redirect(status, "http://127.0.0.1:1/elsewhere"));
        assert_eq!((reply.status, reply.header("location")), (status, Some("http://127.0.0.1:1/elsewhere")));
    }
    let reply = after(Fault::Html);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html;charset=utf-8")));
    let headers = vec![("X-One".into(), "1".into()), ("X-One".into(), "2".into())];
    let reply = after(Fault::Raw { status: 418, headers, body: "tea".into() });
    assert_eq!((reply.status, reply.text().as_str(), reply.head.matches("x-one").count()), (418, "tea", 2));
    assert_eq!(iam.exchanges_of(&key), 0);
    assert_eq!(exchange(&iam, &key).status, 200);
    assert_eq!((iam.exchanges_of(&key), iam.pending_faults()), (1, 0));
}

#[test]
fn faults_break_the_connection() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let after = |fault: Fault| {
        iam.fault(&key, fault, Times::Count(1));
        exchange(&iam, &key)
    };
    let reply = after(Fault::Truncated);
    let announced: usize = reply.header("content-length").and_then(|text| text.parse().ok()).expect("a length");
    assert!(!reply.body.is_empty() && reply.body.len() < announced);
    let reply = after(Fault::Close);
    assert_eq!((reply.status, reply.broken), (0, None));
    let reply = after(Fault::Reset);
    assert_eq!((reply.status, reply.broken), (0, Some(ErrorKind::ConnectionReset)));
    let reply = after(Fault::large());
    assert_eq!(reply.body.len(), 10 << 20);
    assert_eq!(reply.token().len() >> 20, 9);
    assert_eq!(after(Fault::Endless).head.matches("content-length").count(), 0);

    iam.fault(&key, Fault::Hang, Times::Forever);
    let mut stream = TcpStream::connect(iam.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    stream.write_all(request("POST /identity/token", FORM, &form_of(&key)).as_bytes()).expect("sent");
    assert!(stream.read(&mut [0; 1]).is_err(), "no answer");
    wait_until(|| iam.calls_of(&key).len() == 6);
    let call = iam.calls_of(&key).pop().expect("recorded while under way");
    assert_eq!((call.status, call.issued), (None, false));
    iam.clear_faults_of(&key);
    let start = Instant::now();
    assert_eq!(after(Fault::delay(Duration::from_millis(80))).status, 200);
    assert_eq!(after(Fault::status(503).after(Duration::from_millis(80))).status, 503);
    assert!(start.elapsed() >= Duration::from_millis(160));
}

#[test]
fn faults_change_the_answer() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let after = |fault: Fault| {
        iam.fault(&key, fault, Times::Count(1));
        exchange(&iam, &key).json()
    };
    assert_eq!(after(Fault::without("access_token")).get("access_token"), None);
    assert_eq!(after(Fault::field("access_token", ""))["access_token"], "");
    assert_eq!(iam.exchanges_of(&key), 0);
    for value in [json!(0), json!(-1), json!("3600"), json!(1e12), json!(null), json!([])] {
        assert_eq!(after(Fault::expires_in(value.clone()))["expires_in"], value);
    }
    assert_eq!(after(Fault::without("expires_in")).get("expires_in"), None);
    for suffix in ["\n", "\u{7}", "é", "\r\nX-Evil: 1"] {
        assert!(after(Fault::token_suffix(suffix))["access_token"].as_str().is_some_and(|it| it.ends_with(suffix)));
    }
    let body = after(Fault::lifetime(5));
    assert_eq!(body["expires_in"], 5);
    let body = after(Fault::account("b".repeat(32).as_str()));
    let claims = iam.verify(body["access_token"].as_str().expect("a token")).expect("good");
    assert_eq!(claims["account"]["bss"], "b".repeat(32));
    assert_eq!(iam.exchanges_of(&key), 13);
}

#[test]
fn fault_queues_are_taken_in_order_and_a_keys_own_first() {
    let iam = FakeIam::start();
    let (one, two) = (iam.service_id_key("one"), iam.service_id_key("two"));
    iam.fault(&one, Fault::status(500), Times::Count(2));
    iam.fault(&one, Fault::status(502), Times::Count(1));
    iam.fault_any(Fault::status(503), Times::Forever);
    assert_eq!(iam.pending_faults(), 4);
    assert_eq!(exchange(&iam, &two).status, 503);
    let statuses: Vec<_> = (0..5).map(|_| exchange(&iam, &one).status).collect();
    assert_eq!(statuses, [500, 500, 502, 503, 503]);
    iam.clear_faults();
    assert_eq!(exchange(&iam, &two).status, 200);
}
