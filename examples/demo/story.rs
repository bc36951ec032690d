//! What happens, step by step. Each step is an error where it does not turn out as promised.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, IamTokenStatus, Reason};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::fake_iam::{ApiKey, KeyState, fake_api_key};
use tokio::time::sleep;

use crate::Result;
use crate::cluster::{API_KEY, NAMESPACE, TOKEN, true_condition};
use crate::reader::{LIMIT, Mounted};
use crate::report::{Figures, show};
use crate::say::{Say, block, seconds};
use crate::stage::Stage;

/// How many refreshes are watched with nothing else going on.
const REFRESHES: usize = 3;
/// How long IAM stays away after a refresh was missed, and how much of the token must be left when it is back.
const OUTAGE: Duration = Duration::from_secs(3);
const ENOUGH_LEFT: f64 = 5.0;
/// After which what follows a change, such as an event, has been written.
const SETTLE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub async fn tell(stage: &Stage, say: &Say) -> Result<()> {
    first_token(stage, say).await?;
    let requests = undisturbed(stage, say).await?;
    let new_key = rotate(stage, say).await?;
    delete_target(stage, say).await?;
    edit_target(stage, say).await?;
    outage(stage, say).await?;
    no_leak(stage, &new_key).await?;
    say.step("What happened");
    show(stage, &Figures { requests, refreshes: REFRESHES }).await
}

async fn first_token(stage: &Stage, say: &Say) -> Result<()> {
    say.step("An API key and an IamToken, as in docs/examples");
    let cluster = &stage.cluster;
    cluster.kubectl(&["apply", "--dry-run=server", "-n", NAMESPACE, "-f", "docs/examples/"]).await?;
    cluster.show(&["apply", "-n", NAMESPACE, "-f", "docs/examples/api-key.yaml"]).await?;
    cluster.show(&["apply", "-n", NAMESPACE, "-f", "docs/examples/iamtoken.yaml"]).await?;
    let ready = format!("--for=condition={CONDITION_READY}");
    cluster.kubectl(&["wait", &ready, "iamtoken", TOKEN, "-n", NAMESPACE, "--timeout=60s"]).await?;
    let mounted = stage.reader.more_tokens_than(0).await?;
    say.line(&format!("Secret {TOKEN} holds a token; a workload calls the key-management service with it from now on"));
    if mounted.is_whole() { Ok(()) } else { Err("its files are not of the same token".into()) }
}

/// Returns how often the operator asked the API server for what.
async fn undisturbed(stage: &Stage, say: &Say) -> Result<BTreeMap<String, usize>> {
    say.step(&format!("{REFRESHES} refreshes with nothing else going on"));
    sleep(SETTLE).await;
    let (mark, first) = (stage.cluster.mark().await, stage.reader.now().tokens.len());
    for count in first..first + REFRESHES {
        replaced(stage, say, count).await?;
    }
    let expires = stage.reader.now().file("expiration").to_owned();
    status_until(stage, "the status says when the new token expires", |status| {
        status.expires_at.as_ref().is_some_and(|at| at.0.as_second().to_string() == expires)
    })
    .await?;
    sleep(SETTLE).await;
    let mut requests = BTreeMap::new();
    for event in stage.cluster.requests_of_operator_since(mark).await {
        let slash = if event.subresource.is_empty() { "" } else { "/" };
        let what = format!("{} {}{slash}{}", event.verb, event.resource, event.subresource);
        *requests.entry(what).or_default() += 1;
    }
    Ok(requests)
}

/// Waits for one token more than `count`.
async fn replaced(stage: &Stage, say: &Say, count: usize) -> Result<()> {
    let mounted = stage.reader.more_tokens_than(count).await?;
    let left = mounted.left.last().copied().unwrap_or_default();
    say.line(&format!("the token was replaced; the one before had {left:.1} s left"));
    Ok(())
}

/// Returns the new key.
async fn rotate(stage: &Stage, say: &Say) -> Result<String> {
    say.step("The API key is rotated: the old one is deleted at IAM at once");
    let new_key = fake_api_key("payments, rotated");
    stage.iam.add_key(&new_key, ApiKey::new("payments-2", &stage.identity.iam_id));
    stage.iam.set_key_state(&stage.key, KeyState::Deleted);
    let (count, begin) = (stage.reader.now().tokens.len(), Instant::now());
    let change = Patch::Merge(json!({"stringData": {"apikey": new_key}}));
    stage.cluster.secrets().patch(API_KEY, &PatchParams::default(), &change).await?;
    stage.reader.more_tokens_than(count).await?;
    if stage.iam.exchanges_of(&new_key) == 0 {
        return Err("the token is not of the new key".into());
    }
    say.line(&format!("a token of the new key was there after {}", seconds(begin.elapsed())));
    Ok(new_key)
}

async fn delete_target(stage: &Stage, say: &Say) -> Result<()> {
    say.step("Somebody deletes the target Secret");
    let (before, exchanges, begin) = (stage.reader.now(), stage.iam.exchanges(), Instant::now());
    stage.cluster.secrets().delete(TOKEN, &DeleteParams::default()).await?;
    let back = |now: &Mounted| now.uid != before.uid && now.is_whole();
    stage.reader.until("the target is back", back).await?;
    say.line(&format!("it was back after {}, {}", seconds(begin.elapsed()), exchanged_since(stage, exchanges)));
    Ok(())
}

async fn edit_target(stage: &Stage, say: &Say) -> Result<()> {
    say.step("Somebody edits the target Secret");
    let (exchanges, begin) = (stage.iam.exchanges(), Instant::now());
    let change = Patch::Merge(json!({"stringData": {"token": "edited by hand"}}));
    let edited = stage.cluster.secrets().patch(TOKEN, &PatchParams::default(), &change).await?;
    let version: u64 = edited.metadata.resource_version.unwrap_or_default().parse()?;
    stage.reader.until("the target is restored", |now| now.version > version && now.is_whole()).await?;
    say.line(&format!("it was restored after {}, {}", seconds(begin.elapsed()), exchanged_since(stage, exchanges)));
    Ok(())
}

/// Whether there were more exchanges than so many, in words.
fn exchanged_since(stage: &Stage, exchanges: usize) -> &'static str {
    if stage.iam.exchanges() == exchanges { "without an exchange at IAM" } else { "with an exchange at IAM" }
}

async fn outage(stage: &Stage, say: &Say) -> Result<()> {
    say.step("IAM goes away through the next refresh");
    let count = stage.reader.now().tokens.len();
    stage.iam.down();
    let status = status_until(stage, "the status says that IAM is unreachable", is_iam_missed).await?;
    say.line(&format!("a refresh failed, with {:.1} s left of the token. The conditions:", left(stage)));
    for condition in &status.conditions {
        block(&format!("{}={} {}", condition.type_, condition.status, condition.reason));
        block(&format!("  {}", condition.message));
    }
    if true_condition(&status, CONDITION_READY).is_none() {
        return Err("the token is valid, but Ready is not True".into());
    }
    let begin = Instant::now();
    while begin.elapsed() < OUTAGE && left(stage) > ENOUGH_LEFT {
        sleep(LOOK_EVERY).await;
    }
    stage.iam.up();
    say.line(&format!("IAM is back, with {:.1} s left", left(stage)));
    replaced(stage, say, count).await?;
    status_until(stage, "the status has recovered", |status| {
        true_condition(status, CONDITION_READY).is_some_and(|ready| ready.reason == Reason::TokenValid.as_str())
    })
    .await?;
    Ok(())
}

fn left(stage: &Stage) -> f64 {
    stage.reader.now().seconds_left()
}

fn is_iam_missed(status: &IamTokenStatus) -> bool {
    let reconciling = true_condition(status, CONDITION_RECONCILING);
    reconciling.is_some_and(|condition| condition.reason == Reason::IamUnreachable.as_str())
}

/// Returns the status as soon as this holds of it.
async fn status_until(stage: &Stage, what: &str, holds: impl Fn(&IamTokenStatus) -> bool) -> Result<IamTokenStatus> {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        let status = stage.cluster.status().await?;
        if holds(&status) {
            return Ok(status);
        }
        sleep(LOOK_EVERY).await;
    }
    Err(format!("not within {} s: {what}", LIMIT.as_secs()).into())
}

/// No key and no token is anywhere but in the Secrets.
async fn no_leak(stage: &Stage, new_key: &str) -> Result<()> {
    let objects = stage.cluster.kubectl(&["get", "iamtokens,events.events.k8s.io", "-A", "-o", "yaml"]).await?;
    let places = [("log", stage.operator.log().join("\n")), ("status or an event", objects)];
    let tokens = stage.reader.now().tokens;
    for secret in tokens.iter().map(String::as_str).chain([stage.key.as_str(), new_key]) {
        if let Some((place, _)) = places.iter().find(|(_, text)| text.contains(secret)) {
            return Err(format!("a key or a token is in the {place}").into());
        }
    }
    Ok(())
}
