//! One namespace, one fake IAM and one operator process for each test, on the API server that all tests of a binary
//! share.
#![allow(dead_code, reason = "no test binary uses all of it")]

pub mod heap;
pub mod operator;
pub mod workloads;

use std::fmt::Debug;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam_token_operator::api::{CONDITION_READY, IamToken, IamTokenStatus};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::control_plane::ControlPlane;
use testkit::fake_iam::FakeIam;
use tokio::sync::OnceCell;

pub use self::operator::{Operator, Start};

/// Where the operator's ServiceAccount lives.
pub const OPERATOR_NAMESPACE: &str = "iam-token-operator";

/// How long anything may take that should take a moment.
pub const A_WHILE: Duration = Duration::from_secs(30);

/// All that a test needs.
pub struct World {
    pub plane: &'static ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub iam: FakeIam,
    pub operator: Operator,
}

// === impl World ===

impl World {
    /// A namespace of its own with an operator that watches it, and a fake IAM that it is allowed to ask.
    pub async fn start() -> Self {
        Self::start_with(FakeIam::start(), "info").await
    }

    pub async fn start_with(iam: FakeIam, log_level: &str) -> Self {
        let endpoints = [iam.url()];
        Self::start_towards(iam, &endpoints, log_level).await
    }

    /// With more arguments for the operator.
    pub async fn start_more(more: &[&str]) -> Self {
        let iam = FakeIam::start();
        let endpoints = [iam.url()];
        Self::begin(iam, &endpoints, "info", more).await
    }

    /// With these endpoints allowed in place of the fake IAM's.
    pub async fn start_towards(iam: FakeIam, endpoints: &[String], log_level: &str) -> Self {
        Self::begin(iam, endpoints, log_level, &[]).await
    }

    async fn begin(iam: FakeIam, endpoints: &[String], log_level: &str, more: &[&str]) -> Self {
        Self::begin_in(&[], iam, endpoints, log_level, more).await
    }

    /// With these variables in the operator's environment, these endpoints allowed, and more arguments.
    pub async fn begin_in(
        variables: &[(&str, &str)],
        iam: FakeIam,
        endpoints: &[String],
        log_level: &str,
        more: &[&str],
    ) -> Self {
        let plane = prepared().await;
        let client = plane.admin();
        let namespace = new_namespace(&client).await;
        allow_operator(&client, &namespace).await;
        let start = Start {
            kubeconfig: &kubeconfig(plane).await,
            namespaces: std::slice::from_ref(&namespace),
            endpoints,
            log_level,
            more,
        };
        let operator = Operator::start_in(&start, variables);
        Self { plane, client, namespace, iam, operator }
    }

    /// One more operator, which competes with others of its kind for a lease.
    pub async fn replica(&self, more: &[&str]) -> Operator {
        Operator::start(&Start {
            kubeconfig: &kubeconfig(self.plane).await,
            namespaces: std::slice::from_ref(&self.namespace),
            endpoints: &[self.iam.url()],
            log_level: "info",
            more: &[&["--leader-elect", "--lease-namespace", &self.namespace], more].concat(),
        })
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn tokens(&self) -> Api<IamToken> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A Secret `name` with `value` at the key `apikey`.
    pub async fn put_key(&self, name: &str, value: &str) {
        put_secret(&self.client, &self.namespace, name, &json!({"apikey": value})).await;
    }

    /// An IamToken `name` with this spec.
    pub async fn put_token(&self, name: &str, spec: &Value) -> IamToken {
        put_token(&self.client, &self.namespace, name, spec).await
    }

    /// A key that IAM knows in a Secret `name-key`, and an IamToken `name` for it. Returns the key.
    pub async fn put_pair(&self, name: &str) -> String {
        let key = self.iam.service_id_key(&format!("{}-{name}", self.namespace));
        self.put_key(&format!("{name}-key"), &key).await;
        self.put_token(name, &json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).await;
        key
    }

    pub async fn annotate(&self, name: &str, annotation: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation: value}}}));
        self.tokens().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn change_spec(&self, name: &str, spec: &Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.tokens().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn status(&self, name: &str) -> IamTokenStatus {
        self.tokens().get(name).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the condition of this type is there with this reason.
    pub async fn condition(&self, name: &str, type_: &str, reason: &str) -> Condition {
        eventually(&format!("{name}: {type_} with reason {reason}"), async || {
            let status = self.status(name).await;
            let found = condition(&status, type_).cloned();
            found.filter(|c| c.reason == reason).ok_or(status)
        })
        .await
    }

    /// Waits until the token is ready, and returns the data of the Secret of the same name.
    pub async fn ready(&self, name: &str) -> Value {
        eventually(&format!("{name} ready"), async || {
            let status = self.status(name).await;
            let ready = condition(&status, CONDITION_READY).is_some_and(|c| c.status == "True");
            if ready { Ok(()) } else { Err(status) }
        })
        .await;
        self.data(name).await.unwrap_or_default()
    }

    /// A Secret's data as text; `None` where there is no such Secret.
    pub async fn data(&self, name: &str) -> Option<Value> {
        let secret = self.secrets().get_opt(name).await.unwrap()?;
        Some(data_of(&secret))
    }

    /// Waits until the Secret's data differs from `before` and returns it.
    pub async fn changed(&self, name: &str, before: &Value) -> Value {
        eventually(&format!("Secret {name} changed"), async || match self.data(name).await {
            Some(data) if data != *before => Ok(data),
            other => Err(other.is_some()),
        })
        .await
    }

    /// Another operator takes over, with more arguments, and has looked at all IamTokens: it has made one ready that is
    /// new, and had a second for what others needed.
    pub async fn restart(&mut self, more: &[&str]) {
        self.operator.kill();
        self.operator = Operator::start(&Start {
            kubeconfig: &kubeconfig(self.plane).await,
            namespaces: std::slice::from_ref(&self.namespace),
            endpoints: &[self.iam.url()],
            log_level: "debug",
            more,
        });
        let _ = self.tokens().delete("canary", &DeleteParams::default()).await;
        let _ = self.secrets().delete("canary", &DeleteParams::default()).await;
        self.put_key("canary-key", &self.iam.service_id_key(&format!("{}-canary", self.namespace))).await;
        self.put_token("canary", &json!({"apiKeySecretRef": {"name": "canary-key"}})).await;
        self.ready("canary").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// IAM knows the cluster's ServiceAccounts from now on.
    pub async fn trust_cluster(&self) {
        trust_cluster(&self.iam, &self.client).await;
    }

    /// All events of the namespace, once none has come for a moment: they are published after what they tell of.
    pub async fn events(&self) -> Vec<Event> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut before = None;
        loop {
            let events = api.list(&ListParams::default()).await.unwrap().items;
            let versions: Vec<_> = events.iter().map(|event| event.metadata.resource_version.clone()).collect();
            if before.as_ref() == Some(&versions) {
                return events;
            }
            before = Some(versions);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    /// Neither the IamTokens, nor the events, nor the operator's log show any of these texts, however they are encoded.
    pub async fn assert_hidden(&self, secrets: &[String]) {
        let tokens = self.tokens().list(&ListParams::default()).await.unwrap().items;
        let (tokens, events) = (serde_json::to_string(&tokens).unwrap(), self.events().await);
        let (events, log) = (serde_json::to_string(&events).unwrap(), self.operator.log());
        for (place, text) in [("IamTokens", &tokens), ("events", &events), ("log", &log)] {
            assert!(text.len() > 100, "{place}: nothing there to look at");
            for secret in secrets {
                let escaped: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
                for form in [secret, &escaped, &STANDARD.encode(secret)] {
                    assert!(!text.contains(form.as_str()), "the {place} show a secret that begins {secret:.8}");
                }
            }
        }
    }

    pub async fn delete_secret(&self, name: &str) {
        self.secrets().delete(name, &DeleteParams::default()).await.unwrap();
    }
}

// === the cluster ===

/// The shared API server with the CRD and the operator's role on it.
pub async fn prepared() -> &'static ControlPlane {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await;
    PREPARED.get_or_init(|| install(plane)).await;
    plane
}

/// Installs the CRD and the operator's role, with the rights that the chart gives it.
pub async fn install(plane: &ControlPlane) {
    install_role(plane).await;
    install_crd(plane).await;
}

pub async fn install_role(plane: &ControlPlane) {
    let client = plane.admin();
    make_namespace(&client, OPERATOR_NAMESPACE).await;
    let role = json!({"metadata": {"name": "iam-token-operator"}, "rules": rules_of_the_chart()});
    let role: ClusterRole = serde_json::from_value(role).unwrap();
    let params = PatchParams::apply("tests").force();
    Api::<ClusterRole>::all(client).patch("iam-token-operator", &params, &Patch::Apply(&role)).await.unwrap();
}

/// What the chart grants: in the namespaces that are watched, and in that of the lease.
fn rules_of_the_chart() -> Vec<Value> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rbac.yaml")).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let of_operator = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        ["iam-token-operator", "iam-token-operator-lease"].contains(&name)
    };
    objects
        .iter()
        .filter(of_operator)
        .flat_map(|object| object["rules"].as_array().cloned().unwrap_or_default())
        .collect()
}

pub async fn install_crd(plane: &ControlPlane) {
    for file in ["crds/iamtokens.yaml", "crds/clusteriamcredentials.yaml"] {
        put_crd(plane, &from_yaml(file)).await;
    }
}

pub async fn put_crd(plane: &ControlPlane, crd: &CustomResourceDefinition) {
    let crds: Api<CustomResourceDefinition> = Api::all(plane.admin());
    let params = PatchParams::apply("tests").force();
    let name = crd.metadata.name.as_deref().unwrap();
    crds.patch(name, &params, &Patch::Apply(crd)).await.unwrap();
    eventually("the CRD established", async || {
        let crd = crds.get(name).await.unwrap();
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
        if established { Ok(()) } else { Err(conditions) }
    })
    .await;
}

/// A file of the repository.
pub fn from_yaml<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The kubeconfig of the operator's ServiceAccount.
pub async fn kubeconfig(plane: &ControlPlane) -> PathBuf {
    plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, "iam-token-operator").await
}

pub async fn new_namespace(client: &Client) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    make_namespace(client, &name).await;
    name
}

async fn make_namespace(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    match Api::all(client.clone()).create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        other => drop(other.unwrap()),
    }
}

/// Grants the operator these rules in the namespace, by a Role of this name, beside what it may do already.
pub async fn grant(client: &Client, namespace: &str, name: &str, rules: &Value) {
    let role: Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}],
    }))
    .unwrap();
    let params = PostParams::default();
    Api::namespaced(client.clone(), namespace).create(&params, &role).await.unwrap();
    Api::namespaced(client.clone(), namespace).create(&params, &binding).await.unwrap();
}

/// Takes back what [`grant`] gave.
pub async fn withdraw(client: &Client, namespace: &str, name: &str) {
    let params = DeleteParams::default();
    Api::<RoleBinding>::namespaced(client.clone(), namespace).delete(name, &params).await.unwrap();
    Api::<Role>::namespaced(client.clone(), namespace).delete(name, &params).await.unwrap();
}

/// Binds the operator's role in the namespace.
pub async fn allow_operator(client: &Client, namespace: &str) {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "iam-token-operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "iam-token-operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}],
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await.unwrap();
}

/// Creates the Secret, or sets these keys in it.
pub async fn put_secret(client: &Client, namespace: &str, name: &str, data: &Value) {
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data})).unwrap();
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match api.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let patch = Patch::Merge(json!({"stringData": data}));
            api.patch(name, &PatchParams::default(), &patch).await.unwrap();
        }
        other => drop(other.unwrap()),
    }
}

pub async fn put_token(client: &Client, namespace: &str, name: &str, spec: &Value) -> IamToken {
    let token: IamToken = serde_json::from_value(json!({
        "apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap();
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &token).await.unwrap()
}

/// IAM knows the ServiceAccounts of this cluster from now on.
pub async fn trust_cluster(iam: &FakeIam, client: &Client) {
    let keys = http::Request::get("/openid/v1/jwks").body(vec![]).unwrap();
    iam.trust_cluster(serde_json::from_str(&client.request_text(keys).await.unwrap()).unwrap());
}

/// Says that something is not tried: past the capture of a test's output, which is not shown where it passes.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

// === looking ===

pub fn condition<'a>(status: &'a IamTokenStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

pub fn data_of(secret: &Secret) -> Value {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| (key.clone(), json!(String::from_utf8_lossy(&value.0))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Asks again and again until the answer is Ok; panics with the last Err after [`A_WHILE`].
pub async fn eventually<T, E: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begin = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(last) if begin.elapsed() > A_WHILE => panic!("not within {A_WHILE:?}: {what}; last seen: {last:#?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
