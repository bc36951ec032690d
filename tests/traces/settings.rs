//! Whether traces are sent, where to, and what the variables of OpenTelemetry change.

use std::process::Command;

use testkit::fake_collector::FakeCollector;
use testkit::fake_iam::FakeIam;

use crate::harness::{World, eventually};
use crate::{SOON, world};

/// The names of the threads of the operator's process.
fn threads(world: &World) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", world.operator.pid())).unwrap();
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

fn sends_traces(world: &World) -> bool {
    threads(world).iter().any(|name| name.starts_with("OpenTelemetry"))
}

#[tokio::test(flavor = "multi_thread")]
async fn none_are_sent_unless_a_collector_is_named() {
    let collector = FakeCollector::start();
    let (without, with) = (World::start().await, world(&collector, &[SOON], "info").await);
    for world in [&without, &with] {
        world.put_pair("hpcs").await;
        world.ready("hpcs").await;
    }
    assert!(sends_traces(&with), "this test looks for the wrong thread: {:?}", threads(&with));
    assert!(!sends_traces(&without), "{:?}", threads(&without));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_opentelemetry_are_honoured() {
    let collector = FakeCollector::start();
    let iam = FakeIam::start();
    let endpoints = [iam.url()];
    let variables = [
        SOON,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20FAKE-collector-token"),
        ("OTEL_SERVICE_NAME", "tokens"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=ignored"),
        ("HOSTNAME", "pod-1"),
    ];
    let world = World::begin_in(&variables, iam, &endpoints, "trace", &[]).await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let span = eventually("a span", async || collector.spans().pop().ok_or(())).await;
    assert_eq!(collector.authorizations(), ["Bearer FAKE-collector-token"]);
    let resource = |name: &str| span.resource.get(name).map(String::as_str);
    assert_eq!((resource("service.name"), resource("service.instance.id")), (Some("tokens"), Some("pod-1")));
    assert_eq!(resource("deployment.environment.name"), Some("test"));
    let log = world.operator.log();
    assert!(log.contains("TRACE") && !log.contains("FAKE-collector-token"), "the collector's token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampler_that_takes_none_leaves_none() {
    let collector = FakeCollector::start();
    let world = world(&collector, &[SOON, ("OTEL_TRACES_SAMPLER", "always_off")], "info").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    world.operator.signal("-TERM");
    eventually("the last line of the log", async || world.operator.log().contains("stopped").then_some(()).ok_or(()))
        .await;
    assert_eq!(collector.requests().len(), 0);
}

#[test]
fn what_is_no_collector_is_refused_at_the_start() {
    let refused = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iam-token-operator"));
        let output = command.arg("run").args(arguments).envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (code, said) in [
        refused(&["--otlp-endpoint", "collector:4317"], &[]),
        refused(&[], &[("IAM_TOKEN_OPERATOR_OTLP_ENDPOINT", "collector:4317")]),
    ] {
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("--otlp-endpoint: write http:// or https://"), "{said}");
    }
    let (code, said) = refused(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]);
    assert!(code == Some(2) && said.contains("OTEL_EXPORTER_OTLP_ENDPOINT: write"), "{said}");
}
