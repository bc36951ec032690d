//! A cluster whose ServiceAccounts IAM knows, and the rights and profiles that tests need.

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use testkit::fake_iam::{DEFAULT_ACCOUNT, FakeIam, Profile, claims_unverified};

use crate::harness::{World, grant, withdraw};

/// Everything, kube's own spans included: no token may be in there.
const TALKATIVE: &str = "trace,kube_client::client=trace";

pub const PROFILE: &str = "Profile-fa4e0000-0000-0000-0000-000000000001";

/// With IAM trusting the cluster, and the operator allowed to ask for tokens of ServiceAccounts.
pub async fn world() -> World {
    let world = World::start_with(FakeIam::start(), TALKATIVE).await;
    world.trust_cluster().await;
    allow_tokens(&world).await;
    world
}

/// What the chart's `serviceAccountTokens` grants with `names`, in the world's namespace.
pub async fn allow_tokens(world: &World) {
    let rule = json!({
        "apiGroups": [""],
        "resources": ["serviceaccounts/token"],
        "resourceNames": ["client", "hpcs-client", "missing"],
        "verbs": ["create"],
    });
    grant(&world.client, &world.namespace, "tokens", &json!([rule])).await;
}

pub async fn forbid_tokens(world: &World) {
    withdraw(&world.client, &world.namespace, "tokens").await;
}

pub async fn put_service_account(world: &World, name: &str) {
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    let api = Api::namespaced(world.client.clone(), &world.namespace);
    api.create(&PostParams::default(), &account).await.unwrap();
}

/// A profile that admits these ServiceAccounts of the world's namespace, and the identities of these keys.
pub fn put_profile(world: &World, service_accounts: &[&str], keys: &[&str]) {
    let mut profile = Profile::new(PROFILE, "payments", DEFAULT_ACCOUNT);
    let names = service_accounts.iter();
    profile.service_accounts = names.map(|name| format!("{}/{name}", world.namespace)).collect();
    profile.identities = keys.iter().map(|key| world.iam.identity_of(key).unwrap().iam_id).collect();
    world.iam.add_profile(profile);
}

pub fn of_service_account(name: &str) -> Value {
    json!({"serviceAccountRef": {"name": name}, "trustedProfile": {"id": PROFILE}})
}

/// The claims of the token in a target's data.
pub fn claims(data: &Value) -> Value {
    claims_unverified(data["token"].as_str().unwrap()).unwrap()
}
