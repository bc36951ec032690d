//! Neither key nor token is in any span, whatever is logged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam_token_operator::api::REFRESH_REQUESTED;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::fake_collector::FakeCollector;
use testkit::fake_iam::{Fault, Times};

use crate::harness::{World, eventually};
use crate::{SOON, world};

/// Everything, kube's own spans included.
const TALKATIVE: &str = "trace,kube_client::client=trace";

fn token_in(data: &Value) -> String {
    data["token"].as_str().unwrap().to_owned()
}

/// Asks for a refresh that fails with this, and waits until it has.
async fn rejected(world: &World, key: &str, fault: Fault, request: &str) {
    world.iam.fault(key, fault, Times::Count(1));
    world.annotate("hpcs", REFRESH_REQUESTED, request).await;
    let pending = async || if world.iam.pending_faults() == 0 { Ok(()) } else { Err(()) };
    eventually("the refusal", pending).await;
    world.condition("hpcs", "Stalled", "CredentialRejected").await;
}

/// Refreshes, a rejected key that IAM echoes wherever it can, a rotation, a target that is spoilt, a key that is none.
async fn a_life(world: &World) -> Vec<String> {
    world.iam.set_lifetime(20);
    let old = world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    let mut secrets = vec![old.clone(), token_in(&data)];
    let echo = Fault::Raw {
        status: 400,
        headers: vec![("Transaction-Id".into(), old.clone())],
        body: json!({"errorCode": old, "errorMessage": old, "errorDetails": old, "context": {"requestId": old}})
            .to_string(),
    };
    rejected(world, &old, echo, "1").await;
    rejected(world, &old, Fault::error("BXNIM0415E"), "2").await;
    let new = world.iam.service_id_key("leak-rotated");
    data = world.data("hpcs").await.unwrap_or(data);
    world.put_key("hpcs-key", &new).await;
    data = world.changed("hpcs", &data).await;
    secrets.extend([new, token_in(&data)]);
    let spoilt = Patch::Merge(json!({"stringData": {"token": "spoilt"}}));
    world.secrets().patch("hpcs", &PatchParams::default(), &spoilt).await.unwrap();
    let repaired = eventually("the spoilt token replaced", async || {
        let data = world.data("hpcs").await.unwrap();
        if data["token"] == "spoilt" { Err(()) } else { Ok(data) }
    })
    .await;
    world.delete_secret("hpcs").await;
    data = eventually("made anew", async || world.data("hpcs").await.ok_or(())).await;
    let none = "FAKE key that is none, with blanks";
    world.put_key("none", none).await;
    world.put_token("bad", &json!({"apiKeySecretRef": {"name": "none"}})).await;
    world.condition("bad", "Stalled", "SourceInvalid").await;
    secrets.extend([token_in(&repaired), token_in(&data), none.to_owned()]);
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_no_token_is_in_any_span() {
    let collector = FakeCollector::start();
    let mut world = world(&collector, &[SOON], TALKATIVE).await;
    let secrets = a_life(&world).await;
    world.operator.signal("-TERM");
    eventually("the end", async || world.operator.exit_code().ok_or(())).await;

    let spans = collector.spans();
    let exchanges: Vec<_> = spans.iter().filter(|span| span.name == "exchange").collect();
    let failed = exchanges.iter().filter(|span| span.error.is_some()).count();
    assert!(
        world.operator.log().contains("TRACE") && exchanges.len() >= 4 && failed >= 2,
        "this test looks at too little"
    );
    for span in &spans {
        let known = ["reconcile", "observe", "exchange", "apply", "status"].contains(&&*span.name);
        assert!(known || span.client, "a span of somebody else: {span:?}");
    }
    let sent: Vec<_> = collector.requests().iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect();
    for secret in &secrets {
        let tail = &secret[secret.len() - secret.len().min(20)..];
        for form in [secret, tail, &STANDARD.encode(secret)] {
            assert!(sent.iter().all(|body| !body.contains(form)), "a secret that begins {secret:.8} is in a span");
        }
    }
}
