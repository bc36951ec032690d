//! Two replicas, one of which acts. What a leader must not do that is stopped or cut off: `tests/chaos`.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::time::sleep;

use crate::harness::{Operator, World, eventually};

/// `core::lease::DURATION`
const DURATION: Duration = Duration::from_secs(15);

/// A world in whose place of the lone operator two compete; the first of them leads.
async fn two() -> (World, Operator, Operator) {
    let mut world = World::start().await;
    world.operator.kill();
    let first = world.replica(&[]).await;
    eventually("the first leads", async || leads(&first)).await;
    let second = world.replica(&[]).await;
    eventually("the second watches", async || {
        if second.log().contains("watching IamTokens") { Ok(()) } else { Err(second.log()) }
    })
    .await;
    (world, first, second)
}

fn leads(operator: &Operator) -> Result<(), String> {
    let log = operator.log();
    if log.contains(": leading") { Ok(()) } else { Err(log) }
}

#[tokio::test]
async fn one_acts_and_after_a_crash_the_other_within_the_leases_duration() {
    let (world, mut first, second) = two().await;
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    assert!(leads(&second).is_err(), "{}", second.log());
    let before = world.secrets().get("hpcs").await.unwrap().metadata.resource_version;
    let begin = Instant::now();
    first.kill();
    eventually("the second leads", async || leads(&second)).await;
    assert!(begin.elapsed() <= DURATION, "{:?}", begin.elapsed());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.iam.calls_of(&key).len(), 1, "the token was still good");
    assert_eq!(world.secrets().get("hpcs").await.unwrap().metadata.resource_version, before);
    world.delete_secret("hpcs").await;
    eventually("made anew by the second", async || world.data("hpcs").await.ok_or(())).await;
}

#[tokio::test]
async fn after_an_orderly_stop_the_other_acts_within_two_seconds() {
    let (world, first, second) = two().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let begin = Instant::now();
    first.signal("-TERM");
    eventually("the second leads", async || leads(&second)).await;
    assert!(begin.elapsed() <= Duration::from_secs(2), "{:?}", begin.elapsed());
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let lease = leases.get("iam-token-operator").await.unwrap().spec.unwrap();
    assert!(lease.lease_transitions.unwrap() >= 2, "{lease:?}");
}
