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

/// Those that name an address to listen at.
const LISTENING: [&str; 2] = ["--health-bind-address", "--metrics-bind-address"];

#[test]
fn a_bad_address_to_listen_at_is_named() {
    for (flag, address) in LISTENING.into_iter().flat_map(|flag| {
        ["8080", ":8080", "localhost:8080", "0.0.0.0", "0.0.0.0:70000", ""].map(|address| (flag, address))
    }) {
        let complaint = run(&[&format!("{flag}={address}")]).run().misused();
        for text in [&*format!("{flag} <ADDR:PORT>"), "such as 0.0.0.0:8080"] {
            assert!(complaint.contains(text), "{complaint}");
        }
    }
}

#[test]
fn an_occupied_address_to_listen_at_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in LISTENING {
        let complaint = run(&[flag, &address]).run().failed();
        for text in [&*format!("{flag} {address}: "), "in use", "a free port"] {
            assert!(complaint.contains(text), "{complaint}");
        }
    }
}

#[test]
fn probes_and_metrics_need_a_port_each() {
    let args = ["--health-bind-address", "0.0.0.0:8080", "--metrics-bind-address", "127.0.0.1:8080"];
    let complaint = run(&args).run().failed();
    for text in ["--metrics-bind-address 127.0.0.1:8080: ", "name another"] {
        assert!(complaint.contains(text), "{complaint}");
    }
}

#[test]
fn a_limit_of_metrics_is_a_number() {
    for number in ["-1", "many", ""] {
        let complaint = run(&[&format!("--metrics-per-object-limit={number}")]).run().misused();
        assert!(complaint.contains("--metrics-per-object-limit <N>"), "{complaint}");
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
