//! The cluster around it: namespaces that end, objects that do not decode, a missing CRD, missing permissions.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};
use testkit::fake_iam::FakeIam;

use crate::checks::{
    calm, look, put_good_key, raw, raw_token, ready_at_once, requests, spec_of, stalled_and_not_ready,
    stalled_but_ready, within,
};
use crate::harness::{
    OPERATOR_NAMESPACE, Operator, Start, World, allow_operator, condition, eventually, from_yaml, install_crd,
    install_role, kubeconfig, new_namespace, prepared, put_crd,
};

/// The operator's own patience with the first list of Secrets, and the longest pause between two tries of a watch.
const PATIENCE: Duration = Duration::from_secs(75);

/// An IamToken that only a CRD without a schema lets through.
fn bad_specs() -> [(&'static str, Value); 8] {
    let key = || json!({"name": "bad-key"});
    [
        ("text-for-bool", json!({"apiKeySecretRef": key(), "suspend": "yes"})),
        ("a-list", json!([1, 2])),
        ("a-number", json!(5)),
        ("a-number-for-a-name", json!({"apiKeySecretRef": {"name": 5}})),
        ("no-such-policy", json!({"apiKeySecretRef": key(), "target": {"deletionPolicy": "Keep"}})),
        ("no-such-span", json!({"apiKeySecretRef": key(), "renewBefore": "soon"})),
        ("no-credential", json!({})),
        (
            "twice-the-same",
            json!({"apiKeySecretRef": key(), "target": {"data": [
                {"key": "a", "format": "Json"}, {"key": "a", "format": "Bearer"},
            ]}}),
        ),
    ]
}

#[tokio::test]
async fn an_ending_namespace_is_said_and_not_fought() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    calm(&world).await;
    world.delete_secret("hpcs").await;
    let words = ["Secret hpcs", "namespace is being deleted"];
    stalled_and_not_ready(&world, "hpcs", "NamespaceTerminating", &words).await;
    calm(&world).await;
    assert!(world.iam.exchanges_of(&key) <= 2, "{} exchanges", world.iam.exchanges_of(&key));
    world.delete_secret("hpcs-key").await;
    world.tokens().delete("hpcs", &DeleteParams::default()).await.unwrap();
    calm(&world).await;
}

#[tokio::test]
async fn what_does_not_decode_holds_up_nobody() {
    let world = lax_world().await;
    for (name, spec) in &bad_specs() {
        raw(&world).create(&PostParams::default(), &raw_token(name, spec)).await.unwrap();
    }
    let key = world.put_pair("good").await;
    ready_at_once(&world, "good").await;
    for (name, _) in &bad_specs() {
        stalled_and_not_ready(&world, name, "InvalidSpec", &["spec"]).await;
    }
    calm(&world).await;
    world.annotate("good", "iamtoken.dev/refresh-requested", "now").await;
    eventually("the good one refreshed", async || match world.iam.exchanges_of(&key) {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    for (name, _) in &bad_specs() {
        put_good_key(&world, name).await;
        replace_spec(&world, name, &spec_of(name)).await;
        ready_at_once(&world, name).await;
    }
}

#[tokio::test]
async fn a_label_on_what_does_not_decode_is_no_news() {
    let world = lax_world().await;
    let bad = raw_token("bad", &json!([1, 2]));
    raw(&world).create(&PostParams::default(), &bad).await.unwrap();
    stalled_and_not_ready(&world, "bad", "InvalidSpec", &[]).await;
    calm(&world).await;
    let mark = world.plane.audit_mark().await;
    let patch = Patch::Merge(json!({"metadata": {"labels": {"touched": "yes"}}}));
    raw(&world).patch("bad", &PatchParams::default(), &patch).await.unwrap();
    calm(&world).await;
    let seen = requests(&world, mark).await;
    assert!(seen.is_empty(), "the status says all already, but the operator did: {seen:?}");
}

#[tokio::test]
async fn a_token_that_is_valid_stays_ready_when_its_spec_does_not_decode_any_more() {
    let world = lax_world().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let mut spoilt = spec_of("hpcs");
    spoilt["suspend"] = json!("yes");
    replace_spec(&world, "hpcs", &spoilt).await;
    stalled_but_ready(&world, "hpcs", "InvalidSpec", &["IamToken"], ("hpcs", &data)).await;
    calm(&world).await;
    replace_spec(&world, "hpcs", &spec_of("hpcs")).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn a_target_that_moved_while_the_spec_did_not_decode_leaves_nothing_behind() {
    let world = lax_world().await;
    world.put_pair("hpcs").await;
    ready_at_once(&world, "hpcs").await;
    replace_spec(&world, "hpcs", &json!([1])).await;
    eventually("InvalidSpec", async || {
        let (_, status) = look(&world, "hpcs").await;
        condition(&status, "Stalled").is_some_and(|c| c.reason == "InvalidSpec").then_some(()).ok_or(status)
    })
    .await;
    let mut moved = spec_of("hpcs");
    moved["target"] = json!({"name": "second"});
    replace_spec(&world, "hpcs", &moved).await;
    ready_at_once(&world, "hpcs").await;
    eventually("Secret hpcs gone", async || world.data("hpcs").await.map_or(Ok(()), |_| Err("still there"))).await;
}

#[tokio::test]
async fn a_missing_crd_is_said_and_awaited() {
    let plane = own_plane().await;
    install_role(plane).await;
    let world = world_on(plane).await;
    let said = "the CRD iamtokens.iamtoken.dev is not installed";
    let log = || world.operator.log();
    eventually("the operator says that the CRD is missing", async || log().contains(said).then_some(()).ok_or(log()))
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(log().matches(said).count(), 1, "once is enough: {}", log());
    install_crd(plane).await;
    world.put_pair("hpcs").await;
    ready_at_once(&world, "hpcs").await;
    assert!(log().contains("IamTokens are served"), "{}", log());
}

#[tokio::test]
async fn no_permission_for_secrets_is_said_and_awaited() {
    let plane = prepared().await;
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow(&client, &namespace, &json!([])).await;
    let world = world_in(plane, namespace).await;
    let key = put_good_key(&world, "hpcs").await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    let log = || world.operator.log();
    eventually("the log names Secrets", async || {
        log().contains("the watch on Secrets failed").then_some(()).ok_or(log())
    })
    .await;
    within(PATIENCE, "AccessDenied", async || {
        let (_, status) = look(&world, "hpcs").await;
        condition(&status, "Stalled").is_some_and(|c| c.reason == "AccessDenied").then_some(()).ok_or(status)
    })
    .await;
    let words = ["Secret hpcs", "permission", "ClusterRole iam-token-operator"];
    stalled_and_not_ready(&world, "hpcs", "AccessDenied", &words).await;
    assert_eq!(world.iam.calls().len(), 0);
    allow_operator(&client, &world.namespace).await;
    within(PATIENCE, "ready", async || {
        let (_, status) = look(&world, "hpcs").await;
        condition(&status, "Ready").is_some_and(|c| c.reason == "TokenValid").then_some(()).ok_or(status)
    })
    .await;
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

#[tokio::test]
async fn a_permission_that_is_taken_away_costs_no_token() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    allow(&world.client, &world.namespace, &json!(["get", "list", "watch"])).await;
    let bindings: Api<RoleBinding> = Api::namespaced(world.client.clone(), &world.namespace);
    bindings.delete("iam-token-operator", &DeleteParams::default()).await.unwrap();
    may_write(&world, false).await;
    world.annotate("hpcs", "iamtoken.dev/refresh-requested", "first").await;
    let words = ["write Secret hpcs", "HTTP 403", "permission", "ClusterRole iam-token-operator"];
    stalled_but_ready(&world, "hpcs", "AccessDenied", &words, ("hpcs", &data)).await;
    // It is tried again after 2 s, 4 s, 8 s, with the token that is at hand; one of the same second as the first token is
    // not newer than that, so there may be a third.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert!(world.iam.exchanges_of(&key) <= 3);
    allow_operator(&world.client, &world.namespace).await;
    may_write(&world, true).await;
    world.annotate("hpcs", "iamtoken.dev/refresh-requested", "second").await;
    world.changed("hpcs", &data).await;
    assert_eq!(ready_at_once(&world, "hpcs").await.last_handled_refresh.as_deref(), Some("second"));
}

// === worlds ===

/// A control plane for one test, which ends with the process.
async fn own_plane() -> &'static ControlPlane {
    Box::leak(Box::new(ControlPlane::start(Options { audit: true, ..Options::default() }).await))
}

/// A CRD that takes any spec.
pub async fn lax_world() -> World {
    let plane = own_plane().await;
    install_role(plane).await;
    let mut crd: CustomResourceDefinition = from_yaml("crds/iamtokens.yaml");
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()).unwrap();
        schema.x_kubernetes_validations = None;
        let any = serde_json::from_value(json!({"x-kubernetes-preserve-unknown-fields": true})).unwrap();
        schema.properties.as_mut().unwrap().insert("spec".into(), any);
    }
    put_crd(plane, &crd).await;
    world_on(plane).await
}

async fn world_on(plane: &'static ControlPlane) -> World {
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    world_in(plane, namespace).await
}

/// With an operator that is allowed what it is allowed there.
async fn world_in(plane: &'static ControlPlane, namespace: String) -> World {
    let iam = FakeIam::start();
    let operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(plane).await,
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: "info",
        more: &[],
    });
    World { plane, client: plane.admin(), namespace, iam, operator }
}

/// Grants the operator all but Secrets, and these verbs on Secrets.
async fn allow(client: &kube::Client, namespace: &str, verbs: &Value) {
    let rules = json!([
        {"apiGroups": ["iamtoken.dev"], "resources": ["iamtokens"], "verbs": ["list", "watch"]},
        {"apiGroups": ["iamtoken.dev"], "resources": ["iamtokens/status"], "verbs": ["patch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs},
    ]);
    let rules = rules.as_array().unwrap().iter().filter(|rule| rule["verbs"] != json!([])).collect::<Vec<_>>();
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "less"}, "rules": rules})).unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "less"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "less"},
        "subjects": [{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}],
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await.unwrap();
}

/// Waits until the API server lets the operator write Secrets, or not.
async fn may_write(world: &World, wanted: bool) {
    use k8s_openapi::api::authorization::v1::SubjectAccessReview;
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
        "user": format!("system:serviceaccount:{OPERATOR_NAMESPACE}:iam-token-operator"),
        "resourceAttributes": {"namespace": world.namespace, "verb": "patch", "resource": "secrets"},
    }}))
    .unwrap();
    eventually(&format!("the operator may write Secrets: {wanted}"), async || {
        let api: Api<SubjectAccessReview> = Api::all(world.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.unwrap();
        let allowed = answer.status.is_some_and(|status| status.allowed);
        if allowed == wanted { Ok(()) } else { Err(allowed) }
    })
    .await;
}

/// Puts this in place of the whole spec.
async fn replace_spec(world: &World, name: &str, spec: &Value) {
    eventually(&format!("{name} replaced"), async || {
        let mut token = raw(world).get(name).await.unwrap();
        token.data["spec"] = spec.clone();
        raw(world).replace(name, &PostParams::default(), &token).await
    })
    .await;
}
