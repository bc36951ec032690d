//! What the binary tells of itself.

use crate::command::call;

const TOKEN_FLAGS: &[&str] = &[
    "--apikey-file <FILE>",
    "--apikey <@FILE>",
    "--cr-token-file <FILE>",
    "--trusted-profile <PROFILE>",
    "--endpoint <URL>",
    "--account-id <ID>",
    "--output <FORMAT>",
    "--allow-insecure-http",
];
const RUN_FLAGS: &[(&str, &str)] = &[
    ("--watch-namespaces <NAMESPACE>", "IAM_TOKEN_OPERATOR_WATCH_NAMESPACES"),
    ("--allowed-endpoints <URL>", "IAM_TOKEN_OPERATOR_ALLOWED_ENDPOINTS"),
    ("--default-endpoint <URL>", "IAM_TOKEN_OPERATOR_DEFAULT_ENDPOINT"),
    ("--allow-insecure-http", "IAM_TOKEN_OPERATOR_ALLOW_INSECURE_HTTP"),
    ("--concurrency <N>", "IAM_TOKEN_OPERATOR_CONCURRENCY"),
    ("--namespace-budget <N>", "IAM_TOKEN_OPERATOR_NAMESPACE_BUDGET"),
    ("--key-health <BOOL>", "IAM_TOKEN_OPERATOR_KEY_HEALTH"),
    ("--otlp-endpoint <URL>", "IAM_TOKEN_OPERATOR_OTLP_ENDPOINT"),
    ("--health-bind-address <ADDR:PORT>", "IAM_TOKEN_OPERATOR_HEALTH_BIND_ADDRESS"),
    ("--metrics-bind-address <ADDR:PORT>", "IAM_TOKEN_OPERATOR_METRICS_BIND_ADDRESS"),
    ("--metrics-per-object-limit <N>", "IAM_TOKEN_OPERATOR_METRICS_PER_OBJECT_LIMIT"),
    ("--log-format <FORMAT>", "IAM_TOKEN_OPERATOR_LOG_FORMAT"),
    ("--log-level <LEVEL>", "IAM_TOKEN_OPERATOR_LOG_LEVEL"),
];

#[test]
fn every_command_is_listed() {
    let help = call(&["--help"]).run().succeeded();
    for text in
        ["Keeps IBM Cloud IAM tokens alive", "  run ", "  crd ", "  token ", "  explain ", "  completion ", "--version"]
    {
        assert!(help.contains(text), "{text:?} is not in:\n{help}");
    }
}

#[test]
fn each_command_explains_its_flags() {
    let run = call(&["run", "--help"]).run().succeeded();
    for text in RUN_FLAGS.iter().flat_map(|(flag, variable)| [flag, variable]) {
        assert!(run.contains(text), "{text:?} is not in:\n{run}");
    }
    for default in [
        "[default: https://iam.cloud.ibm.com]",
        "[default: 32]",
        "[default: true]",
        "[default: 1000]",
        "[default: text]",
        "[default: info]",
    ] {
        assert!(run.contains(default), "{default:?} is not in:\n{run}");
    }
    let token = call(&["token", "--help"]).run().succeeded();
    for text in TOKEN_FLAGS.iter().chain(&["IBMCLOUD_API_KEY", "raw", "header", "json", "standard input"]) {
        assert!(token.contains(text), "{text:?} is not in:\n{token}");
    }
    assert!(call(&["crd", "--help"]).run().succeeded().contains("Print the CRD"));
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let key = testkit::fake_iam::fake_api_key("help");
    let help = call(&["token", "--help"]).env("IBMCLOUD_API_KEY", &key).run().succeeded();
    assert!(!help.contains(&key));
}

#[test]
fn the_version_names_package_commit_and_compiler() {
    let line = call(&["--version"]).run().succeeded();
    let start = concat!("iam-token-operator ", env!("CARGO_PKG_VERSION"), " (commit ");
    let build = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(")\n")).expect(&line);
    let (commit, rustc) = build.split_once(", rustc ").expect(&line);
    assert!(commit == "unknown" || commit.len() >= 7, "{line}");
    let numbers: Vec<u32> = rustc.split(['.', '-']).map_while(|number| number.parse().ok()).collect();
    assert!(numbers.len() == 3 && numbers >= vec![1, 91, 0], "{line}");
}

#[test]
fn no_command_and_unknown_ones_are_misuse() {
    assert!(call(&[]).run().misused().contains("Usage: iam-token-operator"));
    assert!(call(&["tokens"]).run().misused().contains("token"));
    assert!(call(&["token", "--api-key", "x"]).run().misused().contains("--api"));
    assert!(call(&["token", "--output", "yaml"]).run().misused().contains("raw"));
}

#[test]
fn crd_prints_the_committed_files() {
    let committed = ["iamtokens", "clusteriamcredentials"]
        .map(|name| std::fs::read_to_string(format!("{}/crds/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap())
        .concat();
    assert_eq!(call(&["crd"]).run().succeeded(), committed);
}
