//! `token` that fails: which exit code, what is to be done, and never the key.

use serde_json::json;
use testkit::fake_iam::{FakeIam, Fault, KeyState, Times, fake_api_key};

use crate::command::{Call, call, file};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

fn token(endpoint: &str, args: &[&str]) -> Call {
    call(&[&["token", "--endpoint", endpoint, "--allow-insecure-http"], args].concat())
}

fn assert_says(complaint: &str, key: &str, texts: &[&str]) {
    for text in texts {
        assert!(complaint.contains(text), "{text:?} is not in {complaint:?}");
    }
    assert!(!complaint.contains(key), "the key is shown");
}

#[test]
fn without_a_key_it_says_where_one_may_be_put() {
    let complaint = token(NOBODY, &[]).run().failed();
    assert_says(&complaint, "no key", &["no API key", "--apikey-file", "standard input", "IBMCLOUD_API_KEY"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let key = fake_api_key("unreadable");
    for args in [["--apikey-file", "no-such-file"], ["--apikey-file", "."]] {
        let complaint = token(NOBODY, &args).run().failed();
        assert_says(&complaint, &key, &[&format!("{}: ", args[1])]);
    }
    let complaint = token(NOBODY, &[]).env("IBMCLOUD_API_KEY", "@no-such-file").run().failed();
    assert_says(&complaint, &key, &["no-such-file: No such file"]);
}

#[test]
fn what_is_no_key_is_told_apart() {
    let key = fake_api_key("no-key");
    for (content, says) in [
        (String::new(), "is empty"),
        ("\n".to_owned(), "is empty"),
        (format!("{key} {key}"), "has characters that no API key has"),
        (format!("{key}\u{e9}"), "has characters that no API key has"),
        (json!({"name": key}).to_string(), "is JSON without an \"apikey\" text"),
        (format!("{{\"apikey\": \"{key}"), "looks like JSON but is not"),
        (format!("NAME={key}"), "without IBMCLOUD_APIKEY"),
        (key.repeat(100), "is over 4 KiB"),
    ] {
        let path = file(&content);
        let of_file = token(NOBODY, &["--apikey-file", &path]).run().failed();
        assert_says(&of_file, &key, &["The content of ", &path, says, "Put an IBM Cloud API key there."]);
        let of_input = token(NOBODY, &["--apikey-file", "-"]).input(&content).run().failed();
        assert_says(&of_input, &key, &["The standard input ", says]);
        let of_variable = token(NOBODY, &[]).env("IBMCLOUD_API_KEY", &content).run().failed();
        assert_says(&of_variable, &key, &["The value of IBMCLOUD_API_KEY ", says]);
    }
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let complaint = token(NOBODY, &["--apikey-file", &file(b"\xff\xfe\x00")]).run().failed();
    assert_says(&complaint, "no key", &["is not UTF-8 text"]);
}

#[test]
fn what_iam_rejects_is_told_with_code_and_request_id() {
    let iam = FakeIam::start();
    let unknown = fake_api_key("unknown");
    let disabled = iam.service_id_key("disabled");
    iam.set_key_state(&disabled, KeyState::Disabled);
    for (key, code) in [(&unknown, "BXNIM0415E"), (&disabled, "BXNIM0462E")] {
        let complaint = token(&iam.url(), &["--apikey-file", &file(key)]).run().failed();
        assert_says(&complaint, key, &[&iam.url(), &format!("(HTTP 400, {code})"), "IAM request id", "a valid key"]);
    }
}

#[test]
fn the_next_action_fits_the_command() {
    let iam = FakeIam::start();
    let complaint = token(&iam.url(), &["--apikey-file", &file(fake_api_key("unknown"))]).run().failed();
    for text in ["source Secret", "tried at once", "tried again by itself", "spec."] {
        assert!(!complaint.contains(text), "there is no such thing here: {text:?} in {complaint:?}");
    }
}

#[test]
fn what_iam_gets_wrong_is_told() {
    let iam = FakeIam::start();
    for (name, fault, says) in [
        ("throttled", Fault::rate_limited(testkit::fake_iam::RetryAfter::None), "(HTTP 429)"),
        ("unavailable", Fault::status(503), "(HTTP 503)"),
        ("redirect", Fault::redirect(307, NOBODY), "never followed"),
        ("html", Fault::Html, "not the JSON of a token"),
        ("newline", Fault::token_suffix("\n"), "characters that no header may hold"),
        ("endless", Fault::Endless, "larger than any token"),
        ("reset", Fault::Reset, "the connection broke"),
    ] {
        let key = iam.service_id_key(name);
        iam.fault(&key, fault, Times::Forever);
        let complaint = token(&iam.url(), &["--apikey-file", &file(&key)]).run().failed();
        assert_says(&complaint, &key, &[&iam.url(), says]);
        assert_eq!(iam.calls_of(&key).len(), 1, "{name}");
    }
}

#[test]
fn an_iam_that_cannot_be_asked_is_told() {
    let (down, tls, key) = (FakeIam::start(), FakeIam::start_tls(), fake_api_key("unreachable"));
    down.down();
    let path = file(&key);
    for (endpoint, says) in [
        (down.url(), "refuses connections"),
        (tls.url(), "its certificate is not trusted"),
        ("http://no-such-host.invalid".to_owned(), "its host name does not resolve"),
    ] {
        let complaint = token(&endpoint, &["--apikey-file", &path]).run().failed();
        assert_says(&complaint, &key, &[&endpoint, says]);
    }
    assert!(tls.calls().is_empty());
}

#[test]
fn http_takes_a_flag() {
    let iam = FakeIam::start();
    let key = iam.service_id_key("http");
    let complaint = call(&["token", "--endpoint", &iam.url(), "--apikey-file", &file(&key)]).run().failed();
    assert_says(&complaint, &key, &["--endpoint", &iam.url(), "must start with https://"]);
    assert!(iam.calls().is_empty());
}

#[test]
fn a_key_as_an_argument_is_refused_and_not_repeated() {
    let key = fake_api_key("argument");
    let complaint = call(&["token", &key]).run().misused();
    assert!(!complaint.contains(&key), "the key is shown");
}

#[test]
fn a_system_without_cas_is_told_what_to_do() {
    let key = file(fake_api_key("no-cas"));
    for arguments in [&["token", "--apikey-file", &key][..], &["run"]] {
        for cas in ["/dev/null", "/nowhere.pem"] {
            let complaint = call(arguments).env("SSL_CERT_FILE", cas).env("SSL_CERT_DIR", "/nowhere").run().failed();
            let says = ["no CA certificates", "ca-certificates", "SSL_CERT_FILE"];
            assert!(says.iter().all(|text| complaint.contains(text)), "{arguments:?}: {complaint}");
        }
    }
}
