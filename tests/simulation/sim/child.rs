//! Each run in a process of its own: what libraries draw once per process then begins anew, so that the same scenario is
//! the same run, in whichever program and beside whichever others.

use std::process::{Command, Stdio};

use super::{Report, Scenario, run};

/// The scenario that a child is to run, as JSON.
const VARIABLE: &str = "SIMULATED_SCENARIO";

/// What stands before the report that a child prints.
const REPORT: &str = "simulated: ";

/// Runs the scenario that this process was started for, if it was.
pub fn is_child() -> bool {
    let Ok(scenario) = std::env::var(VARIABLE) else { return false };
    let scenario: Scenario = serde_json::from_str(&scenario).unwrap();
    let report = std::thread::spawn(move || run(&scenario)).join().unwrap();
    println!("\n{REPORT}{}", serde_json::to_string(&report).unwrap());
    true
}

/// Runs the scenario in a child of this program, which must come to [`is_child`] with these arguments.
pub fn run_in_child(scenario: &Scenario, arguments: &[&str]) -> Report {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(VARIABLE, serde_json::to_string(scenario).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let report = output.lines().find_map(|line| line.strip_prefix(REPORT));
    let report = report.unwrap_or_else(|| panic!("seed {} ended without a report:\n{output}", scenario.seed));
    serde_json::from_str(report).unwrap()
}
