//! Neither key nor token is found where it does not belong, through a whole life at the most talkative log level.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam_token_operator::api::{CONDITION_READY, REFRESH_REQUESTED};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use testkit::fake_iam::{FakeIam, Fault, Times};

use crate::harness::operator::get;
use crate::harness::{Operator, Start, World, allow_operator, eventually, kubeconfig, new_namespace, prepared};
use crate::spoiler::Spoiler;

/// Everything, kube's own spans included.
const TALKATIVE: &str = "trace,kube_client::client=trace";

#[tokio::test]
async fn no_key_and_no_token_is_ever_shown() {
    let world = talkative().await;
    world.iam.set_lifetime(6);
    let old = world.put_pair("hpcs").await;
    let mut secrets = vec![old.clone()];
    let mut data = world.ready("hpcs").await;
    let mut keep = |data: &serde_json::Value| secrets.push(data["token"].as_str().unwrap().to_owned());
    keep(&data);
    data = world.changed("hpcs", &data).await;
    keep(&data);
    world.iam.fault(&old, Fault::error("BXNIM0415E"), Times::Count(1));
    world.annotate("hpcs", REFRESH_REQUESTED, "1").await;
    eventually("the key rejected", async || {
        let status = world.status("hpcs").await;
        if status.conditions.iter().any(|c| c.reason == "CredentialRejected") { Ok(()) } else { Err(status) }
    })
    .await;
    let new = world.iam.service_id_key("leak-rotated");
    world.put_key("hpcs-key", &new).await;
    data = world.changed("hpcs", &data).await;
    keep(&data);
    world.delete_secret("hpcs").await;
    data = eventually("made anew", async || world.data("hpcs").await.ok_or(())).await;
    keep(&data);
    let spoilt = json!({"stringData": {"token": "spoilt"}});
    let patch = kube::api::Patch::Merge(spoilt);
    world.secrets().patch("hpcs", &kube::api::PatchParams::default(), &patch).await.unwrap();
    let before = data["token"].as_str().unwrap().to_owned();
    let repaired = eventually("the spoilt token replaced", async || {
        let token = world.data("hpcs").await.unwrap()["token"].as_str().unwrap().to_owned();
        if token == "spoilt" { Err(token) } else { Ok(token) }
    })
    .await;
    assert!([before.as_str(), repaired.as_str()].iter().all(|token| token.starts_with("eyJ")));
    secrets.extend([new, repaired]);

    let places = places(&world).await;
    assert!(places[0].1.contains("TRACE") && world.events().await.len() >= 2, "this test looks at too little");
    for (place, text) in &places {
        assert!(text.len() > 100, "nothing is in {place}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret is in {place}");
            let part = secret.rsplit('.').next().unwrap();
            let part = &part[part.len() - 20..];
            assert!(!text.contains(part), "a part of a secret is in {place}");
            let encoded = STANDARD.encode(secret);
            assert!(!text.contains(&encoded[..encoded.len() - 4]), "a secret is in {place} in base64");
        }
    }
}

/// With all that it can show.
async fn talkative() -> World {
    let plane = prepared().await;
    let (client, iam) = (plane.admin(), FakeIam::start());
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    let ports = ["--metrics-bind-address", "127.0.0.1:0", "--health-bind-address", "127.0.0.1:0"];
    let operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(plane).await,
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: TALKATIVE,
        more: &[&ports[..], &["--leader-elect", "--lease-namespace", &namespace]].concat(),
    });
    World { plane, client, namespace, iam, operator }
}

/// Whatever is told of the operator's work, and where.
async fn places(world: &World) -> Vec<(&'static str, String)> {
    let tokens = world.tokens().list(&ListParams::default()).await.unwrap().items;
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let leases = leases.list(&ListParams::default()).await.unwrap().items;
    let mut metadata = world.secrets().get("hpcs").await.unwrap().metadata;
    metadata.managed_fields = None;
    let (scrapes, probes) = (world.operator.address("scrapes").await, world.operator.address("probes").await);
    let answers = [(probes, "/livez"), (probes, "/readyz"), (probes, "/log-level"), (scrapes, "/metrics")]
        .map(|(address, path)| get(address, path).unwrap())
        .map(|(head, body)| head + &body);
    vec![
        ("the log", world.operator.log()),
        ("events", serde_json::to_string(&world.events().await).unwrap()),
        ("IamTokens", serde_json::to_string(&tokens).unwrap()),
        ("the Lease", serde_json::to_string(&leases).unwrap()),
        ("the target's metadata", serde_json::to_string(&metadata).unwrap()),
        ("the answers to probes and scrapes", answers.concat()),
    ]
}

/// kube logs what it cannot decode.
#[tokio::test]
async fn a_secret_that_cannot_be_decoded_is_not_shown() {
    let plane = prepared().await;
    let (client, iam) = (plane.admin(), FakeIam::start());
    let namespace = new_namespace(&client).await;
    let key = iam.service_id_key("undecodable");
    let value = STANDARD.encode(&key);
    let (good, bad) = (format!("\"{value}\""), format!("[\"{value}\"]"));
    let spoiler = Spoiler::start(client.clone(), "/secrets/hpcs-key", good, bad).await;
    let operator = Operator::start(&Start {
        kubeconfig: spoiler.kubeconfig(),
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: TALKATIVE,
        more: &[],
    });
    let world = World { plane, client, namespace, iam, operator };
    world.put_key("hpcs-key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}})).await;
    world.condition("hpcs", CONDITION_READY, "ApiServerUnavailable").await;
    assert!(spoiler.spoilt() > 0);
    world.assert_hidden(&[key]).await;
}

/// No core file, and neither arguments nor environment name a secret: what others see of the process from outside.
#[tokio::test]
async fn the_process_leaves_nothing_behind_and_shows_nothing() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let token = world.ready("hpcs").await["token"].as_str().unwrap().to_owned();
    let proc = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{file}", world.operator.pid())).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let limits = proc("limits");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{cores}");
    for text in [proc("cmdline"), proc("environ")] {
        assert!(text.len() > 10 && !text.contains(&key) && !text.contains(&token));
    }
}
