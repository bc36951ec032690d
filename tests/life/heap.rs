//! What is in the memory of the running operator a minute after it wrote its last token, and what of it may be swapped.

use iam_token_operator::api::REFRESH_REQUESTED;
use serde_json::json;
use testkit::fake_iam::{Fault, Times};
use tokio::time::sleep;

use crate::harness::heap::{A_MINUTE, Memory};
use crate::harness::{World, eventually, skipped};

fn token(data: &serde_json::Value) -> String {
    data["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_minute_after_the_last_write_no_key_and_no_token_is_in_memory() {
    let world = World::start().await;
    let process = world.operator.pid();
    if let Err(error) = Memory::of(process) {
        return skipped(&format!("a look into the operator's memory: {error}"));
    }
    let key = world.put_pair("hpcs").await;
    world.iam.let_read_own_key(&key, true);
    let data = world.ready("hpcs").await;
    let mut secrets = vec![key, token(&data)];
    let memory = Memory::of(process).unwrap();
    assert_ne!(memory.places(&token(&data)), Vec::<String>::new(), "it is at hand for a minute: the test is blind");

    world.iam.fault(&secrets[0], Fault::error("BXNIM0415E"), Times::Forever);
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    world.condition("hpcs", "Stalled", "CredentialRejected").await;

    let rotated = world.iam.service_id_key("heap-rotated");
    world.put_key("hpcs-key", &rotated).await;
    let data = world.changed("hpcs", &data).await;
    secrets.extend([rotated, token(&data)]);

    let spoilt = kube::api::Patch::Merge(json!({"stringData": {"token": "spoilt"}}));
    world.secrets().patch("hpcs", &kube::api::PatchParams::default(), &spoilt).await.unwrap();
    let data = eventually("the spoilt token replaced", async || {
        let data = world.data("hpcs").await.unwrap_or_default();
        if data["token"] == "spoilt" { Err(data) } else { Ok(data) }
    })
    .await;
    secrets.push(token(&data));

    sleep(A_MINUTE).await;
    let memory = Memory::of(process).unwrap();
    let found: Vec<_> = secrets.iter().map(|secret| (&secret[..8], memory.places(secret))).collect();
    assert!(found.iter().all(|(_, places)| places.is_empty()), "{found:?}");
}

#[tokio::test]
async fn memory_is_locked_where_that_needs_no_bound() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let read = |process: &str, file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    let own = read("self", "status");
    let capable = u64::from_str_radix(&field(&own, "CapEff:"), 16).unwrap() >> 14 & 1 == 1;
    let unlimited = field(&read("self", "limits"), "Max locked memory") == "unlimited";
    let status = read(&world.operator.pid().to_string(), "status");
    assert_eq!(field(&status, "VmLck:") != "0", capable || unlimited, "{status}");
}
