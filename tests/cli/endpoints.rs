//! How IAM is reached: CAs, proxies, other endpoints and defaults, as arguments.

use serde_json::json;
use testkit::connect_proxy::{Admits, ConnectProxy};
use testkit::fake_iam::{FakeIam, fake_api_key};

use crate::command::{Call, call, file};

const GOOD: &str = "https://iam.cloud.ibm.com";
const OTHER: &str = "https://private.iam.cloud.ibm.com";

fn run(args: &[&str]) -> Call {
    call(&[&["run"], args].concat()).env("KUBECONFIG", "no-such-kubeconfig")
}

fn assert_says(complaint: &str, texts: &[&str]) {
    for text in texts {
        assert!(complaint.contains(text), "{text:?} is not in {complaint:?}");
    }
}

// === CAs ===

#[test]
fn a_file_of_cas_that_cannot_be_used_is_named_with_what_to_do() {
    let (key, iam) = (file(fake_api_key("ca")), FakeIam::start_tls());
    let ca = iam.ca_pem().unwrap();
    let [empty, der, private, cut] = [
        file(""),
        file(b"\x30\x82\x01\x0a\x02"),
        file(ca.replace("CERTIFICATE", "PRIVATE KEY")),
        file(&ca[..ca.len() / 2]),
    ];
    for (path, says) in [
        (
            empty.as_str(),
            "it holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----: put the CA's there",
        ),
        (&der, "it holds no certificate in PEM"),
        (&private, "it holds no certificate in PEM"),
        (&cut, "certificate 1 in it is broken: put the CA's certificate there once more, whole"),
        ("/no-such-file", "No such file or directory (os error 2): name a file that the operator may read"),
        (".", "Is a directory (os error 21): name a file that the operator may read"),
    ] {
        for command in [&["run"][..], &["token", "--apikey-file", &key]] {
            let complaint = call(&[command, &["--iam-ca-file", path]].concat()).run().misused();
            assert_says(&complaint, &[&format!("--iam-ca-file {path}: {says}")]);
            let complaint = call(command).env("IAM_TOKEN_OPERATOR_IAM_CA_FILE", path).run().misused();
            assert_says(&complaint, &[&format!("--iam-ca-file {path}: {says}")]);
        }
    }
}

#[test]
fn token_trusts_a_ca_that_is_given() {
    let iam = FakeIam::start_tls();
    let key = file(iam.service_id_key("ca"));
    let token = |args: &[&str]| call(&[&["token", "--endpoint", &iam.url(), "--apikey-file", &key], args].concat());
    assert_says(&token(&[]).run().failed(), &["its certificate is not trusted", "--iam-ca-file"]);
    let other = file(FakeIam::start_tls().ca_pem().unwrap());
    assert_says(&token(&["--iam-ca-file", &other]).run().failed(), &["its certificate is not trusted"]);
    let ca = file(iam.ca_pem().unwrap());
    token(&["--iam-ca-file", &ca]).run().succeeded();
    // Beside the system's, of which there may be none.
    token(&[])
        .env("IAM_TOKEN_OPERATOR_IAM_CA_FILE", &ca)
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/nowhere")
        .run()
        .succeeded();
}

// === proxies ===

#[test]
fn a_variable_that_names_no_proxy_is_told_and_not_shown() {
    let key = file(fake_api_key("proxy"));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        for command in [&["run"][..], &["token", "--apikey-file", &key]] {
            let complaint = call(command).env(name, "socks5://user:FAKE-password@proxy:1080").run().misused();
            assert_says(&complaint, &[name, "set it to http:// or https://, host and port"]);
            assert!(!complaint.contains("FAKE-password"), "{complaint}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_goes_by_the_proxy_unless_it_is_told_not_to() {
    let (iam, proxy) = (FakeIam::start_tls(), ConnectProxy::start().await.unwrap());
    let (key, ca) = (file(iam.service_id_key("proxy")), file(iam.ca_pem().unwrap()));
    let url = format!("http://{}", proxy.address());
    let token = || call(&["token", "--endpoint", &iam.url(), "--apikey-file", &key, "--iam-ca-file", &ca]);
    for (number, name) in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().enumerate() {
        token().env(name, &url).run().succeeded();
        assert_eq!(proxy.connects().len(), number + 1, "{name}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        token().env("HTTPS_PROXY", &url).env(name, "10.0.0.0/8,127.0.0.1").run().succeeded();
    }
    token().env("HTTP_PROXY", &url).run().succeeded();
    assert_eq!(proxy.connects().len(), 4);

    proxy.set(Admits::Nobody);
    let complaint = token().env("HTTPS_PROXY", &url).run().failed();
    let says = format!("IAM at {} (by the proxy {url}): the proxy does not connect to it. Have the proxy", iam.url());
    assert_says(&complaint, &[&says]);
    let gone = "http://user:FAKE-password@127.0.0.1:9";
    let complaint = token().env("HTTPS_PROXY", gone).run().failed();
    assert_says(&complaint, &["(by the proxy http://127.0.0.1:9): the proxy cannot be reached. Check HTTPS_PROXY"]);
    let complaint = token().env("HTTPS_PROXY", "http://no-such-host.invalid").run().failed();
    assert_says(&complaint, &["the proxy cannot be reached"]);
}

/// It can't be used, and is not passed over.
#[test]
fn a_kubeconfig_with_a_proxy_of_its_own_is_refused() {
    let kubeconfig = |cluster: serde_json::Value| {
        file(
            json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [
                    {"name": "other", "cluster": {"server": "https://127.0.0.1:1", "proxy-url": "http://127.0.0.1:2"}},
                    {"name": "c", "cluster": cluster},
                ],
                "users": [{"name": "u", "user": {"token": "FAKE-token"}}],
            })
            .to_string(),
        )
    };
    let own = kubeconfig(json!({"server": "https://127.0.0.1:1", "proxy-url": "http://127.0.0.1:2"}));
    let complaint = call(&["run"]).env("KUBECONFIG", &own).run().failed();
    assert_says(&complaint, &["no way to the API server", "the kubeconfig names a proxy-url", "directly"]);
}

// === other endpoints ===

#[test]
fn endpoints_that_cannot_stand_in_for_the_default_one_are_named() {
    let five: Vec<String> = (0..5).map(|number| format!("https://iam-{number}.example")).collect();
    let (five, allowed) = (five.join(","), format!("{GOOD},{}", five.join(",")));
    for (allowed, failover, says) in [
        (GOOD, OTHER, "--failover-endpoints: add https://private.iam.cloud.ibm.com to --allowed-endpoints"),
        (GOOD, GOOD, "--failover-endpoints: take https://iam.cloud.ibm.com out"),
        (&format!("{GOOD},{OTHER}"), &format!("{OTHER},{OTHER}/identity/token"), "it is there twice"),
        (GOOD, "iam.cloud.ibm.com", "--failover-endpoints iam.cloud.ibm.com: it must start with https://"),
        (&allowed, &five, "--failover-endpoints: name at most 4"),
    ] {
        let complaint = run(&["--allowed-endpoints", allowed, "--failover-endpoints", failover]).run().failed();
        assert_says(&complaint, &[says]);
        let complaint = run(&["--allowed-endpoints", allowed])
            .env("IAM_TOKEN_OPERATOR_FAILOVER_ENDPOINTS", failover)
            .run()
            .failed();
        assert_says(&complaint, &[says]);
    }
}

// === defaults ===

#[test]
fn defaults_that_no_spec_could_have_are_named() {
    for text in ["60%", "0%", "soon", "", "1d"] {
        let complaint = run(&["--default-renew-before", text]).run().failed();
        assert_says(&complaint, &[&format!("--default-renew-before {text}: it must be a share of the lifetime")]);
    }
    for text in ["a b", "a/0123", &"0".repeat(65)] {
        let complaint = run(&["--default-account-id", text]).run().failed();
        assert_says(&complaint, &[&format!("--default-account-id {text}: it must be 1 to 64 letters, digits, - or _")]);
    }
}

#[test]
fn good_ones_lead_on_to_the_api_server() {
    let ca = file(FakeIam::start_tls().ca_pem().unwrap());
    let args = [
        "--allowed-endpoints",
        &format!("{GOOD},{OTHER}/identity/token"),
        "--failover-endpoints",
        &format!("{OTHER}:443/"),
        "--default-renew-before=12m",
        "--default-account-id=0123456789abcdef",
        "--iam-ca-file",
        &ca,
    ];
    let complaint = run(&args).env("HTTPS_PROXY", "proxy.example:3128").run().failed();
    assert_says(&complaint, &["no way to the API server"]);
}
