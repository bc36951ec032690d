//! `make chaos`: everything happens to real processes, again and again, while a reader polls every target. A table at the
//! end says whether one token had expired.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../../tests/harness/mod.rs"]
mod harness;
#[path = "../../tests/chaos/scenario/mod.rs"]
mod scenario;
mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use testkit::control_plane::Options;
use testkit::interrupted;

use scenario::{FULL, Report, SHORT, Stage, api_server, frozen, iam, kills, replicas, say};

/// What a shell makes of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Kill, stop and cut off everything while a reader looks for an expired token.
#[derive(Parser)]
struct Arguments {
    /// Repeats the random moments of the run that printed it; drawn by default
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Only scenarios whose name contains one of these, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Each once and short, as in `make test`
    #[arg(long)]
    short: bool,
}

type Scenario = (&'static str, fn(Stage) -> BoxFuture<'static, Report>);

/// Those of one lane come after each other, the lanes run side by side. The last two have control planes of their own: one
/// that is killed, and one whose watches see that etcd was compacted.
const LANES: [&[Scenario]; 6] = [
    &[(frozen::NAME, |stage| frozen::run(stage).boxed()), (kills::NAME, |stage| kills::run(stage).boxed())],
    &[
        (replicas::KILLED, |stage| replicas::killed(stage).boxed()),
        (replicas::STOPPED, |stage| replicas::stopped(stage).boxed()),
    ],
    &[
        (replicas::RESET, |stage| replicas::cut_reset(stage).boxed()),
        (replicas::SWALLOWED, |stage| replicas::cut_swallowed(stage).boxed()),
        (replicas::HELD, |stage| replicas::cut_held(stage).boxed()),
    ],
    &[
        (iam::REFUSING, |stage| iam::refusing(stage).boxed()),
        (iam::THROTTLING, |stage| iam::throttling(stage).boxed()),
        (iam::HANGING, |stage| iam::hanging(stage).boxed()),
    ],
    &[(api_server::RESTARTED, |stage| api_server::restarted(stage).boxed())],
    &[(api_server::COMPACTED, |stage| api_server::compacted(stage).boxed())],
];

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let reports = tokio::select! {
        biased;
        () = interrupted() => {
            say("", "interrupted: everything is ended");
            return INTERRUPTED.into();
        }
        reports = run(&arguments) => reports,
    };
    if reports.is_empty() {
        let names = LANES.iter().flat_map(|lane| *lane).map(|(name, _)| *name).collect::<Vec<_>>();
        say("", &format!("no such scenario; there are {}", names.join(", ")));
        return ExitCode::FAILURE;
    }
    let good = reports.iter().all(Report::is_good);
    for report in reports.iter().filter(|report| !report.is_good()) {
        let path = std::env::temp_dir().join(format!("chaos-{}.log", report.scenario));
        let kept = std::fs::write(&path, &report.log);
        say(
            report.scenario,
            &format!(
                "the operators' log: {} {}",
                path.display(),
                kept.map_or_else(|e| e.to_string(), |()| String::new())
            ),
        );
    }
    let _ = std::io::stdout().write_all(table::of(&reports).as_bytes());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(arguments: &Arguments) -> Vec<Report> {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = arguments.seed.unwrap_or(passed.as_secs() % 1_000_000);
    let size = if arguments.short { SHORT } else { FULL };
    let (begin, last) = (Instant::now(), LANES.len() - 1);
    say("", &format!("SEED={seed}"));
    let lanes = LANES.iter().enumerate().map(async |(number, lane)| {
        let wanted = |name: &str| arguments.only.iter().any(|part| name.contains(part.as_str()));
        let chosen = lane.iter().filter(|(name, _)| arguments.only.is_empty() || wanted(name)).collect::<Vec<_>>();
        if chosen.is_empty() {
            return vec![];
        }
        let no_watch_cache = number == last;
        let stage = if number + 1 >= last {
            Stage::own(Options { no_watch_cache, ..Options::default() }, size, seed).await
        } else {
            Stage { plane: harness::prepared().await, size, seed }
        };
        through(&chosen, stage).await
    });
    let reports = join_all(lanes).await.into_iter().flatten().collect();
    say("", &format!("all has ended after {} s; SEED={seed} repeats it", begin.elapsed().as_secs()));
    reports
}

/// One after the other. One that panics did not find what it cannot go on without.
async fn through(lane: &[&Scenario], stage: Stage) -> Vec<Report> {
    let mut reports = vec![];
    for (name, scenario) in lane {
        say(name, "begins");
        let report = match tokio::spawn(scenario(stage)).await {
            Ok(report) => report,
            Err(error) => Report::broken(name, error.to_string()),
        };
        say(name, report.verdict());
        reports.push(report);
    }
    reports
}
