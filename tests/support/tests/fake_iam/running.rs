//! Listening, counting, limits, TLS and the control API.

use std::io;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use testkit::fake_iam::{FakeIam, RateLimit, fake_api_key, key_id};

use crate::http::{FORM, exchange, form_of, request, send, talk, wait_until};

#[test]
fn down_refuses_and_drops_connections_and_up_takes_the_same_port() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("a");
    let idle = TcpStream::connect(iam.address()).expect("a connection");
    iam.set_latency(Duration::from_secs(20));
    let waiting = thread::spawn({
        let (iam, key) = (iam.clone(), key.clone());
        move || exchange(&iam, &key)
    });
    wait_until(|| !iam.calls_of(&key).is_empty());
    for _ in 0..3 {
        iam.down();
        iam.down();
        let refused = TcpStream::connect(iam.address()).map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
        iam.up();
        iam.up();
    }
    assert_eq!(waiting.join().expect("an end").status, 0);
    assert!(matches!((&idle).read(&mut [0; 1]), Ok(0) | Err(_)));
    iam.set_latency(Duration::ZERO);
    assert_eq!(exchange(&iam, &key).status, 200);
    let address = iam.address();
    drop(iam);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn concurrent_calls_are_counted() {
    let iam = FakeIam::start();
    let (one, two) = (iam.service_id_key("one"), iam.service_id_key("two"));
    iam.set_latency(Duration::from_millis(500));
    thread::scope(|scope| {
        for key in [&one, &one, &one, &two] {
            scope.spawn(|| assert_eq!(exchange(&iam, key).status, 200));
        }
    });
    assert_eq!((iam.most_at_once(), iam.most_at_once_of(&one), iam.most_at_once_of(&two)), (4, 3, 1));
    assert_eq!((iam.exchanges_of(&one), iam.exchanges_of(&two), iam.exchanges()), (3, 1, 4));
    iam.clear_calls();
    assert_eq!((iam.most_at_once(), iam.calls().len()), (0, 0));
    exchange(&iam, &one);
    assert_eq!(iam.most_at_once_of(&one), 1);
}

#[test]
fn the_rate_limit_is_per_key() {
    let iam = FakeIam::start();
    let (one, two) = (iam.service_id_key("one"), iam.service_id_key("two"));
    let limit = |window| RateLimit { calls: 2, window, retry_after: true };
    iam.set_rate_limit(Some(limit(Duration::from_secs(60))));
    let statuses: Vec<_> = [&one, &one, &one, &two].map(|key| exchange(&iam, key).status).into();
    assert_eq!(statuses, [200, 200, 429, 200]);
    let wait: u64 = exchange(&iam, &one).header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=60).contains(&wait));
    iam.set_rate_limit(Some(limit(Duration::from_millis(10))));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(exchange(&iam, &one).status, 200);
}

#[test]
fn https_works_for_those_who_know_the_authority() {
    let iam = FakeIam::start_tls();
    let key = iam.service_id_key("a");
    assert!(iam.url().starts_with("https://127.0.0.1:"));
    let authority = CertificateDer::from_pem_slice(iam.ca_pem().expect("TLS").as_bytes()).expect("PEM");
    let mut roots = rustls::RootCertStore::empty();
    let over_tls = |roots: rustls::RootCertStore| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
        rustls::StreamOwned::new(session, TcpStream::connect(iam.address()).expect("a connection"))
    };
    let refused: io::Result<()> = over_tls(roots.clone()).write_all(b"GET / HTTP/1.1\r\n\r\n");
    assert!(refused.is_err_and(|error| error.to_string().contains("UnknownIssuer")));
    assert!(iam.calls().is_empty());
    roots.add(authority).expect("a certificate");
    let reply = talk(over_tls(roots), &request("POST /identity/token", FORM, &form_of(&key)));
    assert_eq!(reply.status, 200);
    assert!(iam.verify(&reply.token()).is_ok());
}

#[test]
fn the_control_api_steers_it_and_is_there_only_if_asked_for() {
    let plain = FakeIam::start();
    assert_eq!(send(plain.address(), "GET /_fake/calls", "", "").status, 404);
    let iam = FakeIam::builder().control_api().start().expect("started");
    let post = |path: &str, body: Value| send(iam.address(), &format!("POST /_fake/{path}"), "", &body.to_string());
    let key = fake_api_key("a");
    assert_eq!(post("keys", json!({"name": "a", "lifetime": 30})).json()["key_id"], key_id(&key));
    assert_eq!(exchange(&iam, &key).json()["expires_in"], 30);
    let fault = json!({"key": "a", "times": {"count": 2}, "fault": {"kind": "status", "status": 503}});
    assert_eq!(post("faults", fault).json()["pending"], 2);
    assert_eq!(exchange(&iam, &key).status, 503);
    assert_eq!(send(iam.address(), "DELETE /_fake/faults", "", "").status, 200);
    let fault = json!({"fault": {"kind": "rate-limited", "retry_after": {"seconds": 3}}});
    assert_eq!(post("faults", fault).status, 200);
    assert_eq!(exchange(&iam, &key).header("retry-after"), Some("3"));
    assert_eq!(post("faults", json!({"fault": {"kind": "psychic"}})).status, 400);
    assert_eq!(post("settings", json!({"clock_offset": 100})).status, 200);
    let calls = send(iam.address(), "GET /_fake/calls", "", "");
    assert_eq!((&calls.json()["exchanges"], calls.json()["calls"][1]["status"].as_u64()), (&json!(1), Some(503)));
    assert!(!calls.text().contains(&key));
    assert_eq!(send(iam.address(), "POST /_fake/down?seconds=1", "", "").status, 200);
    wait_until(|| TcpStream::connect(iam.address()).is_err());
    wait_until(|| TcpStream::connect(iam.address()).is_ok());
    assert_eq!(exchange(&iam, &key).status, 200);
}
