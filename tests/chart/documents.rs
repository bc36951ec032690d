//! The tables in the chart's README say what there is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helm::{CHART, objects};
use crate::rights::granted;

fn readme() -> String {
    std::fs::read_to_string(format!("{CHART}/README.md")).unwrap()
}

/// The cells of each row of the table under this head.
fn table(head: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let begin = readme.find(head).unwrap_or_else(|| panic!("no table {head:?}"));
    let rows = readme[begin..].lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// Each value with its default. What is free in its names is one value.
fn values(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let inner = value.as_object().filter(|inner| !inner.is_empty() && !path.ends_with("abels"));
    let Some(inner) = inner else {
        let default = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return found.push((path.to_owned(), default));
    };
    for (name, value) in inner {
        values([path, name].join(".").trim_start_matches('.'), value, found);
    }
}

#[test]
fn every_value_is_in_the_readme_with_its_default() {
    let text = std::fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let mut found = vec![];
    values("", &serde_saphyr::from_str(&text).unwrap(), &mut found);
    let rows = table("| value | default | meaning |");
    let mut written: Vec<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    found.sort();
    written.sort();
    assert_eq!(written, found, "left: README.md; right: values.yaml");
}

#[test]
fn every_verb_is_in_the_readme_with_its_reason() {
    let rows = table("| resource | verb | what for |");
    let written: BTreeSet<String> = rows.iter().map(|row| format!("{} {}", row[1], row[0])).collect();
    assert!(rows.iter().all(|row| row[2].len() > 10));
    let groups = ["iamtoken.dev/", "coordination.k8s.io/", "events.k8s.io/", "/"];
    let short = |right: &String| {
        let (verb, place) = right.split_once(' ').unwrap();
        let resource = groups.iter().find_map(|group| place.strip_prefix(group)).unwrap();
        format!("{verb} {resource}")
    };
    let granted: BTreeSet<String> = granted(&objects("rbac: {aggregate: false}")).iter().map(short).collect();
    assert_eq!(written, granted, "left: README.md; right: the roles");
}
