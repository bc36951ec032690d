//! What is asked of the API server for a refresh, by nobody in particular: one read and two writes, as large as the
//! operator's.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use iam_token_operator::api::{FIELD_MANAGER, IamToken, IamTokenSpec, IamTokenStatus};
use iam_token_operator::core::digest;
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::plan::Plan;
use iam_token_operator::core::problem::Problem;
use iam_token_operator::core::record::{Mark, Owner, Record};
use iam_token_operator::core::render::{self, Expect};
use iam_token_operator::core::schedule::RenewBefore;
use iam_token_operator::core::status::{self, Situation};
use iam_token_operator::core::view::Key;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use secrecy::SecretString;
use serde_json::json;

use crate::stage::{CONNECTIONS, Keys, Stage};

/// As long as a token of the fake IAM, in bytes, and none.
const TOKEN_LENGTH: usize = 1100;

/// Refreshes of `count` objects a second, of which as many are under way as the operator has.
pub async fn rate(stage: &Stage, prefix: &str, count: usize) -> f64 {
    let names = stage.fill(prefix, count, Keys::Own).await;
    let begin = Instant::now();
    refresh_all(stage, &names).await;
    count as f64 / begin.elapsed().as_secs_f64()
}

/// As many at once as the operator has.
pub async fn refresh_all(stage: &Stage, names: &[(String, String)]) {
    let mut all = stream::iter(names).map(|at| refresh(stage, at)).buffer_unordered(CONNECTIONS);
    while all.next().await.is_some() {}
}

/// One read and two writes of an IamToken that nobody else works on. Returns how long they took.
pub async fn refresh(stage: &Stage, (space, name): &(String, String)) -> Duration {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), space);
    let tokens: Api<IamToken> = Api::namespaced(stage.client.clone(), space);
    let (secret, status) = payload(space, name);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let begin = Instant::now();
    secrets.get(&format!("{name}-key")).await.unwrap();
    secrets.patch_metadata(name, &params, &Patch::Apply(&secret)).await.unwrap();
    tokens.patch_status(name, &params, &Patch::Apply(&status)).await.unwrap();
    begin.elapsed()
}

/// What the operator would write.
fn payload(space: &str, name: &str) -> (Secret, serde_json::Value) {
    let spec: IamTokenSpec =
        serde_json::from_value(json!({"apiKeySecretRef": {"name": format!("{name}-key")}})).unwrap();
    let endpoints = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    let key = Key::new(space, name);
    let plan = Plan::new(&key, &spec, &endpoints.into(), |_| Err(Problem::NothingIsLent)).unwrap();
    let token = format!("FAKE.{}.token", "x".repeat(TOKEN_LENGTH));
    let now = Timestamp::now();
    let record = Record {
        owner: Owner { namespace: space.into(), name: name.into(), uid: "00000000-0000-0000-0000-000000000000".into() },
        refreshed_at: now,
        lifetime: 3600,
        jitter: 9,
        source: Mark { uid: "00000000-0000-0000-0000-000000000000".into(), version: "100000".into() },
        credential: digest::of_secret("uid", "credential"),
        token: digest::of_secret("uid", &token),
        ask: plan.ask.clone(),
        shape: plan.shape.clone(),
        refresh_requested: None,
        identity: None,
        skew: 0,
        server_ahead: Some(0),
    };
    let situation = Situation {
        generation: 1,
        target: Some(name),
        record: Some(&record),
        unknown: false,
        intact: true,
        renew_before: RenewBefore::default(),
        suspended: false,
        problem: None,
        api_key: None,
    };
    let status = json!({
        "apiVersion": "iamtoken.dev/v1alpha1",
        "kind": "IamToken",
        "metadata": {"name": name},
        "status": status::next(&IamTokenStatus::default(), &situation, now),
    });
    let mut secret = render::secret(&plan, &record, &SecretString::from(token), &Expect::Absent).unwrap();
    // Whichever state it is in, and nobody's: there is no such owner, and the API server knows.
    secret.metadata.resource_version = None;
    secret.metadata.owner_references = None;
    (secret, status)
}

/// How long the API server takes to list what the operator lists at its start: IamTokens, and the metadata of Secrets. In
/// pages of 500, as kube has them; the operator's are smaller.
pub async fn lists(stage: &Stage) -> Duration {
    let begin = Instant::now();
    let tokens: Api<IamToken> = Api::all(stage.client.clone());
    let secrets: Api<Secret> = Api::all(stage.client.clone());
    let mut page = ListParams::default().limit(500);
    loop {
        let list = tokens.list(&page).await.unwrap();
        let Some(next) = list.metadata.continue_.filter(|next| !next.is_empty()) else { break };
        page = page.continue_token(&next);
    }
    let mut page = ListParams::default().limit(500);
    loop {
        let list = secrets.list_metadata(&page).await.unwrap();
        let Some(next) = list.metadata.continue_.filter(|next| !next.is_empty()) else { break };
        page = page.continue_token(&next);
    }
    begin.elapsed()
}
