//! `run` with arguments that cannot work ends at once and says which.

use crate::command::{Call, call, file};

const GOOD: &str = "https://iam.cloud.ibm.com";

fn run(args: &[&str]) -> Call {
    call(&[&["run"], args].concat()).env("KUBECONFIG", "no-such-kubeconfig")
}

#[test]
fn a_bad_log_level_is_named() {
    for level in ["iam_token_operator=loud", "info,=,=", "[{"] {
        let complaint = run(&["--log-level", level]).run().failed();
        assert!(complaint.contains("--log-level"), "{complaint}");
    }
    let complaint = run(&[]).env("IAM_TOKEN_OPERATOR_LOG_LEVEL", "a=b=c").run().failed();
    assert!(complaint.contains("--log-level"), "{complaint}");
}

#[test]
fn a_word_that_is_no_log_level_is_named() {
    let complaint = run(&["--log-level", "loud"]).run().failed();
    assert!(complaint.contains("--log-level"), "{complaint}");
}

#[test]
fn a_bad_endpoint_is_named() {
    for (endpoint, why) in [
        ("http://iam.cloud.ibm.com", "must start with https://"),
        ("iam.cloud.ibm.com", "must start with https://"),
        ("https://", "must be scheme, host and optional port only"),
        ("https://iam.cloud.ibm.com@evil.example", "must be scheme, host and optional port only"),
    ] {
        for (flag, args) in [
            ("--allowed-endpoints", vec!["--allowed-endpoints", endpoint]),
            ("--default-endpoint", vec!["--default-endpoint", endpoint]),
        ] {
            let complaint = run(&args).run().failed();
            let right = [flag, endpoint, why].iter().all(|text| complaint.contains(text));
            assert!(right, "{complaint}");
        }
    }
    let list = format!("{GOOD},ftp://iam.cloud.ibm.com");
    let complaint = run(&[]).env("IAM_TOKEN_OPERATOR_ALLOWED_ENDPOINTS", &list).run().failed();
    assert!(complaint.contains("--allowed-endpoints ftp://iam.cloud.ibm.com"), "{complaint}");
}

#[test]
fn a_default_endpoint_must_be_allowed() {
    let other = "https://private.iam.cloud.ibm.com";
    let complaint = run(&["--default-endpoint", other]).run().failed();
    assert!(complaint.contains(&format!("--default-endpoint {other}: add it to --allowed-endpoints")), "{complaint}");
}

#[test]
fn there_must_be_an_endpoint() {
    let complaint = run(&["--allowed-endpoints", ""]).run().failed();
    assert!(complaint.contains("--allowed-endpoints: name at least one"), "{complaint}");
}

#[test]
fn concurrency_is_a_number_from_1_to_1024() {
    for number in ["0", "1025", "-1", "many", ""] {
        let complaint = run(&[&format!("--concurrency={number}")]).run().misused();
        assert!(complaint.contains("--concurrency <N>"), "{complaint}");
    }
    let complaint = run(&["--concurrency", "0"]).run().misused();
    assert!(complaint.contains("1..=1024"), "{complaint}");
}

#[test]
fn a_bad_address_for_probes_is_named() {
    for address in ["8080", ":8080", "localhost:8080", "0.0.0.0", "0.0.0.0:70000", ""] {
        let complaint = run(&[&format!("--health-bind-address={address}")]).run().misused();
        for text in ["--health-bind-address <ADDR:PORT>", "such as 0.0.0.0:8080"] {
            assert!(complaint.contains(text), "{complaint}");
        }
    }
}

#[test]
fn an_occupied_address_for_probes_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let complaint = run(&["--health-bind-address", &address]).run().failed();
    for text in [&*format!("--health-bind-address {address}: "), "in use", "a free port"] {
        assert!(complaint.contains(text), "{complaint}");
    }
}

#[test]
fn an_unknown_log_format_is_misuse() {
    assert!(run(&["--log-format", "xml"]).run().misused().contains("json"));
}

#[test]
fn good_arguments_lead_on_to_the_api_server() {
    let empty = file("");
    for kubeconfig in ["no-such-kubeconfig", empty.as_str()] {
        let args = ["--default-endpoint", "https://IAM.cloud.ibm.com/identity/token/", "--allowed-endpoints", GOOD];
        let complaint = run(&args).env("KUBECONFIG", kubeconfig).run().failed();
        assert!(complaint.contains("no way to the API server"), "{complaint}");
    }
}
