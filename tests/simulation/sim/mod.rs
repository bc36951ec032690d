//! The simulated world: the real controller against an API server and an IAM in memory, under tokio's paused time, with
//! everything drawn from one seed.
#![allow(dead_code, unused_imports, reason = "tests and the program use different parts of it")]

pub mod child;
pub mod cluster;
pub mod crowd;
mod dice;
pub mod hostile;
pub mod iam;
mod nature;
mod oracle;
mod people;
mod replicas;
pub mod scenario;
mod stage;
mod time;
mod weather;

use serde::{Deserialize, Serialize};

use self::dice::Dice;
pub use self::scenario::{Break, Scenario};
use self::stage::Stage;

/// What became of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub seed: u64,
    /// Of virtual time.
    pub hours: f64,
    /// Requests and exchanges.
    pub steps: u64,
    pub faults: u64,
    pub exchanges: u64,
    /// Equal runs have equal ones.
    pub digest: u64,
    pub violation: Option<String>,
    pub trace: String,
}

/// Runs one scenario, on a runtime of its own.
pub fn run(scenario: &Scenario) -> Report {
    chance::begin(scenario.seed);
    let scenario = scenario.clone();
    alone(async move {
        let mut stage = Stage::set(&scenario, 4);
        stage.people.settle(scenario.sources);
        stage.start();
        stage.storm().await;
        if !stage.is_over() {
            stage.quiet().await;
        }
        stage.report()
    })
}

/// On a runtime of its own whose time is virtual.
fn alone<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let result = runtime.block_on(play);
    runtime.shutdown_background();
    result
}
