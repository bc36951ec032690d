//! Writing the status.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::call;
use crate::api::{FIELD_MANAGER, IamTokenStatus, Listed};
use crate::core::problem::ApiProblem;
use crate::core::record::Mark;
use crate::core::view::Key;

/// One server-side apply of the whole status, to the object in the state in which it was seen: neither a successor of its
/// name nor what another replica has said meanwhile is overwritten. Returns the object's new resourceVersion.
///
/// # Errors
/// `Conflict` where it has changed; otherwise where the API server refuses it or gives no answer.
pub async fn write(client: &Client, key: &Key, seen: &Mark, status: &IamTokenStatus) -> Result<String, ApiProblem> {
    let api: Api<Listed> = Api::namespaced(client.clone(), &key.namespace);
    let patch = Patch::Apply(json!({
        "apiVersion": "iamtoken.dev/v1alpha1",
        "kind": "IamToken",
        "metadata": {"name": key.name, "uid": seen.uid, "resourceVersion": seen.version},
        "status": status,
    }));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = call(|| format!("write the status of {}", key.name), api.patch_status(&key.name, &params, &patch));
    Ok(written.await?.resource_version().unwrap_or_default())
}
