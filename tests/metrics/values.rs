//! The values follow what happens.

use iam_token_operator::api::REFRESH_REQUESTED;
use kube::api::DeleteParams;
use serde_json::json;

use crate::harness::operator::get;
use crate::scrape::{scrape, until};
use crate::{world, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_its_refresh_are_told() {
    let world = world().await;
    let endpoint = world.iam.url();
    let of_endpoint = [("endpoint", &*endpoint)];
    let none_yet = scrape(&world.operator).await;
    assert_eq!(none_yet.value("exchanges_total", &[of_endpoint[0], ("result", "ok")]), Some(0.0));
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let status = world.status("hpcs").await;
    let first = until(&world.operator, "ready", |scrape| scrape.of_token("ready", "hpcs") == Some(1.0)).await;
    for (name, time) in [
        ("expiry_timestamp_seconds", status.expires_at),
        ("next_refresh_timestamp_seconds", status.refresh_at),
        ("last_refresh_timestamp_seconds", status.refreshed_at),
    ] {
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let time = time.map(|time| time.0.as_second() as f64);
        assert_eq!(first.of_token(name, "hpcs"), time, "{name}");
    }
    assert_eq!(
        first.of_token("expiry_timestamp_seconds", "hpcs"),
        first.value("tokens_earliest_expiry_timestamp_seconds", &[])
    );
    assert_eq!(first.value("tokens", &[("state", "ready")]), Some(1.0));
    assert_eq!(first.value("tokens_omitted", &[]), Some(0.0));
    assert_eq!(first.value("exchanges_total", &[of_endpoint[0], ("result", "ok")]), Some(1.0));
    assert_eq!(first.value("exchange_duration_seconds_count", &of_endpoint), Some(1.0));
    assert_eq!(
        first.value("api_requests_total", &[("verb", "get"), ("resource", "secrets"), ("code", "200")]),
        Some(1.0)
    );
    assert!(first.value("reconciles_total", &[("outcome", "acted")]) >= Some(1.0), "{}", first.text);
    for secret in [&*key, data["token"].as_str().unwrap()] {
        assert!(!first.text.contains(secret), "a secret in {}", first.text);
    }

    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    let again = [of_endpoint[0], ("result", "ok")];
    until(&world.operator, "refreshed", |scrape| scrape.value("exchanges_total", &again) == Some(2.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_for_two_is_one_exchange_and_one_shared() {
    let world = world().await;
    let key = world.iam.service_id_key(&world.namespace);
    world.put_key("key", &key).await;
    world.iam.set_latency(std::time::Duration::from_secs(1));
    for name in ["one", "two"] {
        world.put_token(name, &json!({"apiKeySecretRef": {"name": "key"}})).await;
    }
    world.ready("one").await;
    world.ready("two").await;
    let scrape = scrape(&world.operator).await;
    assert_eq!(scrape.sum("exchanges_total", &[("result", "ok")]), 1.0);
    assert_eq!(scrape.value("exchanges_shared_total", &[]), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_one_has_no_next_refresh() {
    let world = world().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let state = [("state", "suspended")];
    until(&world.operator, "none suspended", |scrape| scrape.value("tokens", &state) == Some(0.0)).await;
    world.change_spec("hpcs", &json!({"suspend": true})).await;
    let next = "next_refresh_timestamp_seconds";
    let suspended = until(&world.operator, "no refresh", |scrape| scrape.of_token(next, "hpcs").is_none()).await;
    assert_eq!(suspended.value("tokens", &state), Some(1.0));
    assert_eq!(suspended.of_token("ready", "hpcs"), Some(1.0), "the token is still good");
    assert_eq!(suspended.value("tokens_earliest_expiry_timestamp_seconds", &[]), None);
    world.change_spec("hpcs", &json!({"suspend": false})).await;
    until(&world.operator, "a refresh", |scrape| scrape.of_token(next, "hpcs").is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_go_with_their_iamtoken() {
    let world = world().await;
    for name in ["gone", "stays"] {
        world.put_pair(name).await;
        world.ready(name).await;
    }
    until(&world.operator, "both", |scrape| scrape.of_token("ready", "gone") == Some(1.0)).await;
    world.tokens().delete("gone", &DeleteParams::default()).await.unwrap();
    let after = until(&world.operator, "one", |scrape| !scrape.text.contains("\"gone\"")).await;
    assert_eq!(after.of_token("ready", "stays"), Some(1.0));
    assert_eq!(after.value("tokens", &[("state", "ready")]), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_and_its_build_are_told() {
    let world = world().await;
    let scrape = scrape(&world.operator).await;
    let value = |name: &str| {
        let line = scrape.text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let mebibyte = 1024.0 * 1024.0;
    assert!(value("process_resident_memory_bytes") > mebibyte && value("process_virtual_memory_bytes") > mebibyte);
    assert!(value("process_cpu_seconds_total") < 60.0 && value("process_open_fds") > 5.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - value("process_start_time_seconds")).abs() < 60.0);
    assert_eq!(scrape.value("build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_metrics_are_answered_there() {
    let world = world_with(&["--health-bind-address", "127.0.0.1:0"]).await;
    let address = world.operator.address("scrapes").await;
    for path in ["/", "/livez", "/metrics/more"] {
        assert!(get(address, path).unwrap().0.starts_with("HTTP/1.1 404"), "{path}");
    }
}
