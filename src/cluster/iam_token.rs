//! Reading an `IamToken` anew, where the watch does not tell.

use kube::{Api, Client};

use super::call;
use crate::api::Listed;
use crate::core::problem::ApiProblem;
use crate::core::view::Key;

/// One read; `None` where it is gone.
///
/// # Errors
/// Where the API server refuses or gives no answer.
pub async fn read(client: &Client, key: &Key) -> Result<Option<Listed>, ApiProblem> {
    let api: Api<Listed> = Api::namespaced(client.clone(), &key.namespace);
    call(|| format!("read IamToken {}", key.name), api.get_opt(&key.name)).await
}
