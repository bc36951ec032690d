//! What is done to real processes while a reader polls every target. The test does each once and short; `make chaos`
//! does all of it.
#![allow(dead_code, reason = "neither the test nor the program uses all of it")]

pub mod api_server;
pub mod draw;
pub mod frozen;
pub mod iam;
pub mod kills;
pub mod lease;
pub mod reader;
pub mod replicas;
pub mod report;
pub mod site;

use std::sync::OnceLock;
use std::time::Instant;

use testkit::control_plane::{ControlPlane, Options};

pub use report::Report;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub kills: u64,
    /// How often the leader is killed, stopped or cut off, in each scenario.
    pub takeovers: u64,
    pub restarts: u64,
    pub compactions: u64,
    /// How often IAM goes away, in each scenario.
    pub outages: u64,
    /// The longest pause before a fault, in seconds.
    pub pause: u64,
    /// For how long the API server stays away beside its start, in seconds at most.
    pub away: u64,
    /// Lifetime of the tokens where the operator is killed, in seconds.
    pub kills_lifetime: u64,
    /// Lifetime of the tokens where the leader or the API server goes away, in seconds: refreshed at its half, it must
    /// last for a takeover or a start beyond that.
    pub lifetime: u64,
    /// Lifetimes of the tokens where IAM refuses, throttles and hangs, in seconds.
    pub outage_lifetimes: [u64; 3],
}

/// For `make test`.
pub const SHORT: Size = Size {
    kills: 20,
    takeovers: 1,
    restarts: 1,
    compactions: 1,
    outages: 1,
    pause: 2,
    away: 2,
    kills_lifetime: 12,
    lifetime: 40,
    outage_lifetimes: [30, 40, 50],
};

/// For `make chaos`.
pub const FULL: Size = Size {
    kills: 200,
    takeovers: 4,
    restarts: 10,
    compactions: 6,
    outages: 2,
    pause: 20,
    away: 10,
    kills_lifetime: 10,
    lifetime: 60,
    outage_lifetimes: [60, 60, 100],
};

/// What every scenario is given.
#[derive(Clone, Copy)]
pub struct Stage {
    pub plane: &'static ControlPlane,
    pub size: Size,
    pub seed: u64,
}

impl Stage {
    /// With a control plane of its own.
    pub async fn own(options: Options, size: Size, seed: u64) -> Self {
        let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start(options).await));
        crate::harness::install(plane).await;
        Self { plane, size, seed }
    }
}

/// Something happened; with the seconds since the first time that something did.
pub fn say(scenario: &str, text: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let passed = BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64();
    eprintln!("{passed:>6.1} s  {scenario:<22} {text}");
}
