//! docs/performance.md, against the benchmark and its report.

use std::process::Command;

use serde_json::Value;

use super::ROOT;
use crate::harness::operator::program;

fn guide() -> String {
    std::fs::read_to_string(format!("{ROOT}/docs/performance.md")).unwrap()
}

/// The parts that `--only` takes, as a wrong one has them named.
fn parts() -> Vec<String> {
    let output = bench(&["--only", "nothing"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let (_, names) = said.trim().split_once("there are ").unwrap_or_else(|| panic!("{said}"));
    assert!(!output.status.success());
    names.split(", ").map(str::to_owned).collect()
}

/// Built by `cargo test`, as all examples are.
fn bench(arguments: &[&str]) -> std::process::Output {
    let operator = program();
    let bench = operator.parent().unwrap().join("examples/bench");
    Command::new(bench).args(arguments).current_dir(ROOT).env("OPERATOR_PROGRAM", operator).output().unwrap()
}

#[test]
fn the_guide_has_every_part_and_its_figures() {
    let (guide, parts) = (guide(), parts());
    assert_eq!(parts.len(), 9, "{parts:?}");
    let (_, rest) = guide.split_once("written by make bench DOCS=1 -->").unwrap();
    let (written, by_hand) = rest.split_once("<!-- to here -->").unwrap();
    for part in &parts {
        assert!(by_hand.contains(&format!("| `{part}` |")), "docs/performance.md does not say what {part} compares");
        assert!(written.contains(&format!("\n| {part} |")), "docs/performance.md has no figure of {part}");
    }
    for count in ["     100  █", "    1000  █", "   10000  █"] {
        assert!(written.contains(count), "docs/performance.md has no bar for {count}");
    }
}

#[test]
fn the_benchmark_runs_and_leaves_a_report() {
    let folder = tempfile();
    let file = folder.join("report.json");
    let output = bench(&["--only", "binary", "--size", "1", "--report", file.to_str().unwrap()]);
    let (table, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(report["size"], 1);
    let figures = report["figures"].as_array().unwrap();
    assert!(figures.len() >= 3, "{report}");
    for figure in figures {
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
        assert!(table.contains(figure["what"].as_str().unwrap()), "{table}");
    }
}

fn tempfile() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("iam-token-operator-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
