//! Who fills etcd.

use iam_token_operator::api::CONDITION_READY;
use kube::Resource as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::budget::requests;
use crate::harness::{World, condition, eventually};

/// The most that a status takes, in bytes of JSON.
const STATUS: usize = 6 * 1024;

/// The most that an event takes.
const EVENT: usize = 3 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn flipping_makes_no_more_than_some_events() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let mark = world.plane.audit_mark().await;
    // Each of another text, so that none counts as the one before.
    for number in 0..60 {
        let endpoint = format!("https://host-{number}.example");
        world.change_spec("hpcs", &json!({"endpoint": endpoint})).await;
        told(&world, "hpcs", |status| status.to_string().contains(&endpoint)).await;
        world.change_spec("hpcs", &json!({"endpoint": null})).await;
        told(&world, "hpcs", |status| !status.to_string().contains("EndpointNotAllowed")).await;
    }
    let written = requests(&world, mark, "events").await;
    assert!((10..=26).contains(&written), "{written} writes of events for 120 changes");
}

/// Waits until the status is as it should be.
async fn told(world: &World, name: &str, is: impl Fn(&Value) -> bool) {
    eventually("the status tells it", async || {
        let status = serde_json::to_value(world.status(name).await).unwrap();
        if is(&status) { Ok(()) } else { Err(status) }
    })
    .await;
}

/// Longer than a condition's message should ever be.
fn long(length: usize) -> String {
    "x".repeat(length)
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_inputs_make_small_statuses_and_events() {
    let world = World::start().await;
    let key = world.iam.service_id_key(&world.namespace);
    world.put_key("key", &key).await;
    world.put_key("huge", &long(1_000_000)).await;
    let good = json!({"name": "key"});
    let name = |letter: &str| letter.repeat(253);
    let entry = |number: usize| json!({"key": format!("{number:0>253}"), "format": "AccessToken"});
    let specs = [
        ("huge-value", json!({"apiKeySecretRef": {"name": "huge"}}), "SourceInvalid"),
        ("long-source", json!({"apiKeySecretRef": {"name": name("s"), "key": name("k")}}), "SourceNotFound"),
        ("long-key", json!({"apiKeySecretRef": {"name": "key", "key": name("k")}}), "SourceKeyNotFound"),
        ("long-credential", json!({"credentialRef": {"name": name("c")}}), "CredentialUnsupported"),
        ("long-profile", json!({"serviceAccountRef": {"name": name("s")}, "trustedProfile": {"name": "p"}}), ""),
        ("long-target", json!({"apiKeySecretRef": good, "target": {"name": name("t")}}), "TokenValid"),
        (&name("n"), json!({"apiKeySecretRef": good}), "TokenValid"),
        (
            "long-endpoint",
            json!({"apiKeySecretRef": good, "endpoint": format!("https://{}.example", long(200))}),
            "EndpointNotAllowed",
        ),
        (
            "long-template",
            json!({"apiKeySecretRef": good, "target": {"data": [{"key": name("k"), "template": format!("{{{{ {} }}}}", long(8000))}]}}),
            "TemplateInvalid",
        ),
        (
            "many-entries",
            json!({"apiKeySecretRef": good, "target": {"data": (0..32).map(entry).collect::<Vec<_>>()}}),
            "TokenValid",
        ),
    ];
    for (name, spec, _) in &specs {
        world.put_token(name, spec).await;
        let annotation = json!({"metadata": {"annotations": {"iamtoken.dev/refresh-requested": long(1024)}}});
        world.tokens().patch(name, &PatchParams::default(), &Patch::Merge(annotation)).await.unwrap();
    }
    for (name, _, reason) in &specs {
        let status = eventually(&format!("{name:.20} tells {reason}"), async || {
            let status = world.status(name).await;
            let told = condition(&status, CONDITION_READY).is_some_and(|it| reason.is_empty() || it.reason == *reason);
            if told { Ok(status) } else { Err(status) }
        })
        .await;
        let size = serde_json::to_string(&status).unwrap().len();
        assert!(size <= STATUS, "{name:.20}: a status of {size} bytes");
    }
    for event in world.events().await {
        let size = serde_json::to_string(&event).unwrap().len();
        assert!(size <= EVENT, "an event of {size} bytes: {:?}", event.meta().name);
    }
    let thousands = json!({"apiKeySecretRef": good, "target": {"data": (0..3000).map(entry).collect::<Vec<_>>()}});
    let token = json!({"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": "thousands"}, "spec": thousands});
    let refused = world.tokens().create(&PostParams::default(), &serde_json::from_value(token).unwrap()).await;
    assert!(refused.is_err(), "the CRD refuses thousands of entries");
}
