//! Asking the API server whose a token is, and whether they may read `/metrics`.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroize as _;

use super::call;
use crate::core::problem::ApiProblem;
use crate::core::scrapers::Verdict;

/// Whether whoever has this token may `get` the non-resource URL `/metrics`: a TokenReview, and where it names somebody, a
/// SubjectAccessReview. So does the filter of controller-runtime (`pkg/metrics/filters`).
///
/// # Errors
/// Where the API server gives no answer, or doesn't let the operator ask.
pub async fn may_scrape(client: &Client, token: SecretString) -> Result<Verdict, ApiProblem> {
    let (params, reviews) = (PostParams::default(), Api::<TokenReview>::all(client.clone()));
    let spec = TokenReviewSpec { token: token.expose_secret().to_owned(), ..TokenReviewSpec::default() };
    let mut question = TokenReview { spec, ..TokenReview::default() };
    let review = call(|| "review the token of a scrape".into(), reviews.create(&params, &question)).await;
    question.spec.token.zeroize();
    let mut review = review?;
    review.spec.token.zeroize();
    let status = review.status.filter(|status| status.authenticated == Some(true));
    let Some(user) = status.and_then(|status| status.user) else { return Ok(Verdict::Unknown) };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some("/metrics".into()),
            verb: Some("get".into()),
        }),
        ..SubjectAccessReviewSpec::default()
    };
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    let question = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let review = call(|| "review who may scrape".into(), reviews.create(&params, &question)).await?;
    let allowed =
        matches!(review.status, Some(SubjectAccessReviewStatus { allowed: true, denied: None | Some(false), .. }));
    Ok(if allowed { Verdict::Allowed } else { Verdict::Forbidden })
}
