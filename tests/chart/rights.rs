//! The roles of the chart are what the operator needs: it is refused nothing, and uses everything.
//!
//! The operator runs with the arguments and as the ServiceAccount that the chart gives it, on a real API server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use iam_token_operator::api::ClusterIamCredential;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::certificate::Authority;
use testkit::control_plane::{AuditEvent, ControlPlane};
use testkit::fake_iam::{DEFAULT_ACCOUNT, FakeIam, Profile};
use testkit::proxy::{Proxy, Road};

use crate::harness::workloads::{KINDS, put_workload, until_restarted};
use crate::harness::{Operator, World, eventually, put_secret};
use crate::helm::{NAMESPACE, RELEASE, objects, only};
use crate::release::{cluster, crd_is_established, release};

/// What only a silent watch makes the operator do.
const BY_A_SILENT_WATCH: &str = "get iamtoken.dev/iamtokens";

/// Granted to everybody by Kubernetes itself (`system:basic-user`): who the operator is.
const EVERYBODYS: &str = "create authentication.k8s.io/selfsubjectreviews";

/// All that is off by default.
const ALL_ON: &str = "serviceAccountTokens: {enabled: true, names: [client]}, \
    workloadRestarts: {enabled: true, names: [web]}, clusterCredentials: {namespaces: [vault]}, \
    metrics: {tls: {secret: metrics-tls}, authentication: true}";

/// Where keys are lent from.
const VAULT: &str = "vault";

/// How long that may take: two refreshes and the deadline of a request.
const WITHIN: Duration = Duration::from_mins(2);

/// A verb and a resource of a group, such as `patch iamtoken.dev/iamtokens/status`.
type Right = String;

/// What the rules of these objects grant.
pub fn granted(objects: &[Value]) -> BTreeSet<Right> {
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    let mut rights = BTreeSet::new();
    let rules = objects.iter().flat_map(|object| object["rules"].as_array().into_iter().flatten());
    // URLs are what others may read.
    for rule in rules.filter(|rule| rule["nonResourceURLs"].is_null()) {
        let [groups, resources, verbs] = ["apiGroups", "resources", "verbs"].map(|field| texts(&rule[field]));
        let places =
            groups.iter().flat_map(|group| resources.iter().map(move |resource| format!("{group}/{resource}")));
        rights.extend(places.flat_map(|place| verbs.iter().map(move |verb| format!("{verb} {place}"))));
    }
    rights
}

/// What the requests took. A server-side apply that makes an object needs `create`, too.
fn used(events: &[AuditEvent]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for event in events.iter().filter(|event| !event.resource.is_empty()) {
        let resource = [event.group.as_str(), &event.resource, &event.subresource].join("/");
        let resource = resource.trim_end_matches('/');
        rights.insert(format!("{} {resource}", event.verb));
        if event.verb == "patch" && event.code == 201 {
            rights.insert(format!("create {resource}"));
        }
    }
    rights
}

/// All that the operator asked for, as its ServiceAccount.
async fn requests(plane: &ControlPlane) -> Vec<AuditEvent> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{RELEASE}");
    plane.audit().await.into_iter().filter(|event| event.user == user).collect()
}

/// The operator as the chart starts it, but that it listens on any free port, and has its certificate elsewhere.
fn operator(kubeconfig: &Path, objects: &[Value]) -> Operator {
    let arguments = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let arguments: Vec<String> = serde_json::from_value(arguments).unwrap();
    let mut arguments: Vec<String> = arguments
        .into_iter()
        .map(|argument| match argument.split_once("-bind-address=") {
            Some((which, _)) => format!("{which}-bind-address=127.0.0.1:0"),
            None if argument.starts_with("--metrics-cert-path=") => format!("--metrics-cert-path={}", certificate()),
            None => argument,
        })
        .collect();
    // In a pod it takes the pod's.
    arguments.extend(["--lease-namespace".into(), NAMESPACE.into()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Operator::with_arguments(kubeconfig, &arguments)
}

/// A folder with a certificate.
fn certificate() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("metrics-tls-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let pair = Authority::new("scrapes").unwrap().server(&["localhost"]).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tls.crt"), pair.certificate).unwrap();
    std::fs::write(folder.join("tls.key"), pair.key).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// A scrape by a ServiceAccount that has no right to it.
async fn scrape(world: &World, account: &str) {
    let request = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 600}})).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let token = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    let request = client.get(format!("https://{}/metrics", world.operator.address("scrapes").await));
    let answer = request.bearer_auth(token.status.unwrap().token.unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 403);
}

/// One thing after another that the operator needs a right for, in this namespace.
async fn whole_life(world: &World) {
    let key = world.iam.service_id_key(&world.namespace);
    let spec = json!({"apiKeySecretRef": {"name": "key"}, "target": {"name": "first"}});
    world.put_token("hpcs", &spec).await;
    world.condition("hpcs", "Stalled", "SourceNotFound").await;
    world.put_key("key", &key).await;
    ready(world, "first").await;
    // The same event again is added to the one before.
    world.delete_secret("key").await;
    world.annotate("hpcs", "iamtoken.dev/refresh-requested", "1").await;
    world.condition("hpcs", "Stalled", "SourceNotFound").await;
    world.put_key("key", &key).await;
    ready(world, "first").await;
    // The target before is deleted.
    world.change_spec("hpcs", &json!({"target": {"name": "second"}})).await;
    ready(world, "second").await;
    eventually("Secret first gone", async || world.data("first").await.map_or(Ok(()), |_| Err("still there"))).await;
}

/// What takes the rights that are off by default.
async fn and_more(world: &World) {
    for kind in KINDS {
        put_workload(world, kind, "web").await;
    }
    let workloads = KINDS.map(|kind| json!({"kind": kind, "name": "web"}));
    world.change_spec("hpcs", &json!({"restart": {"workloads": workloads, "minPeriod": "45m"}})).await;
    for kind in KINDS {
        until_restarted(world, kind, "web", 1).await;
    }
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "client"}})).unwrap();
    let accounts = Api::namespaced(world.client.clone(), &world.namespace);
    accounts.create(&PostParams::default(), &account).await.unwrap();
    world.trust_cluster().await;
    let mut profile = Profile::new("Profile-1", "one", DEFAULT_ACCOUNT);
    profile.service_accounts = vec![format!("{}/client", world.namespace)];
    world.iam.add_profile(profile);
    let spec = json!({"serviceAccountRef": {"name": "client"}, "trustedProfile": {"id": "Profile-1"}});
    world.put_token("profile", &spec).await;
    world.ready("profile").await;
    borrow(world).await;
    scrape(world, "client").await;
}

async fn borrow(world: &World) {
    let name = format!("of-{}", world.namespace);
    put_secret(&world.client, VAULT, &name, &json!({"apikey": world.iam.service_id_key(&name)})).await;
    let credential = serde_json::from_value(json!({
        "apiVersion": "iamtoken.dev/v1alpha1", "kind": "ClusterIamCredential", "metadata": {"name": name},
        "spec": {
            "apiKeySecretRef": {"namespace": VAULT, "name": name},
            "allowedNamespaces": {"names": [world.namespace]},
        },
    }))
    .unwrap();
    let api: Api<ClusterIamCredential> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &credential).await.unwrap();
    world.put_token("lent", &json!({"credentialRef": {"name": name}})).await;
    world.ready("lent").await;
}

async fn ready(world: &World, target: &str) {
    eventually(&format!("Secret {target}"), async || world.data(target).await.ok_or("missing")).await;
    world.condition("hpcs", "Ready", "TokenValid").await;
}

/// The connections that there are are cut without a word. The next ones are good, but the watch is silent now.
async fn deafen(road: &Proxy) {
    road.set(Road::Swallow);
    tokio::time::sleep(Duration::from_millis(500)).await;
    road.set(Road::Open);
}

/// Waits until all of these were used, or asked for in vain, if they are at all.
async fn until_used(plane: &ControlPlane, wanted: &BTreeSet<Right>) {
    let begin = Instant::now();
    while begin.elapsed() < WITHIN && !wanted.is_subset(&used(&requests(plane).await)) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Installs the chart, lets the operator do all that it ever does in each of these namespaces, and compares.
async fn nothing_is_missing_and_nothing_too_much(watched: &str, namespaces: &[&str], more: &str) {
    let plane: &'static ControlPlane = Box::leak(Box::new(cluster().await));
    let client: Client = plane.admin();
    let iam = FakeIam::start();
    iam.set_lifetime(12);
    let values = format!(
        "{{watchNamespaces: {watched}, allowedEndpoints: ['{}'], allowInsecureHttp: true, rbac: {{aggregate: false}}, \
         {more}}}",
        iam.url()
    );
    release(plane, "install", &values, &[]).unwrap();
    crd_is_established(plane).await;
    let objects = objects(&values);
    let road = Proxy::start(plane.address()).await.unwrap();
    let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, RELEASE).await;
    let operator = operator(&plane.kubeconfig_through(&kubeconfig, road.address()), &objects);
    let mut world = World { plane, client, namespace: namespaces[0].to_owned(), iam, operator };
    for namespace in namespaces {
        world.namespace = (*namespace).to_owned();
        whole_life(&world).await;
        if !more.is_empty() {
            and_more(&world).await;
        }
    }
    deafen(&road).await;
    let mut wanted = granted(&objects);
    wanted.insert(BY_A_SILENT_WATCH.into());
    until_used(plane, &wanted).await;

    let requests = requests(plane).await;
    let refused: Vec<_> = requests.iter().filter(|event| [401, 403].contains(&event.code)).collect();
    assert!(refused.is_empty(), "one more verb is needed: {refused:#?}");
    let (mut used, granted) = (used(&requests), granted(&objects));
    used.remove(EVERYBODYS);
    assert_eq!(granted.difference(&used).collect::<Vec<_>>(), Vec::<&Right>::new(), "granted, and never used");
    assert_eq!(used.difference(&granted).collect::<Vec<_>>(), Vec::<&Right>::new(), "used, and granted elsewhere");
    let elsewhere =
        |event: &&AuditEvent| ![namespaces, &[NAMESPACE, VAULT, ""]].concat().contains(&event.namespace.as_str());
    assert_eq!(requests.iter().find(elsewhere), None);
}

#[tokio::test]
async fn the_cluster_role_is_what_is_needed() {
    nothing_is_missing_and_nothing_too_much("[]", &["payments"], "").await;
}

#[tokio::test]
async fn the_roles_of_listed_namespaces_are_what_is_needed() {
    nothing_is_missing_and_nothing_too_much("[payments, orders]", &["payments", "orders"], "").await;
}

#[tokio::test]
async fn the_rights_that_are_off_by_default_are_what_is_needed() {
    nothing_is_missing_and_nothing_too_much("[]", &["payments"], ALL_ON).await;
}

#[tokio::test]
async fn the_rights_that_are_off_by_default_are_what_is_needed_in_listed_namespaces() {
    nothing_is_missing_and_nothing_too_much("[payments, orders]", &["payments", "orders"], ALL_ON).await;
}
