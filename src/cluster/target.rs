//! The target Secret: looking at it, writing it, reading its token back, removing it. Every write says in which state
//! it expects the Secret, so that nothing that somebody else put there meanwhile is ever overwritten.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use secrecy::SecretString;

use super::call;
use super::source::{Payload, decode};
use crate::api::FIELD_MANAGER;
use crate::core::observed::{Facts, Seen};
use crate::core::problem::ApiProblem;
use crate::core::record::Mark;

/// The Secrets of one namespace, as targets.
pub struct Targets {
    client: Client,
    namespace: String,
}

// === impl Targets ===

impl Targets {
    /// Those of `namespace`.
    #[must_use]
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self { client: client.clone(), namespace: namespace.to_owned() }
    }

    /// One read, of the metadata only.
    ///
    /// # Errors
    /// Where the API server gives no answer.
    pub async fn look(&self, name: &str) -> Result<Seen, ApiProblem> {
        let found = call(|| format!("look at Secret {name}"), self.secrets().get_metadata_opt(name)).await?;
        let facts = found.and_then(|secret| Facts::of(&secret.metadata));
        Ok(facts.map_or(Seen::Absent, |facts| Seen::Present(Box::new(facts))))
    }

    /// One server-side apply of what [`crate::core::render::secret`] gave. The answer holds metadata only.
    ///
    /// # Errors
    /// `Conflict` where the Secret is not in the state that the apply expects.
    pub async fn apply(&self, secret: &Secret) -> Result<Option<Facts>, ApiProblem> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(secret);
        let api = self.secrets();
        let written = call(|| format!("write Secret {name}"), api.patch_metadata(name, &params, &patch)).await?;
        Ok(Facts::of(&written.metadata))
    }

    /// One read, with the payload.
    ///
    /// # Errors
    /// Where the API server gives no answer.
    pub async fn payload(&self, name: &str) -> Result<BTreeMap<String, SecretString>, ApiProblem> {
        let api: Api<Payload> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = call(|| format!("read Secret {name}"), api.get_opt(name)).await?;
        let data = found.map(|secret| secret.data).unwrap_or_default().into_iter();
        let text = |value: SecretString| Some(SecretString::from(std::str::from_utf8(&decode(&value)?).ok()?));
        Ok(data.filter_map(|(key, value)| Some((key, text(value)?))).collect())
    }

    /// Removes the Secret if it is still in this state.
    ///
    /// # Errors
    /// `Conflict` where it is not.
    pub async fn remove(&self, name: &str, mark: &Mark) -> Result<(), ApiProblem> {
        let preconditions =
            Preconditions { uid: Some(mark.uid.to_string()), resource_version: Some(mark.version.to_string()) };
        let params = DeleteParams::default().preconditions(preconditions);
        let api = self.secrets();
        let deletion = async {
            match api.delete(name, &params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => other.map(|_| ()),
            }
        };
        call(|| format!("delete Secret {name}, the target before"), deletion).await
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
