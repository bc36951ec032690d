//! The operator in a simulated world. `make simulate` runs many more seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss
)]

mod broken;
mod conformance;
mod crowd;
mod seeds;
mod sim;

use sim::child::{is_child, run_in_child};
use sim::{Report, Scenario};

/// The children of this program: each runs the one scenario that it was started for.
#[test]
fn child() {
    is_child();
}

fn run(scenario: &Scenario) -> Report {
    run_in_child(scenario, &["--exact", "child", "--nocapture", "--test-threads=1"])
}
