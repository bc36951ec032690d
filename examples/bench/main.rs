//! `make bench`: how near the operator is to what the API server, etcd and IAM themselves take, in ratios of one run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]
#![allow(clippy::cast_precision_loss, reason = "no figure comes near 2^52")]

mod bare;
mod document;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod parts;
mod process;
mod report;
mod stage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Instant;

use clap::Parser;
use testkit::interrupted;

use report::Report;

/// What a shell makes of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Measure the operator against the bare API server.
#[derive(Parser)]
struct Arguments {
    /// Only these parts, separated by commas
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<String>,
    /// A share of all sizes, in percent, for a quick look
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    size: u32,
    /// How many refreshes the memory is watched through
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    refreshes: usize,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/report.json")]
    report: PathBuf,
    /// Write the table and the graph of this guide anew, from the report, and measure nothing
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    percent: u32,
    refreshes: usize,
}

impl Size {
    /// So many in a whole run.
    fn of(self, count: usize) -> usize {
        (count * self.percent as usize / 100).max(10)
    }
}

/// Progress, on standard error.
fn say(part: &str, text: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    let _ = writeln!(std::io::stderr(), "{:6.1} s  {part:<9} {text}", begin.elapsed().as_secs_f64());
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(guide) = &arguments.document {
        return match document::write(guide, &arguments.report) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say("", &error);
                ExitCode::FAILURE
            }
        };
    }
    let unknown: Vec<_> = arguments.only.iter().filter(|name| !parts::NAMES.contains(&name.as_str())).collect();
    if !unknown.is_empty() {
        say("", &format!("no such part: {unknown:?}; there are {}", parts::NAMES.join(", ")));
        return ExitCode::FAILURE;
    }
    let size = Size { percent: arguments.size, refreshes: arguments.refreshes };
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let report = tokio::select! {
        biased;
        () = interrupted() => return INTERRUPTED.into(),
        (figures, points) = parts::run(size, wanted) => Report { size: arguments.size, figures, points },
    };
    let _ = std::io::stdout().write_all(report.table().as_bytes());
    match report.save(&arguments.report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say("", &format!("{}: {error}", arguments.report.display()));
            ExitCode::FAILURE
        }
    }
}
