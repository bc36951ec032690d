//! What a collector of traces gets from the operator's process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod leak;
mod settings;
mod tree;
mod trouble;

use testkit::fake_collector::FakeCollector;
use testkit::fake_iam::FakeIam;

use self::harness::World;

/// Batches of spans come at once, and not every 5 s.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");

/// A world whose operator sends its traces to the collector, with more variables in its environment.
async fn world(collector: &FakeCollector, variables: &[(&str, &str)], log_level: &str) -> World {
    let iam = FakeIam::start();
    let endpoints = [iam.url()];
    World::begin_in(variables, iam, &endpoints, log_level, &["--otlp-endpoint", &collector.url()]).await
}
