//! The alerts and the dashboard ask for metrics that there are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{CHART, ROOT, objects, only};

const ON: &str =
    "metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}";

/// The metrics of the operator that the text names.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // A histogram is documented by the name of its family.
    let ours = words.filter(|word| word.starts_with("iam_token_operator_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

fn dashboard() -> Value {
    let objects = objects(ON);
    let data = only(&objects, "ConfigMap")["data"].as_object().unwrap();
    assert_eq!(data.len(), 1);
    serde_json::from_str(data.values().next().unwrap().as_str().unwrap()).unwrap()
}

#[test]
fn every_metric_that_is_asked_for_is_documented() {
    let documented = metrics(&operations());
    let asked: BTreeSet<String> = ["alerts.yaml", "dashboard.json"]
        .iter()
        .flat_map(|file| metrics(&std::fs::read_to_string(format!("{CHART}/files/{file}")).unwrap()))
        .collect();
    assert!(asked.len() > 5, "{asked:?}");
    assert_eq!(asked.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let objects = objects(ON);
    let rules = only(&objects, "PrometheusRule")["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 4);
    for rule in rules {
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(), "{rule}");
        assert!(!metrics(rule["expr"].as_str().unwrap()).is_empty(), "{rule}");
    }
}

#[test]
fn every_panel_shows_something_and_overlaps_no_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 5);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        assert!(targets.iter().all(|target| !metrics(target["expr"].as_str().unwrap()).is_empty()));
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for (x, y) in (0..side("w")).flat_map(|x| (0..side("h")).map(move |y| (x, y))) {
            assert!(side("x") + x < 24 && taken.insert((side("x") + x, side("y") + y)), "{}", panel["title"]);
        }
    }
}

fn operations() -> String {
    std::fs::read_to_string(format!("{ROOT}/docs/operations.md")).unwrap()
}

fn alerts(values: &str) -> Vec<Value> {
    only(&objects(values), "PrometheusRule")["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The rows `| [alert](#alert) | severity | for | fires while |`, and the headings below them.
#[test]
fn every_alert_has_a_row_and_a_runbook_and_the_reverse() {
    let guide = operations();
    let (_, part) = guide.split_once("\n## Alerts\n").unwrap();
    let alerts = alerts(ON);
    let named = |alert: &Value| alert["alert"].as_str().unwrap().to_owned();
    let rows = part.lines().filter(|line| line.starts_with("| [")).map(|row| {
        let cells: Vec<&str> = row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let [link, severity, duration, meaning] = cells[..] else { panic!("{row}") };
        assert!(!meaning.is_empty(), "{row}");
        [link, severity, duration].map(str::to_owned)
    });
    let expected = alerts.iter().map(|alert| {
        let (name, text) = (named(alert), |value: &Value| value.as_str().unwrap().to_owned());
        [format!("[{name}](#{})", name.to_lowercase()), text(&alert["labels"]["severity"]), text(&alert["for"])]
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "left: docs/operations.md; right: the chart");
    let headings: Vec<_> = part.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    assert_eq!(headings, alerts.iter().map(named).collect::<Vec<_>>(), "left: the runbooks; right: the chart");
}

#[test]
fn every_alert_links_to_its_runbook_where_that_is_served() {
    let url = "https://wiki.example/operations";
    let linked = alerts(&format!("{{metrics: {{prometheusRule: {{enabled: true, runbookURL: '{url}'}}}}}}"));
    let plain = alerts(ON);
    assert_eq!(plain.len(), linked.len());
    for (plain, mut linked) in plain.into_iter().zip(linked) {
        let link = linked["annotations"].as_object_mut().unwrap().remove("runbook_url");
        assert_eq!(link, Some(json!(format!("{url}#{}", plain["alert"].as_str().unwrap().to_lowercase()))));
        assert_eq!(plain, linked);
    }
}

/// Prometheus' own label `namespace` would take the place of the IamToken's.
#[test]
fn the_service_monitor_finds_the_service_and_keeps_the_labels() {
    let objects = objects(ON);
    let (monitor, service) = (only(&objects, "ServiceMonitor"), only(&objects, "Service"));
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(!selected.is_empty(), "every Service");
    for (key, value) in selected {
        assert_eq!(service["metadata"]["labels"][key], *value);
    }
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(endpoint["honorLabels"], true);
}
