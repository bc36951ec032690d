//! What is logged can be changed while the process runs, from the pod itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use iam_token_operator::api::REFRESH_REQUESTED;
use serde_json::Value;
use testkit::fake_iam::FakeIam;

use crate::harness::operator::ask;
use crate::harness::{World, eventually, skipped};

/// Status and body.
fn level(address: SocketAddr, method: &str, body: &str) -> (u16, String) {
    let (head, body) = ask(address, method, "/log-level", body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

async fn refreshed(world: &World, request: &str) {
    let data = world.data("hpcs").await.unwrap();
    world.annotate("hpcs", REFRESH_REQUESTED, request).await;
    world.changed("hpcs", &data).await;
}

/// How long the log is, in bytes, once no more comes of what was logged before.
async fn settled(world: &World) -> usize {
    let mut before = usize::MAX;
    eventually("a quiet log", async || {
        let now = world.operator.log().len();
        let quiet = std::mem::replace(&mut before, now) == now;
        tokio::time::sleep(Duration::from_millis(300)).await;
        if quiet { Ok(now) } else { Err(()) }
    })
    .await
}

#[tokio::test]
async fn it_can_be_made_talkative_and_quiet_again() {
    let world = World::start_more(&["--health-bind-address", "127.0.0.1:0"]).await;
    let address = world.operator.address("probes").await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    assert_eq!(level(address, "GET", ""), (200, "info\n".into()));
    assert!(!world.operator.log().contains("TRACE"));
    assert_eq!(level(address, "PUT", "trace\n"), (200, "trace\n".into()));
    refreshed(&world, "1").await;
    assert!(world.operator.log().contains("TRACE"));
    assert_eq!(level(address, "PUT", "warn,iam_token_operator=info"), (200, "warn,iam_token_operator=info\n".into()));
    let before = settled(&world).await;
    refreshed(&world, "2").await;
    let after = eventually("the line of the refresh", async || {
        let log = world.operator.log()[before..].to_owned();
        if log.contains("refreshed") { Ok(log) } else { Err(log) }
    })
    .await;
    assert!(!after.contains("TRACE") && !after.contains("DEBUG"), "{after}");
}

#[tokio::test]
async fn what_is_no_level_changes_nothing() {
    let world = World::start_more(&["--health-bind-address", "127.0.0.1:0"]).await;
    let address = world.operator.address("probes").await;
    for wrong in ["loud", "", "a=b=c", &"x".repeat(5000)] {
        let (status, said) = level(address, "PUT", wrong);
        assert!([400, 413].contains(&status), "{status} {said}");
    }
    assert_eq!(level(address, "POST", "debug").0, 405);
    assert_eq!(level(address, "GET", ""), (200, "info\n".into()));
}

/// Whoever reaches the port over the network may ask for probes alone.
#[tokio::test]
async fn it_is_no_business_of_other_hosts() {
    let Some(own) = address_of_this_host() else { return skipped("this host has no address but its own loopback") };
    let world = World::start_more(&["--health-bind-address", "0.0.0.0:0"]).await;
    let port = world.operator.address("probes").await.port();
    let (status, said) = level(SocketAddr::new(own, port), "PUT", "trace");
    assert!(status == 403 && said.contains("port-forward"), "{status} {said}");
    assert_eq!(level(SocketAddr::new(own, port), "GET", "").0, 403);
    assert_eq!(level(([127, 0, 0, 1], port).into(), "GET", ""), (200, "info\n".into()));
}

/// That which others would reach it at; nothing is sent to find it out. `None` on a host with no network.
fn address_of_this_host() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn each_line_of_json_is_an_object_with_no_key_twice() {
    let iam = FakeIam::start();
    let endpoints = [iam.url()];
    let world = World::begin_in(&[], iam, &endpoints, "debug", &["--log-format", "json"]).await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    refreshed(&world, "1").await;
    let log = world.operator.log();
    let ours: Vec<_> = log.lines().filter(|line| line.contains(r#""target":"iam_token_operator"#)).collect();
    assert!(ours.iter().any(|line| line.contains(r#""target_secret":"hpcs""#)), "{log}");
    for line in ours {
        // JSON is YAML, and this parser of YAML refuses a key that comes twice.
        let fields: BTreeMap<String, Value> =
            serde_saphyr::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        assert!(["timestamp", "level", "message"].iter().all(|key| fields.contains_key(*key)), "{line}");
    }
}
