//! The figures at the end.

use std::collections::BTreeMap;

use crate::Result;
use crate::cluster::NAMESPACE;
use crate::say::block;
use crate::stage::{LIFETIME, Stage};

/// What one refresh may ask the API server for.
const PER_REFRESH: [&str; 3] = ["get secrets", "patch iamtokens/status", "patch secrets"];

/// What was counted while nothing else went on.
pub struct Figures {
    /// Requests of the operator, by verb and resource.
    pub requests: BTreeMap<String, usize>,
    /// How many refreshes they are of.
    pub refreshes: usize,
}

/// Shows the table and what a user sees; an error where a promise was broken.
pub async fn show(stage: &Stage, figures: &Figures) -> Result<()> {
    for (what, value) in rows(stage, figures) {
        block(&format!("{what:<42} {value}"));
    }
    block("\n");
    stage.cluster.show(&["get", "iamtokens", "-n", NAMESPACE]).await?;
    stage.cluster.show(&["get", "iamtokens", "-n", NAMESPACE, "-o", "wide"]).await?;
    check(stage, figures)
}

fn rows(stage: &Stage, figures: &Figures) -> Vec<(&'static str, String)> {
    let mounted = stage.reader.now();
    let (tokens, exchanges, calls) = (mounted.tokens.len(), stage.iam.exchanges(), stage.calls());
    let least = mounted.left.iter().copied().fold(f64::INFINITY, f64::min);
    let memory = stage.operator.resident_mib().map_or("unknown here".into(), |mib| format!("{mib:.1} MiB"));
    vec![
        ("tokens that the target has held", tokens.to_string()),
        ("exchanges at IAM", exchanges.to_string()),
        ("least time left when one was replaced", format!("{least:.1} s of {LIFETIME} s")),
        ("calls of the key-management service", format!("{} ok, {} failed", calls.good, calls.bad)),
        ("API requests of an undisturbed refresh", per_refresh(figures)),
        ("API requests between refreshes", between(figures).to_string()),
        ("keys and tokens in log, status and events", "none".into()),
        ("the operator's resident memory", memory),
    ]
}

fn per_refresh(figures: &Figures) -> String {
    let each = |what: &str| {
        let count = figures.requests.get(what).copied().unwrap_or_default();
        let whole = count.is_multiple_of(figures.refreshes);
        let count =
            if whole { (count / figures.refreshes).to_string() } else { format!("{count}/{}", figures.refreshes) };
        format!("{count} {what}")
    };
    PER_REFRESH.map(each).join(", ")
}

/// What no refresh accounts for.
fn between(figures: &Figures) -> usize {
    let others = figures.requests.iter().filter(|(what, _)| !PER_REFRESH.contains(&what.as_str()));
    others.map(|(_, count)| count).sum()
}

fn check(stage: &Stage, figures: &Figures) -> Result<()> {
    let expected = PER_REFRESH.map(|what| (what.to_owned(), figures.refreshes));
    if figures.requests != BTreeMap::from(expected) {
        return Err(format!("{} refreshes took other API requests: {:?}", figures.refreshes, figures.requests).into());
    }
    match stage.calls().bad {
        0 => Ok(()),
        bad => Err(format!("{bad} calls of the key-management service failed").into()),
    }
}
