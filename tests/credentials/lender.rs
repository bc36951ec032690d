//! A ClusterIamCredential whose key is in a namespace of its own, and two namespaces that may want tokens of it.

use iam_token_operator::api::{
    CONDITION_READY, CONDITION_STALLED, ClusterIamCredential, ClusterIamCredentialStatus, IamToken, IamTokenStatus,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{
    OPERATOR_NAMESPACE, World, allow_operator, condition, data_of, eventually, grant, new_namespace, prepared,
    put_secret, put_token,
};

/// The world, whose namespace is one that may want tokens, and what else there is.
pub struct Bank {
    pub world: World,
    /// Where the key is.
    pub vault: String,
    /// The other namespace.
    pub other: String,
    /// The ClusterIamCredential's name, which no other test uses.
    pub credential: String,
}

// === impl Bank ===

impl Bank {
    /// The operator may lend from the vault, and has the rights for it.
    pub async fn open() -> Self {
        let client = prepared().await.admin();
        let (vault, other) = (new_namespace(&client).await, new_namespace(&client).await);
        allow_operator(&client, &other).await;
        allow_lending(&client, &vault).await;
        let world = World::start_more(&["--credential-namespaces", &vault, "--watch-namespaces", &other]).await;
        // Nothing that it is called by tells where its key is.
        let credential = format!("shared-{other}");
        Self { world, vault, other, credential }
    }

    /// With a key in the vault and a credential that admits `allowed`. Returns the key.
    pub async fn open_with(allowed: impl FnOnce(&Self) -> Value) -> (Self, String) {
        let bank = Self::open().await;
        let key = bank.world.iam.service_id_key(&bank.vault);
        bank.put_key(&key).await;
        let allowed = allowed(&bank);
        bank.put_credential(&json!({"allowedNamespaces": allowed})).await;
        (bank, key)
    }

    pub async fn put_key(&self, key: &str) {
        put_secret(&self.world.client, &self.vault, "shared-key", &json!({"apikey": key})).await;
    }

    /// Creates the credential with `changes` to one that admits nobody.
    pub async fn put_credential(&self, changes: &Value) {
        let mut spec = json!({"apiKeySecretRef": {"namespace": self.vault, "name": "shared-key"}});
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let object = json!({
            "apiVersion": "iamtoken.dev/v1alpha1", "kind": "ClusterIamCredential",
            "metadata": {"name": self.credential}, "spec": spec,
        });
        let object: ClusterIamCredential = serde_json::from_value(object).unwrap();
        self.credentials().create(&PostParams::default(), &object).await.unwrap();
    }

    pub async fn change_credential(&self, spec: &Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.credentials().patch(&self.credential, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn delete_credential(&self) {
        self.credentials().delete(&self.credential, &DeleteParams::default()).await.unwrap();
    }

    pub async fn label(&self, namespace: &str, labels: &Value) {
        let api: Api<Namespace> = Api::all(self.world.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        api.patch(namespace, &PatchParams::default(), &patch).await.unwrap();
    }

    /// An IamToken that names the credential.
    pub async fn put_token(&self, namespace: &str, name: &str) {
        put_token(&self.world.client, namespace, name, &self.spec()).await;
    }

    pub fn spec(&self) -> Value {
        json!({"credentialRef": {"name": self.credential}})
    }

    /// Asks for a refresh of an IamToken of the world's namespace.
    pub async fn insist(&self, name: &str) {
        self.world.annotate(name, "iamtoken.dev/refresh-requested", &format!("{:?}", std::time::Instant::now())).await;
    }

    /// Waits until the IamToken is ready, and returns the data of its target.
    pub async fn ready(&self, namespace: &str, name: &str) -> Value {
        let (tokens, secrets) = (self.tokens(namespace), Api::namespaced(self.world.client.clone(), namespace));
        eventually(&format!("{namespace}/{name} ready"), async || {
            let status = tokens.get(name).await.unwrap().status.unwrap_or_default();
            let ready = condition(&status, CONDITION_READY).is_some_and(|it| it.status == "True");
            if ready && condition(&status, CONDITION_STALLED).is_none() { Ok(()) } else { Err(status) }
        })
        .await;
        data_of(&secrets.get(name).await.unwrap())
    }

    /// Waits until the IamToken of the world's namespace is stalled for this reason; returns the message.
    pub async fn stalled(&self, name: &str, reason: &str) -> String {
        self.world.condition(name, CONDITION_STALLED, reason).await.message
    }

    pub async fn status(&self, name: &str) -> IamTokenStatus {
        self.world.status(name).await
    }

    /// Waits until the credential has this condition for this reason.
    pub async fn credential_says(&self, type_: &str, reason: &str) -> Condition {
        eventually(&format!("{}: {type_} with reason {reason}", self.credential), async || {
            let status: ClusterIamCredentialStatus =
                self.credentials().get(&self.credential).await.unwrap().status.unwrap_or_default();
            let found = status.conditions.iter().find(|it| it.type_ == type_ && it.reason == reason).cloned();
            found.ok_or(status)
        })
        .await
    }

    fn tokens(&self, namespace: &str) -> Api<IamToken> {
        Api::namespaced(self.world.client.clone(), namespace)
    }

    pub fn credentials(&self) -> Api<ClusterIamCredential> {
        Api::all(self.world.client.clone())
    }
}

/// The rights that the chart grants with `clusterCredentials.namespaces`. `tests/chart` holds it to them.
async fn allow_lending(client: &kube::Client, vault: &str) {
    let subjects = json!([{"kind": "ServiceAccount", "name": "iam-token-operator", "namespace": OPERATOR_NAMESPACE}]);
    let params = PatchParams::apply("tests").force();
    let name = "iam-token-operator-credentials";
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": name}, "rules": [
        {"apiGroups": ["iamtoken.dev"], "resources": ["clusteriamcredentials"], "verbs": ["list", "watch"]},
        {"apiGroups": ["iamtoken.dev"], "resources": ["clusteriamcredentials/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
    ]}))
    .unwrap();
    Api::<ClusterRole>::all(client.clone()).patch(name, &params, &Patch::Apply(&role)).await.unwrap();
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
    let binding = json!({"metadata": {"name": name}, "roleRef": role, "subjects": subjects});
    let binding: ClusterRoleBinding = serde_json::from_value(binding).unwrap();
    Api::<ClusterRoleBinding>::all(client.clone()).patch(name, &params, &Patch::Apply(&binding)).await.unwrap();
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"], "resourceNames": ["client"]},
    ]);
    grant(client, vault, name, &rules).await;
}
