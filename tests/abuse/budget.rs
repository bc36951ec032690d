//! Who makes the operator work, and how much.

use std::time::{Duration, Instant};

use iam_token_operator::api::{CONDITION_READY, RECORD};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::control_plane::AuditMark;
use testkit::fake_iam::FakeIam;

use crate::harness::{
    A_WHILE, Operator, Start, World, allow_operator, condition, data_of, eventually, kubeconfig, new_namespace,
    put_secret, put_token,
};

/// A minute; ten times as much at once.
const PER_MINUTE: usize = 6;

async fn world() -> World {
    World::start_more(&["--namespace-budget", &PER_MINUTE.to_string()]).await
}

/// What the budget allows in this time, rounded up.
fn allowed(time: Duration) -> usize {
    10 * PER_MINUTE + usize::try_from(time.as_secs()).unwrap() * PER_MINUTE / 60 + 1
}

/// The operator's requests about this namespace since then, but for watches.
pub async fn requests(world: &World, since: AuditMark, resource: &str) -> usize {
    let events = world.plane.audit_since(since).await;
    let ours = events.iter().filter(|event| {
        event.namespace == world.namespace
            && event.user_agent.starts_with("iam-token-operator/")
            && event.verb != "watch"
    });
    ours.filter(|event| format!("{}/{}", event.resource, event.subresource).trim_end_matches('/') == resource).count()
}

/// One operator for this namespace and another one, which is the neighbour's; its name.
async fn with_neighbour(world: &mut World) -> String {
    let neighbour = new_namespace(&world.client).await;
    allow_operator(&world.client, &neighbour).await;
    world.operator.kill();
    world.operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(world.plane).await,
        namespaces: &[world.namespace.clone(), neighbour.clone()],
        endpoints: &[world.iam.url()],
        log_level: "info",
        more: &["--namespace-budget", &PER_MINUTE.to_string()],
    });
    neighbour
}

fn service_key(iam: &FakeIam, namespace: &str, number: usize) -> String {
    iam.service_id_key(&format!("{namespace}-{number}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_who_churns_gets_the_budget_and_no_more() {
    const TOKENS: usize = 12;
    let mut world = world().await;
    let neighbour = with_neighbour(&mut world).await;
    let key = service_key(&world.iam, &neighbour, 0);
    world.iam.set_key_lifetime(&key, Some(12));
    put_secret(&world.client, &neighbour, "hpcs-key", &json!({"apikey": key})).await;
    put_token(&world.client, &neighbour, "hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}})).await;
    for number in 0..TOKENS {
        world.put_pair(&format!("t{number}")).await;
    }
    for number in 0..TOKENS {
        world.ready(&format!("t{number}")).await;
    }
    let (mark, begun, others) = (world.plane.audit_mark().await, Instant::now(), world.iam.exchanges_of(&key));
    let before = world.iam.calls_begun() - others;
    let mut edits = 0;
    while begun.elapsed() < Duration::from_secs(8) || edits < 300 {
        let name = format!("t{}", edits % TOKENS);
        match edits / TOKENS % 3 {
            0 => world.put_key(&format!("{name}-key"), &service_key(&world.iam, &name, edits)).await,
            1 => world.annotate(&name, "iamtoken.dev/refresh-requested", &edits.to_string()).await,
            _ => world.change_spec(&name, &json!({"target": {"name": format!("{name}-{}", edits % 5)}})).await,
        }
        edits += 1;
        assert!(begun.elapsed() < 4 * A_WHILE, "the API server takes few edits: {edits}");
    }
    let told = eventually("somebody is told why they wait", async || {
        for number in 0..TOKENS {
            let status = world.status(&format!("t{number}")).await;
            assert!(condition(&status, CONDITION_READY).is_some_and(|ready| ready.status == "True"), "{status:?}");
            if let Some(told) = condition(&status, "Reconciling").filter(|it| it.reason == "NamespaceOverBudget") {
                return Ok(told.message.clone());
            }
        }
        Err(())
    })
    .await;
    assert!(told.contains(&world.namespace) && told.contains("--namespace-budget"), "{told}");
    let exchanges = world.iam.calls_begun() - before - world.iam.exchanges_of(&key);
    let (secrets, statuses) =
        (requests(&world, mark, "secrets").await, requests(&world, mark, "iamtokens/status").await);
    let most = allowed(begun.elapsed());
    assert!(exchanges <= most, "{exchanges} exchanges, {most} allowed, {edits} edits");
    assert!(secrets <= 3 * most, "{secrets} requests for Secrets, {most} acts allowed, {edits} edits");
    assert!(statuses <= edits + 2 * most, "{statuses} statuses, {most} acts allowed, {edits} edits");
    assert!(world.iam.exchanges_of(&key) > others, "the neighbour's token is refreshed meanwhile");
    let lines = world.operator.log().lines().filter(|line| line.contains("over budget")).count();
    assert_eq!(lines, 1, "one line for the namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_makes_no_refresh_due() {
    let world = world().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let (begun, before) = (Instant::now(), world.iam.calls_begun());
    let mut forged = 0;
    while forged < 150 {
        let secret = world.secrets().get("hpcs").await.unwrap();
        let mut record: Value = serde_json::from_str(&secret.metadata.annotations.unwrap()[RECORD]).unwrap();
        assert!(record["refreshedAt"].is_string(), "{record}");
        record["refreshedAt"] = json!("2020-01-01T00:00:00Z");
        // Another key each time, so that no rate of a key stands in the way.
        world.put_key("hpcs-key", &service_key(&world.iam, &world.namespace, forged)).await;
        let patch = json!({"metadata": {"annotations": {RECORD: record.to_string()}}});
        world.secrets().patch("hpcs", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        forged += 1;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let exchanges = world.iam.calls_begun() - before;
    // And one each 15 s, which is what a due one may take.
    let most = allowed(begun.elapsed()) + usize::try_from(begun.elapsed().as_secs()).unwrap() / 15 + 1;
    assert!((5..=most).contains(&exchanges), "{exchanges} exchanges, {most} allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_of_many_is_no_lever() {
    const TOKENS: usize = 50;
    let world = world().await;
    let key = service_key(&world.iam, &world.namespace, 0);
    world.put_key("shared", &key).await;
    for number in 0..TOKENS {
        world.put_token(&format!("t{number}"), &json!({"apiKeySecretRef": {"name": "shared"}})).await;
    }
    for number in 0..TOKENS {
        world.ready(&format!("t{number}")).await;
    }
    let (mark, begun) = (world.plane.audit_mark().await, Instant::now());
    for _ in 0..10 {
        world.delete_secret("shared").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.put_key("shared", &key).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let most = allowed(begun.elapsed());
    let (secrets, statuses) =
        (requests(&world, mark, "secrets").await, requests(&world, mark, "iamtokens/status").await);
    assert!(secrets <= 3 * most, "{secrets} requests for Secrets, {most} acts allowed");
    // Each is once told that the namespace is over its budget, for each status that was paid for.
    assert!(statuses <= 2 * most + 2 * TOKENS, "{statuses} statuses for 20 edits, {most} acts allowed");
    for number in 0..TOKENS {
        let data = data_of(&world.secrets().get(&format!("t{number}")).await.unwrap());
        assert!(data["token"].is_string(), "what was in the targets is left there");
    }
}
