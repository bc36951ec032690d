//! The services behind the proxy: each takes a valid token only, and refuses in its own words.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use testkit::fake_iam::FakeIam;
use testkit::fake_kms::DEFAULT_INSTANCE;
use testkit::fake_services::{BUCKET, FakeServices, PROJECT, STORAGE_INSTANCE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const KEYS: &str = "us-south.kms.cloud.ibm.com";
const STORAGE: &str = "s3.us-south.cloud-object-storage.appdomain.cloud";
const MODELS: &str = "us-south.ml.cloud.ibm.com";

/// The status line's number and all that follows the head.
type Reply = (u16, String);

/// One request through the proxy. Where the proxy refuses, its answer.
async fn ask(services: &FakeServices, host: &str, line: &str, headers: &str, body: &str) -> Reply {
    let proxy = services.proxy();
    let mut stream = TcpStream::connect(proxy.trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap().into());
    }
    if !head.starts_with("HTTP/1.1 200 ") {
        return reply(&head);
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(services.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![];
    // The fake closes the connection without TLS's own goodbye.
    let _ = stream.read_to_end(&mut answer).await;
    reply(&String::from_utf8(answer).unwrap())
}

fn reply(answer: &str) -> Reply {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn only_the_fakes_are_reached() {
    let services = FakeServices::start(&FakeIam::start());
    for host in ["example.com", "us-east.kms.cloud.ibm.com", "a.b.api.us-south.hs-crypto.appdomain.cloud"] {
        assert_eq!(ask(&services, host, "GET /", "", "").await.0, 403, "{host}");
        assert_eq!(services.strangers().pop().as_deref(), Some(host));
    }
}

#[tokio::test]
async fn iam_answers_under_its_own_name() {
    let iam = FakeIam::start();
    let services = FakeServices::start(&iam);
    let key = iam.service_id_key("one");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n";
    let body = format!("grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey={key}");
    let (status, answer) = ask(&services, "iam.cloud.ibm.com", "POST /identity/token", form, &body).await;
    assert_eq!((status, iam.exchanges_of(&key)), (200, 1), "{answer}");
}

#[tokio::test]
async fn key_management_wants_token_and_instance() {
    let iam = FakeIam::start();
    let services = FakeServices::start(&iam);
    let key = iam.service_id_key("one");
    let (valid, expired) = (bearer(&iam.mint(&key, 60)), bearer(&iam.mint(&key, -1)));
    let instance = format!("Bluemix-Instance: {DEFAULT_INSTANCE}\r\n");
    let own_host = format!("{DEFAULT_INSTANCE}.api.us-south.hs-crypto.appdomain.cloud");
    for host in [KEYS, &own_host] {
        for (headers, status) in [
            (format!("{valid}{instance}"), 200),
            (format!("{expired}{instance}"), 401),
            (instance.clone(), 401),
            (valid.clone(), 400),
        ] {
            assert_eq!(ask(&services, host, "GET /api/v2/keys", &headers, "").await.0, status, "{host} {headers}");
        }
    }
    let good: Vec<bool> = services.calls().into_iter().map(|call| call.iam_id.is_some()).collect();
    assert_eq!(good, [true, false, false, true, true, false, false, true]);
}

#[tokio::test]
async fn object_storage_wants_a_token_and_for_lists_the_instance() {
    let iam = FakeIam::start();
    let services = FakeServices::start(&iam);
    let key = iam.service_id_key("one");
    let (valid, expired) = (bearer(&iam.mint(&key, 60)), bearer(&iam.mint(&key, -1)));
    let instance = format!("ibm-service-instance-id: {STORAGE_INSTANCE}\r\n");
    let (status, listed) = ask(&services, STORAGE, "GET /", &format!("{valid}{instance}"), "").await;
    assert!(status == 200 && listed.contains(BUCKET), "{status} {listed}");
    assert_eq!(ask(&services, STORAGE, "GET /", &valid, "").await.0, 400);
    for headers in [&instance, &format!("{expired}{instance}"), &valid.replace("Bearer ", "")] {
        let (status, refused) = ask(&services, STORAGE, "GET /", headers, "").await;
        assert!(status == 403 && refused.contains("<Code>AccessDenied</Code>"), "{headers} {status} {refused}");
    }
    let object = format!("/{BUCKET}/a/b");
    assert_eq!(ask(&services, STORAGE, &format!("PUT {object}"), &expired, "text").await.0, 403);
    assert_eq!(ask(&services, STORAGE, &format!("GET {object}"), &valid, "").await.0, 404);
    assert_eq!(ask(&services, STORAGE, &format!("PUT {object}"), &valid, "text").await.0, 200);
    assert_eq!(ask(&services, STORAGE, &format!("GET {object}"), &valid, "").await, (200, "text".into()));
    assert_eq!(ask(&services, STORAGE, "GET /other/a", &valid, "").await.0, 404);
}

#[tokio::test]
async fn watsonx_wants_a_token_a_version_and_a_whole_request() {
    let iam = FakeIam::start();
    let services = FakeServices::start(&iam);
    let key = iam.service_id_key("one");
    let (valid, expired) = (bearer(&iam.mint(&key, 60)), bearer(&iam.mint(&key, -1)));
    let (json, line) = ("Content-Type: application/json\r\n", "POST /ml/v1/text/generation?version=2025-02-11");
    let body = format!(r#"{{"model_id": "ibm/granite", "project_id": "{PROJECT}", "input": "a b"}}"#);
    let generate = async |line: &str, headers: &str, body: &str| ask(&services, MODELS, line, headers, body).await;
    let (status, answer) = generate(line, &format!("{valid}{json}"), &body).await;
    assert!(status == 200 && answer.contains("A fake answer to: a b"), "{status} {answer}");
    let (status, answer) = generate(line, &format!("{expired}{json}"), &body).await;
    assert!(status == 401 && answer.contains("authentication_token_expired"), "{status} {answer}");
    let (status, answer) = generate(line, json, &body).await;
    assert!(status == 401 && answer.contains("authentication_token_not_valid"), "{status} {answer}");
    assert_eq!(generate("POST /ml/v1/text/generation", &format!("{valid}{json}"), &body).await.0, 400);
    assert_eq!(generate(line, &valid, &body).await.0, 400);
    assert_eq!(generate(line, &format!("{valid}{json}"), &body.replace(PROJECT, "another")).await.0, 400);
    assert_eq!(generate(line, &format!("{valid}{json}"), &body.replace("input", "prompt")).await.0, 400);
}
