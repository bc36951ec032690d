//! Real statuses, seen by the Lua that Argo CD would run, by kstatus and by Flux: docs/gitops.md has the table.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iam_token_operator::api::{CONDITION_API_KEY_AT_RISK, CONDITION_READY};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::fake_iam::{Fault, Times};

use crate::harness::{World, condition, eventually, from_yaml, new_namespace, put_token};
use crate::{object, root, text_of};

const LUA: &str = "docs/examples/gitops/argocd/health.lua";
const ARGOCD_CM: &str = "docs/examples/gitops/argocd/argocd-cm.yaml";
const KUSTOMIZATION: &str = "docs/examples/gitops/flux/payments.yaml";

/// A lifetime that ends within a test, in seconds.
const SHORT: u64 = 4;

#[derive(Deserialize)]
struct Health {
    status: String,
    message: String,
}

#[derive(Deserialize)]
struct Answer {
    argo: Health,
    kstatus: Health,
    flux: Health,
}

/// What IAM does to a refresh.
#[derive(Clone, Copy)]
enum Trouble {
    /// What should pass: the operator goes on trying.
    Passing,
    /// What only a person can mend.
    Lasting,
}

impl Trouble {
    fn fault(self) -> Fault {
        match self {
            Self::Passing => Fault::status(503),
            Self::Lasting => Fault::error("BXNIM0415E"),
        }
    }

    fn condition(self) -> &'static str {
        match self {
            Self::Passing => "Reconciling",
            Self::Lasting => "Stalled",
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_maps_to_the_health_in_the_guide() {
    let world = World::start().await;
    let states = states(&world).await;
    let lines: Vec<String> = states.iter().map(|(_, object)| object.to_string()).collect();
    let mut program = Command::new("go");
    program.args(["run", "-C"]).arg(root("hack/gitops")).arg(".").args([root(LUA), root(KUSTOMIZATION)]);
    program.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    let answers: Vec<Answer> =
        text_of(program, lines.join("\n").as_bytes()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut rows = vec![];
    for ((state, object), answer) in states.iter().zip(&answers) {
        assert_ne!(answer.argo.message, "", "{state}");
        let ready = &object["status"]["conditions"][0]["message"];
        if object["status"]["observedGeneration"] == object["metadata"]["generation"] {
            assert_eq!(*ready, answer.argo.message, "{state}: it says what Ready says");
        }
        rows.push(format!("| {state} | {} | {} | {} |", answer.argo.status, answer.kstatus.status, answer.flux.status));
    }
    assert_eq!(rows, table_of_the_guide(), "docs/gitops.md has another table");
}

#[test]
fn the_config_map_holds_the_lua_of_the_file() {
    let config: ConfigMap = from_yaml(ARGOCD_CM);
    let lua = &config.data.unwrap()["resource.customizations.health.iamtoken.dev_IamToken"];
    assert_eq!(*lua, std::fs::read_to_string(root(LUA)).unwrap(), "copy {LUA} into {ARGOCD_CM}");
}

/// The rows below the table's head.
fn table_of_the_guide() -> Vec<String> {
    let guide = std::fs::read_to_string(root("docs/gitops.md")).unwrap();
    let lines = guide.lines().skip_while(|line| !line.starts_with("| an IamToken that |"));
    lines.skip(2).take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

/// An object in each state, and what the guide calls the state.
async fn states(world: &World) -> Vec<(&'static str, Value)> {
    vec![
        ("no operator has looked at", unseen(world).await),
        ("waits for its first token", fetching(world).await),
        ("gets no first token, and the operator goes on trying", never(world).await),
        ("gets no first token before somebody acts", stalled(world).await),
        ("has a valid token", ready(world).await),
        ("has a valid token, and an API key that expires soon", at_risk(world).await),
        (
            "has a valid token, but the refresh fails and is tried again",
            failing(world, "failing", Trouble::Passing).await,
        ),
        ("has a valid token, and gets no other before somebody acts", failing(world, "doomed", Trouble::Lasting).await),
        ("has an expired token, and the operator goes on trying", expired(world, "late", Trouble::Passing).await),
        (
            "has an expired token, and gets no other before somebody acts",
            expired(world, "dead", Trouble::Lasting).await,
        ),
        ("is suspended without a token", idle(world).await),
        ("is suspended with a valid token", suspended(world, "resting", "True").await),
        ("is suspended with an expired token", suspended(world, "resigned", "False").await),
        // Last: it stops the operator.
        ("was changed, and the operator has not looked yet", changed(world).await),
    ]
}

fn now(world: &World, name: &str) -> Value {
    object(world.plane, &world.namespace, "iamtoken", name)
}

/// In a namespace that no operator watches.
async fn unseen(world: &World) -> Value {
    let namespace = new_namespace(&world.client).await;
    put_token(&world.client, &namespace, "new", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    object(world.plane, &namespace, "iamtoken", "new")
}

async fn fetching(world: &World) -> Value {
    let key = pair(world, "fetching", None, Some(Fault::delay(Duration::from_mins(1)))).await;
    world.condition("fetching", "Reconciling", "Refreshing").await;
    seen_and_healed(world, "fetching", &key)
}

async fn never(world: &World) -> Value {
    let key = pair(world, "never", None, Some(Trouble::Passing.fault())).await;
    world.condition("never", "Reconciling", "IamUnavailable").await;
    seen_and_healed(world, "never", &key)
}

async fn stalled(world: &World) -> Value {
    world.put_token("stalled", &json!({"apiKeySecretRef": {"name": "no-such-key"}})).await;
    world.condition("stalled", "Stalled", "SourceNotFound").await;
    now(world, "stalled")
}

async fn ready(world: &World) -> Value {
    pair(world, "ready", None, None).await;
    world.ready("ready").await;
    now(world, "ready")
}

async fn at_risk(world: &World) -> Value {
    let key = world.iam.service_id_key(&format!("{}-at-risk", world.namespace));
    let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 86_400;
    world.iam.let_read_own_key(&key, true);
    world.iam.set_key_expiry(&key, tomorrow.try_into().ok());
    world.put_key("at-risk-key", &key).await;
    world.put_token("at-risk", &json!({"apiKeySecretRef": {"name": "at-risk-key"}})).await;
    world.ready("at-risk").await;
    world.condition("at-risk", CONDITION_API_KEY_AT_RISK, "ApiKeyExpiring").await;
    now(world, "at-risk")
}

/// With a valid token and a refresh that fails.
async fn failing(world: &World, name: &str, trouble: Trouble) -> Value {
    let key = pair(world, name, None, None).await;
    world.ready(name).await;
    world.iam.fault(&key, trouble.fault(), Times::Forever);
    world.annotate(name, "iamtoken.dev/refresh-requested", "1").await;
    world.condition(name, CONDITION_READY, "RefreshFailing").await;
    let seen = seen_and_healed(world, name, &key);
    assert_eq!(seen["status"]["conditions"][1]["type"], trouble.condition(), "{seen:#}");
    seen
}

async fn expired(world: &World, name: &str, trouble: Trouble) -> Value {
    let key = pair(world, name, Some(SHORT), None).await;
    world.ready(name).await;
    world.iam.fault(&key, trouble.fault(), Times::Forever);
    until_ready_is(world, name, "False").await;
    let seen = seen_and_healed(world, name, &key);
    assert_eq!(seen["status"]["conditions"][1]["type"], trouble.condition(), "{seen:#}");
    seen
}

/// Before the first token was fetched.
async fn idle(world: &World) -> Value {
    world.put_token("idle", &json!({"apiKeySecretRef": {"name": "key"}, "suspend": true})).await;
    world.condition("idle", CONDITION_READY, "Suspended").await;
    now(world, "idle")
}

/// With a token that is valid, or not.
async fn suspended(world: &World, name: &str, valid: &str) -> Value {
    pair(world, name, Some(SHORT), None).await;
    world.ready(name).await;
    world.change_spec(name, &json!({"suspend": true})).await;
    world.condition(name, CONDITION_READY, "Suspended").await;
    until_ready_is(world, name, valid).await;
    now(world, name)
}

async fn changed(world: &World) -> Value {
    world.operator.signal("-STOP");
    world.change_spec("ready", &json!({"renewBefore": "30%"})).await;
    let seen = now(world, "ready");
    world.operator.signal("-CONT");
    seen
}

/// A key whose tokens last so long, or that IAM answers with this fault, and an IamToken for it. Returns the key.
async fn pair(world: &World, name: &str, lifetime: Option<u64>, fault: Option<Fault>) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    world.iam.set_key_lifetime(&key, lifetime);
    if let Some(fault) = fault {
        world.iam.fault(&key, fault, Times::Forever);
    }
    world.put_key(&format!("{name}-key"), &key).await;
    world.put_token(name, &json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).await;
    key
}

/// The object as it is. Then IAM is well again: an endpoint that fails on and on is asked less often by all.
fn seen_and_healed(world: &World, name: &str, key: &str) -> Value {
    let seen = now(world, name);
    world.iam.clear_faults_of(key);
    seen
}

async fn until_ready_is(world: &World, name: &str, value: &str) {
    eventually(&format!("{name}: Ready is {value}"), async || {
        let status = world.status(name).await;
        let is = condition(&status, CONDITION_READY).is_some_and(|ready| ready.status == value);
        if is { Ok(()) } else { Err(status) }
    })
    .await;
}
