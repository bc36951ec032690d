//! docs/operations.md and a scrape name the same metrics, with the same types and labels.

use iam_token_operator::telemetry::metrics::{Outcome, Resource, State, Verb};
use serde_json::json;

use crate::scrape::{Metric, Scrape, until};
use crate::world;

/// The rows `| name | type | labels | meaning |`.
fn documented() -> Vec<Metric> {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let rows =
        guide.lines().filter(|line| line.starts_with("| `iam_token_operator_") || line.starts_with("| `process_"));
    let mut all: Vec<_> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, kind, labels, meaning, _] = cells[..] else { panic!("{row}") };
            assert!(!meaning.is_empty(), "{row}");
            let mut labels: Vec<_> = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            labels.sort();
            Metric { name: name.trim_matches('`').to_owned(), kind: kind.to_owned(), labels }
        })
        .collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_exposed() {
    let world = world().await;
    let key = world.iam.service_id_key(&format!("{}-hpcs", world.namespace));
    world.iam.let_read_own_key(&key, true);
    world.iam.set_key_expiry(&key, Some(4_000_000_000));
    world.put_key("hpcs-key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}})).await;
    world.ready("hpcs").await;
    world.put_token("bad", &json!({"apiKeySecretRef": {"name": "nowhere"}})).await;
    let of_hpcs = [("name", "hpcs")];
    let told = |scrape: &Scrape| {
        scrape.of_token("ready", "hpcs") == Some(1.0)
            && scrape.value("api_key_expiry_timestamp_seconds", &of_hpcs) == Some(3_999_999_960.0)
    };
    let scrape = until(&world.operator, "told", told).await;
    assert_eq!(scrape.metrics(), documented(), "left: exposed; right: docs/operations.md");
}

#[test]
fn every_value_of_a_closed_list_is_documented() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let outcomes = Outcome::ALL.iter().map(|it| it.as_str());
    let resources = Resource::ALL.iter().map(|it| it.as_str());
    let states = State::ALL.iter().map(|it| it.as_str());
    let verbs = Verb::ALL.iter().map(|it| it.as_str());
    let all = outcomes.chain(resources).chain(states).chain(verbs);
    let missing: Vec<_> = all.filter(|value| !guide.contains(&format!("`{value}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
