//! The IamToken itself, and the endpoints that the admin allows.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use kube::api::PostParams;
use serde_json::{Value, json};
use testkit::fake_iam::FakeIam;

use crate::checks::{
    calm, put_good_key, raw_in, raw_token, ready_at_once, spec_of, stalled_and_not_ready, stalled_but_ready,
};
use crate::harness::{self, World, new_namespace, prepared};

/// What the API server refuses: the spec and the words that tell.
fn refused() -> Vec<(Value, &'static str)> {
    let key = || json!({"name": "hpcs-key"});
    let with = |field: &str, value: Value| json!({"apiKeySecretRef": key(), field: value});
    let target = |target: Value| with("target", target);
    let one_credential = "set exactly one of apiKeySecretRef, serviceAccountRef and credentialRef";
    let not_the_source = "the target Secret must not be the Secret that holds the API key";
    let mut table = vec![
        (json!({}), one_credential),
        (json!({"apiKeySecretRef": key(), "credentialRef": {"name": "c"}}), one_credential),
        (
            json!({"apiKeySecretRef": key(), "serviceAccountRef": {"name": "s"}, "trustedProfile": {"id": "p"}}),
            one_credential,
        ),
        (json!({"serviceAccountRef": {"name": "s"}}), "serviceAccountRef needs a trustedProfile"),
        (
            json!({"serviceAccountRef": {"name": "s"}, "trustedProfile": {"id": "p", "name": "n"}}),
            "set exactly one of id, name and crn",
        ),
        (json!({"apiKeySecretRef": {"name": "hpcs"}}), not_the_source),
        (target(json!({"name": "hpcs-key"})), not_the_source),
        (json!({"apiKeySecretRef": {"name": "hpcs-key", "key": "a/b"}}), "spec.apiKeySecretRef.key"),
        (json!({"apiKeySecretRef": {"name": ""}}), "spec.apiKeySecretRef.name"),
        (with("endpoint", json!("iam.cloud.ibm.com")), "spec.endpoint"),
        (with("accountId", json!("two words")), "spec.accountId"),
        (target(json!({"name": "Not_A_Name"})), "spec.target.name"),
        (target(json!({"data": []})), "spec.target.data"),
        (target(json!({"data": [{"key": "a", "format": "DockerConfigJson"}]})), "needs registries"),
        (
            target(json!({"data": [{"key": "a", "format": "Json", "registries": ["us.icr.io"]}]})),
            "no other format has them",
        ),
        (
            target(json!({"data": [{"key": "a", "format": "DockerConfigJson", "registries": ["https://us.icr.io"]}]})),
            "spec.target.data[0].registries[0]",
        ),
        (target(json!({"data": [{"key": "a"}]})), "set exactly one of format and template"),
        (
            target(json!({"data": [{"key": "a", "format": "Json", "template": "x"}]})),
            "set exactly one of format and template",
        ),
        (
            target(json!({"data": [{"key": "a", "template": "x", "registries": ["us.icr.io"]}]})),
            "no other format has them",
        ),
        (target(json!({"data": [{"key": "a", "template": ""}]})), "spec.target.data[0].template"),
        (target(json!({"data": [{"key": "a", "template": "x".repeat(32_769)}]})), "spec.target.data[0].template"),
        (target(json!({"data": [{"key": "a", "format": "Token"}]})), "spec.target.data[0].format"),
        (
            target(json!({"data": [{"key": "a", "format": "Json"}, {"key": "a", "format": "Bearer"}]})),
            "each key of target.data may be given once",
        ),
        (target(json!({"labels": {"iamtoken.dev/managed": "no"}})), "labels under iamtoken.dev/"),
        (target(json!({"annotations": {"iamtoken.dev/record": "{}"}})), "annotations under iamtoken.dev/"),
        (target(json!({"labels": {"not a label": "x"}})), "a label's name has at most 63"),
        (target(json!({"labels": {"n".repeat(64): "x"}})), "a label's name has at most 63"),
        (target(json!({"labels": {"long": "x".repeat(64)}})), "Too long"),
        (target(json!({"labels": {"odd": "not a value"}})), "should match"),
        (target(json!({"annotations": {"a/b/c": "x"}})), "an annotation's name has at most 63"),
        (target(json!({"deletionPolicy": "Keep"})), "spec.target.deletionPolicy"),
    ];
    let restart =
        |workloads: Value, period: &str| with("restart", json!({"workloads": workloads, "minPeriod": period}));
    let web = || json!({"kind": "Deployment", "name": "web"});
    let many: Value = (0..17).map(|n| json!({"kind": "Deployment", "name": format!("web-{n}")})).collect();
    table.extend([
        (with("restart", json!({})), "spec.restart.workloads"),
        (restart(json!([]), "10m"), "spec.restart.workloads"),
        (restart(many, "10m"), "spec.restart.workloads"),
        (restart(json!([web(), web()]), "10m"), "spec.restart.workloads[1]: Duplicate value"),
        (restart(json!([{"kind": "Job", "name": "web"}]), "10m"), "spec.restart.workloads[0].kind"),
        (restart(json!([{"kind": "Deployment", "name": "Web"}]), "10m"), "spec.restart.workloads[0].name"),
        (restart(json!([{"kind": "Deployment"}]), "10m"), "spec.restart.workloads[0].name"),
        (restart(json!([web()]), "soon"), "spec.restart.minPeriod"),
        (restart(json!([web()]), "0s"), "restart.minPeriod is a duration from 1s to 45m"),
        (restart(json!([web()]), "46m"), "restart.minPeriod is a duration from 1s to 45m"),
        (restart(json!([web()]), "9999h9999h9999h"), "restart.minPeriod is a duration from 1s to 45m"),
    ]);
    let spans = ["", "0%", "51%", "100%", "-5m", "5", "1d", "20 %", "soon", "1h1m1s1s"];
    table.extend(spans.map(|span| (with("renewBefore", json!(span)), "spec.renewBefore")));
    table
}

#[tokio::test]
async fn the_api_server_refuses_what_makes_no_sense() {
    let client = prepared().await.admin();
    let namespace = new_namespace(&client).await;
    let api = raw_in(client, &namespace);
    for (spec, words) in refused() {
        match api.create(&PostParams::default(), &raw_token("hpcs", &spec)).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, 422, "{spec}: {}", status.message);
                assert!(status.message.contains(words), "{spec}: {words:?} is missing in: {}", status.message);
            }
            other => panic!("{spec} was not refused: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_longest_and_shortest_spans_work() {
    let world = World::start().await;
    let spans = ["1%", "50%", "0s", "999999h", "999999h999999h999999h", "1s1m1h"];
    for (place, span) in spans.iter().enumerate() {
        let name = format!("span-{place}");
        put_good_key(&world, &name).await;
        let mut spec = spec_of(&name);
        spec["renewBefore"] = json!(span);
        world.put_token(&name, &spec).await;
        ready_at_once(&world, &name).await;
    }
    calm(&world).await;
}

#[tokio::test]
async fn a_credential_ref_where_nothing_is_lent_is_named_and_costs_no_token() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"apiKeySecretRef": null, "credentialRef": {"name": "c"}})).await;
    let words = ["spec.credentialRef", "spec.apiKeySecretRef", "clusterCredentials.namespaces"];
    stalled_but_ready(&world, "hpcs", "CredentialUnsupported", &words, ("hpcs", &data)).await;
    world.put_token("new", &json!({"credentialRef": {"name": "c"}})).await;
    stalled_and_not_ready(&world, "new", "CredentialUnsupported", &words).await;
    calm(&world).await;
    let mended = json!({"apiKeySecretRef": {"name": "hpcs-key"}, "credentialRef": null});
    for name in ["hpcs", "new"] {
        world.change_spec(name, &mended).await;
        ready_at_once(&world, name).await;
    }
    assert_eq!(world.iam.calls().len(), 1, "the token in place is still the wanted one");
}

#[tokio::test]
async fn a_profile_by_name_needs_its_account() {
    let world = World::start().await;
    put_good_key(&world, "hpcs").await;
    let mut spec = spec_of("hpcs");
    spec["trustedProfile"] = json!({"name": "payments"});
    world.put_token("hpcs", &spec).await;
    let words = ["spec.trustedProfile.name", "spec.accountId", "spec.trustedProfile.id"];
    stalled_and_not_ready(&world, "hpcs", "InvalidSpec", &words).await;
    calm(&world).await;
    world.change_spec("hpcs", &json!({"trustedProfile": null})).await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_allowed_gets_no_key() {
    let world = World::start().await;
    let (elsewhere, allowed) = (FakeIam::start(), world.iam.url());
    put_good_key(&world, "hpcs").await;
    let mut spec = spec_of("hpcs");
    spec["endpoint"] = json!(elsewhere.url());
    world.put_token("hpcs", &spec).await;
    let url = elsewhere.url();
    let words = [url.as_str(), "is not allowed", &allowed, "admin"];
    stalled_and_not_ready(&world, "hpcs", "EndpointNotAllowed", &words).await;
    calm(&world).await;
    world.change_spec("hpcs", &json!({"endpoint": allowed})).await;
    ready_at_once(&world, "hpcs").await;
    let data = world.data("hpcs").await.unwrap();
    world.change_spec("hpcs", &json!({"endpoint": url})).await;
    stalled_but_ready(&world, "hpcs", "EndpointNotAllowed", &[&url], ("hpcs", &data)).await;
    calm(&world).await;
    world.change_spec("hpcs", &json!({"endpoint": null})).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(elsewhere.calls().len(), 0, "a key went to an endpoint that is not allowed");
}

#[tokio::test]
async fn http_takes_a_flag_of_its_own() {
    let kubeconfig = harness::kubeconfig(prepared().await).await;
    let table: [(&[&str], &[&str]); 4] = [
        (
            &["--allowed-endpoints", "http://iam.example.com"],
            &["--allowed-endpoints http://iam.example.com", "https://"],
        ),
        (&["--allowed-endpoints", "https://a@b"], &["--allowed-endpoints", "https://iam.cloud.ibm.com"]),
        (&["--allowed-endpoints", ""], &["--allowed-endpoints", "at least one"]),
        (
            &["--allowed-endpoints", "https://a.example", "--default-endpoint", "https://b.example"],
            &["--default-endpoint https://b.example", "--allowed-endpoints"],
        ),
    ];
    for (arguments, words) in table {
        let output = run_to_the_end(&kubeconfig, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code != 0), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {word:?} is missing in: {said}");
        }
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn http_in_a_spec_is_no_way_round_the_allowed_https() {
    let iam = FakeIam::start();
    let port = iam.address().port();
    let world = World::start_towards(iam, &[format!("https://127.0.0.1:{port}")], "info").await;
    put_good_key(&world, "hpcs").await;
    let mut spec = spec_of("hpcs");
    spec["endpoint"] = json!(world.iam.url());
    world.put_token("hpcs", &spec).await;
    let url = world.iam.url();
    stalled_and_not_ready(&world, "hpcs", "EndpointNotAllowed", &[&url]).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
}

/// Runs the operator, which must end by itself; it is ended where it does not.
fn run_to_the_end(kubeconfig: &Path, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_iam-token-operator"))
        .arg("run")
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < harness::A_WHILE {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn a_type_that_pulls_no_images_is_named_and_costs_no_token() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let pull = json!({"key": ".dockerconfigjson", "format": "DockerConfigJson", "registries": ["us.icr.io"]});
    world.change_spec("hpcs", &json!({"target": {"type": "Opaque", "data": [pull]}})).await;
    let words = ["spec.target.type", "kubernetes.io/dockerconfigjson", "leave it out"];
    stalled_but_ready(&world, "hpcs", "InvalidSpec", &words, ("hpcs", &data)).await;
    calm(&world).await;
    world.change_spec("hpcs", &json!({"target": null})).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.iam.calls().len(), 1);
}
