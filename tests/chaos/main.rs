//! No reader ever sees an expired token, whatever happens to the operator, the API server and IAM: once each, and short.
//! `make chaos` does all of it, again and again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;
mod scenario;

use testkit::control_plane::Options;

use scenario::{Report, SHORT, Stage, api_server, frozen, iam, kills, replicas};

const SEED: u64 = 0x5eed;

async fn stage() -> Stage {
    Stage { plane: harness::prepared().await, size: SHORT, seed: SEED }
}

#[track_caller]
fn good(report: &Report) {
    let Report { scenario, violations, log, .. } = report;
    assert!(report.is_good(), "{scenario}: {}: {violations:#?}\n{log}", report.verdict());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_cost_no_reader_a_token_and_the_reader_would_see_it() {
    let stage = stage().await;
    good(&frozen::run(stage).await);
    good(&kills::run(stage).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_stopped_or_cut_off_costs_no_reader_a_token_and_acts_no_more() {
    let stage = stage().await;
    let (killed, stopped) = (replicas::killed(stage), replicas::stopped(stage));
    let cut = (replicas::cut_reset(stage), replicas::cut_swallowed(stage), replicas::cut_held(stage));
    let (killed, stopped, reset, swallowed, held) = tokio::join!(killed, stopped, cut.0, cut.1, cut.2);
    [killed, stopped, reset, swallowed, held].iter().for_each(good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_api_server_and_a_compacted_etcd_cost_no_reader_a_token() {
    let restarted = async { api_server::restarted(Stage::own(Options::default(), SHORT, SEED).await).await };
    let without = Options { no_watch_cache: true, ..Options::default() };
    let compacted = async { api_server::compacted(Stage::own(without, SHORT, SEED).await).await };
    let (restarted, compacted) = tokio::join!(restarted, compacted);
    [restarted, compacted].iter().for_each(good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_iam_that_is_away_for_longer_than_half_a_life_costs_no_reader_a_token() {
    let stage = stage().await;
    let (refusing, throttling, hanging) =
        tokio::join!(iam::refusing(stage), iam::throttling(stage), iam::hanging(stage));
    [refusing, throttling, hanging].iter().for_each(good);
}
