//! What the spec asks for, the annotation, and what is known of restarts. When one is due: `decide/tests/restarts.rs`.

use serde_json::{Value, json};

use super::*;
use crate::api::WorkloadKind;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn workload(name: &str) -> Workload {
    Workload { kind: WorkloadKind::Deployment, name: name.into() }
}

fn done(name: &str, token: &str, second: i64) -> WorkloadStatus {
    WorkloadStatus {
        kind: WorkloadKind::Deployment,
        name: name.into(),
        restarted_at: Time(at(second)),
        expires_at: Time(at(second + 3600)),
        token_digest: token.into(),
    }
}

fn wanted(restart: &Value) -> Result<Wanted, Problem> {
    let spec = json!({"apiKeySecretRef": {"name": "key"}, "restart": restart});
    Wanted::new(&serde_json::from_value(spec).unwrap())
}

#[test]
fn what_the_spec_leaves_out_has_its_default() {
    assert_eq!(wanted(&Value::Null).unwrap(), Wanted::default());
    let one = json!([{"kind": "Deployment", "name": "a"}]);
    for (period, seconds) in [(Value::Null, 600), (json!("1s"), 1), (json!("1m30s"), 90), (json!("45m"), 2700)] {
        let found = wanted(&json!({"workloads": one, "minPeriod": period})).unwrap();
        assert_eq!(found, Wanted { workloads: vec![workload("a")], min_period: Duration::from_secs(seconds) });
    }
}

#[test]
fn what_an_older_crd_let_through_is_named() {
    let one = |name: &str| json!({"kind": "Deployment", "name": name});
    for workloads in [json!([]), json!([one("a"), one("a")]), (0..17).map(|n| one(&format!("a{n}"))).collect()] {
        let refused = wanted(&json!({"workloads": workloads})).unwrap_err();
        assert!(matches!(refused, Problem::InvalidField { field: "spec.restart.workloads", .. }), "{workloads}");
    }
    for period in ["", "0s", "46m", "1h", "soon", "-5m", "10"] {
        let refused = wanted(&json!({"workloads": [one("a")], "minPeriod": period})).unwrap_err();
        assert!(matches!(refused, Problem::InvalidField { field: "spec.restart.minPeriod", .. }), "{period}");
    }
}

#[test]
fn each_iamtoken_has_an_annotation_of_its_own_that_the_api_server_takes() {
    assert_eq!(annotation("hpcs"), "restart.iamtoken.dev/hpcs");
    let longest = "n".repeat(63);
    assert_eq!(annotation(&longest), format!("restart.iamtoken.dev/{longest}"));
    let cut = ["a", "b"].map(|end| annotation(&format!("{}{end}", "n.".repeat(40))));
    assert_ne!(cut[0], cut[1]);
    for annotation in cut {
        let name = annotation.strip_prefix("restart.iamtoken.dev/").unwrap();
        assert!(name.len() == 63 && name.ends_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
    }
}

#[test]
fn what_another_replica_did_is_known_and_ones_own_is_not_forgotten() {
    let wanted = [workload("a")];
    for (name, ours, said, token, expected) in [
        ("nothing yet", None, None, "t2", None),
        ("a new process", None, Some(done("a", "t1", 0)), "t1", Some(done("a", "t1", 0))),
        ("not said yet", Some(done("a", "t2", 9)), Some(done("a", "t1", 0)), "t2", Some(done("a", "t2", 9))),
        ("never said", Some(done("a", "t1", 9)), None, "t1", Some(done("a", "t1", 9))),
        ("another led", Some(done("a", "t1", 0)), Some(done("a", "t2", 9)), "t2", Some(done("a", "t2", 9))),
        (
            "another led, a new token",
            Some(done("a", "t1", 0)),
            Some(done("a", "t2", 9)),
            "t3",
            Some(done("a", "t2", 9)),
        ),
        ("a clock set back", Some(done("a", "t2", 0)), Some(done("a", "t1", 9)), "t2", Some(done("a", "t2", 0))),
        ("no longer wanted", None, Some(done("b", "t1", 0)), "t1", None),
    ] {
        let mut restarts = Restarts { done: ours.into_iter().collect(), failed: vec![] };
        let said: Vec<_> = said.into_iter().collect();
        restarts.recall(&said, &wanted, Some(&token.into()));
        assert_eq!(restarts.done, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn what_is_known_stands_in_the_order_of_the_spec() {
    let mut restarts = Restarts::default();
    let said = [done("a", "t", 0), done("b", "t", 0)];
    restarts.recall(&said, &[workload("b"), workload("a")], None);
    assert_eq!(restarts.done, [done("b", "t", 0), done("a", "t", 0)]);
}
