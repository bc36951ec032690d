//! What every row asks for: a reason and words, nothing lost, a calm wait, and a quick end.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, IamTokenStatus};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{OPERATOR_NAMESPACE, World, condition, eventually};

/// What counts as at once on a busy machine; the shortest pause between two tries of a slow retry is a minute.
const AT_ONCE: Duration = Duration::from_secs(10);

/// How long nothing may happen for a wait to count as calm.
const CALM: Duration = Duration::from_secs(2);

// === conditions ===

/// Waits until `Stalled` has this reason for the newest spec; its message must hold all `words`.
pub async fn stalled(world: &World, name: &str, reason: &str, words: &[&str]) -> Condition {
    let found = current(world, name, CONDITION_STALLED, reason).await;
    for word in words {
        assert!(found.message.contains(word), "{name}: {word:?} is missing in: {}", found.message);
    }
    assert!(found.message.ends_with('.'), "{name}: not a sentence: {}", found.message);
    found
}

/// `Stalled` like [`stalled`], and not ready for the same reason.
pub async fn stalled_and_not_ready(world: &World, name: &str, reason: &str, words: &[&str]) {
    stalled(world, name, reason, words).await;
    let ready = current(world, name, CONDITION_READY, reason).await;
    assert_eq!(ready.status, "False", "{name}: {}", ready.message);
}

/// `Stalled` like [`stalled`], but ready still, with the data of `target` as before.
pub async fn stalled_but_ready(world: &World, name: &str, reason: &str, words: &[&str], target: (&str, &Value)) {
    stalled(world, name, reason, words).await;
    let (_, status) = look(world, name).await;
    let ready = condition(&status, CONDITION_READY).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "RefreshFailing"), "{name}: {status:#?}");
    assert_eq!(world.data(target.0).await.as_ref(), Some(target.1), "{name}: the target's data");
}

/// Waits until nothing is wrong with the newest spec any more, which must not take long.
pub async fn ready_at_once(world: &World, name: &str) -> IamTokenStatus {
    let begin = Instant::now();
    let status = eventually(&format!("{name} ready"), async || {
        let (generation, status) = look(world, name).await;
        let ready = condition(&status, CONDITION_READY).is_some_and(|c| c.reason == "TokenValid");
        let trouble =
            [CONDITION_STALLED, CONDITION_RECONCILING].iter().any(|type_| condition(&status, type_).is_some());
        if ready && !trouble && status.observed_generation == Some(generation) { Ok(status) } else { Err(status) }
    })
    .await;
    assert!(begin.elapsed() < AT_ONCE, "{name}: ready only after {:?}", begin.elapsed());
    status
}

async fn current(world: &World, name: &str, type_: &str, reason: &str) -> Condition {
    eventually(&format!("{name}: {type_} with reason {reason}"), async || {
        let (generation, status) = look(world, name).await;
        let found = condition(&status, type_).cloned();
        found.filter(|c| c.reason == reason && c.observed_generation == Some(generation)).ok_or(status)
    })
    .await
}

/// Generation and status, whatever the spec is.
pub async fn look(world: &World, name: &str) -> (i64, IamTokenStatus) {
    let token = raw(world).get(name).await.unwrap();
    let status = serde_json::from_value(token.data["status"].clone()).unwrap_or_default();
    (token.metadata.generation.unwrap_or_default(), status)
}

// === calm ===

/// The operator asks neither the API server nor IAM for anything while nothing changes.
pub async fn calm(world: &World) {
    eventually("a quiet moment", async || {
        let seen = activity(world, Duration::from_secs(1)).await;
        if seen.is_empty() { Ok(()) } else { Err(seen) }
    })
    .await;
    let seen = activity(world, CALM).await;
    assert!(seen.is_empty(), "nothing changed, but the operator did: {seen:#?}");
    assert!(!world.operator.log().contains("panicked"), "the operator panicked");
}

async fn activity(world: &World, time: Duration) -> Vec<String> {
    let (mark, calls) = (world.plane.audit_mark().await, world.iam.calls().len());
    tokio::time::sleep(time).await;
    let mut seen = requests(world, mark).await;
    let calls = world.iam.calls().len() - calls;
    if calls > 0 {
        seen.push(format!("{calls} calls of IAM"));
    }
    seen
}

/// The operator's requests for this namespace since `mark`, as `get secrets/hpcs-key 200`.
pub async fn requests(world: &World, mark: testkit::control_plane::AuditMark) -> Vec<String> {
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:iam-token-operator");
    let events = world.plane.audit_since(mark).await.into_iter();
    events
        .filter(|event| event.user == operator && event.namespace == world.namespace)
        .map(|event| format!("{} {}/{} {}", event.verb, event.resource, event.name, event.code))
        .collect()
}

/// Like [`eventually`] with patience of its own.
pub async fn within<T, E: Debug>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begin = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(last) if begin.elapsed() > patience => panic!("not within {patience:?}: {what}; last seen: {last:#?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

// === objects ===

/// IamTokens without their types.
pub fn raw(world: &World) -> Api<DynamicObject> {
    raw_in(world.client.clone(), &world.namespace)
}

pub fn raw_in(client: kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("iamtoken.dev", "v1alpha1", "IamToken");
    Api::namespaced_with(client, namespace, &ApiResource::from_gvk_with_plural(&kind, "iamtokens"))
}

pub fn raw_token(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

/// A spec with the API key at `apikey` of the Secret `name-key`.
pub fn spec_of(name: &str) -> Value {
    json!({"apiKeySecretRef": {"name": format!("{name}-key")}})
}

/// [`spec_of`] with this target.
pub fn spec_with_target(name: &str, target: &Value) -> Value {
    let mut spec = spec_of(name);
    spec["target"] = target.clone();
    spec
}

/// A key that IAM knows, in the Secret `name-key`.
pub async fn put_good_key(world: &World, name: &str) -> String {
    let key = world.iam.service_id_key(&format!("{}-{name}", world.namespace));
    world.put_key(&format!("{name}-key"), &key).await;
    key
}

/// A key that IAM knows, and an IamToken of this target.
pub async fn put_with_target(world: &World, name: &str, target: &Value) -> String {
    let key = put_good_key(world, name).await;
    world.put_token(name, &spec_with_target(name, target)).await;
    key
}

/// Creates the Secret, or sets the bytes in it.
pub async fn put_bytes(world: &World, name: &str, key: &str, value: &[u8]) {
    let data = json!({key: ByteString(value.to_vec())});
    let patch = Patch::Apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}));
    world.secrets().patch(name, &PatchParams::apply("tests").force(), &patch).await.unwrap();
}

/// A Secret from JSON.
pub async fn create_secret(world: &World, secret: &Value) -> Secret {
    let secret: Secret = serde_json::from_value(secret.clone()).unwrap();
    world.secrets().create(&PostParams::default(), &secret).await.unwrap()
}

pub async fn patch_secret(world: &World, name: &str, patch: &Value) -> Secret {
    world.secrets().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

pub async fn secret(world: &World, name: &str) -> Secret {
    world.secrets().get(name).await.unwrap()
}

/// Waits until the Secret is another one than that with this uid, or there again.
pub async fn made_anew(world: &World, name: &str, uid: Option<&String>) -> Secret {
    eventually(&format!("Secret {name} made anew"), async || {
        let found = world.secrets().get_opt(name).await.unwrap();
        found.filter(|secret| secret.metadata.uid.as_ref() != uid).ok_or("as before")
    })
    .await
}
