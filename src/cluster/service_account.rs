//! Asking the API server for a token of a ServiceAccount, for IAM alone and for a short time. It is kept nowhere.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::call;
use crate::core::problem::{ApiKind, ApiProblem, Problem};
use crate::core::view::Key;

/// The audience that IAM wants (IBM Cloud Kubernetes Service documentation, "trusted profiles": `audience: iam`).
const AUDIENCE: &str = "iam";

/// How long the token lives, in seconds: the least that the API server gives. IAM refuses more than an hour.
const LIFETIME: u32 = 600;

/// A TokenRequest as the API server answers it; Debug does not show the token.
#[derive(Deserialize, Debug)]
struct Requested {
    status: Issued,
}

#[derive(Deserialize, Debug)]
struct Issued {
    token: SecretString,
}

/// A new token of the ServiceAccount.
///
/// # Errors
/// Where it does not exist, or the API server gives none to the operator or no answer.
pub async fn token(client: &Client, who: &Key) -> Result<SecretString, Problem> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &who.namespace);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": LIFETIME},
    });
    let params = PostParams::default();
    let asked = api.create_subresource::<_, Requested>("token", &who.name, &params, &request);
    match call(|| format!("ask for a token of ServiceAccount {}", who.name), asked).await {
        Ok(requested) => Ok(requested.status.token),
        Err(problem) => Err(meaning(problem, &who.name)),
    }
}

/// The user name that the API server knows the operator by, such as `system:serviceaccount:NAMESPACE:NAME`.
///
/// # Errors
/// Where the API server gives no answer, or none with a name: nobody can be told from the operator then.
pub async fn own_name(client: &Client) -> Result<String, ApiProblem> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, question) = (PostParams::default(), SelfSubjectReview::default());
    let action = || "ask who the operator is".to_owned();
    let review = call(action, api.create(&params, &question)).await?;
    let name = review.status.and_then(|status| status.user_info?.username).filter(|name| !name.is_empty());
    name.ok_or_else(|| ApiProblem { action: action(), kind: ApiKind::Unavailable, code: None, fields: vec![] })
}

fn meaning(problem: ApiProblem, name: &str) -> Problem {
    match (problem.kind, problem.code) {
        (_, Some(404)) => Problem::ServiceAccountNotFound { name: name.to_owned() },
        (ApiKind::Denied | ApiKind::Refused, code) => Problem::TokenRequestRefused { name: name.to_owned(), code },
        _ => Problem::Api(problem),
    }
}
