//! What the chart renders over the matrix of values.

use crate::helm::{CHART, current, helm, here, parse, template, template_for};
use crate::schemas::Schemas;

/// The names and contents of the files in `values/`.
pub fn matrix() -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = std::fs::read_dir(here("values"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().into(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    cases.sort();
    assert!(cases.len() >= 5, "{cases:?}");
    cases
}

#[test]
fn what_is_rendered_is_as_committed() {
    for (name, values) in matrix() {
        let rendered = template(&values).unwrap_or_else(|error| panic!("{name}: {error}"));
        current(&here(&format!("snapshots/{name}.yaml")), &without_schema_of_crd(&rendered));
    }
}

#[test]
fn no_snapshot_is_without_its_values() {
    let cases = matrix();
    let mut known: Vec<_> = cases.iter().map(|(name, _)| format!("{name}.yaml")).collect();
    let found = std::fs::read_dir(here("snapshots")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut found: Vec<String> = found.map(|name| name.into_string().unwrap()).collect();
    known.sort();
    found.sort();
    assert_eq!(found, known);
}

#[test]
fn helm_lint_has_nothing_to_say() {
    for (name, _) in matrix() {
        let file = here(&format!("values/{name}.yaml"));
        let said = helm(&["lint", "--strict", CHART, "--values", file.to_str().unwrap()]);
        let said = said.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{name}: {said}");
        assert!(!said.contains("WARNING"), "{name}: {said}");
    }
}

/// Strictly: a field that Kubernetes doesn't know is refused. The kinds of the Prometheus operator are none of it.
#[test]
fn kubernetes_knows_every_field() {
    for schemas in [Schemas::oldest(), Schemas::newest()] {
        let (mut checked, mut foreign) = (0, vec![]);
        for (name, values) in matrix() {
            for object in parse(&template_for(&values, &schemas.version).unwrap()) {
                match schemas.problems(&object) {
                    Some(problems) => assert_eq!(problems, Vec::<String>::new(), "{name}: {}", object["kind"]),
                    None => foreign.push(object["kind"].as_str().unwrap().to_owned()),
                }
                checked += 1;
            }
        }
        foreign.sort();
        assert_eq!(foreign, ["PrometheusRule", "ServiceMonitor"], "{}", schemas.version);
        assert!(checked > 40, "{checked}");
    }
}

#[test]
fn an_older_kubernetes_is_refused() {
    let said = template_for("{}", "1.32.0").unwrap_err();
    assert!(said.contains("requires kubeVersion: >=1.33.0-0"), "{said}");
}

/// The CRD's schema is compared elsewhere, and is long.
fn without_schema_of_crd(rendered: &str) -> String {
    let Some(begin) = rendered.find("\n  versions:\n") else { return rendered.to_owned() };
    let end = rendered[begin..].find("\n---").map_or(rendered.len(), |length| begin + length);
    format!("{}{}", &rendered[..begin], &rendered[end..])
}
