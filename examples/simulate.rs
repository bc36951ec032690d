//! `make simulate`: many seeds of the simulation, and what they came to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a tool for developers; it watches real time pass"
)]

#[path = "../tests/simulation/sim/mod.rs"]
mod sim;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use sim::child::{is_child, run_in_child};
use sim::{Break, Report, Scenario};

/// Runs the operator's controller in simulated worlds.
#[derive(Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run the first seed alone and print all that happens
    #[arg(long)]
    trace: bool,
    /// Break something on purpose (lease, retry-after, wall-clock, preconditions, status-first, secret-events)
    #[arg(long, value_parser = parse_break)]
    broken: Option<Break>,
    /// Let so many tokens recover from an outage of an hour first; 0: none
    #[arg(long, default_value_t = 0)]
    crowd: usize,
    /// Run each twice and compare the runs
    #[arg(long)]
    twice: bool,
    /// How many run at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn parse_break(text: &str) -> Result<Break, String> {
    let name: String = text.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

#[derive(Default)]
struct Sum {
    runs: u64,
    hours: f64,
    steps: u64,
    faults: u64,
    exchanges: u64,
    failed: Vec<Report>,
}

fn main() -> ExitCode {
    if is_child() {
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    if arguments.crowd > 0 {
        println!("{} tokens: {:#?}", arguments.crowd, sim::crowd::recovery(arguments.crowd));
    }
    if arguments.trace {
        let scenario = Scenario { journal: usize::MAX, broken: arguments.broken, ..Scenario::draw(arguments.from) };
        println!("{scenario:#?}");
        let report = run_in_child(&scenario, &[]);
        println!("{}{:?}", report.trace, report.violation);
        let again = run_in_child(&scenario, &[]);
        let differs = report.trace.lines().zip(again.trace.lines()).find(|(one, other)| one != other);
        println!("The second run differs: {differs:#?}");
        return ExitCode::SUCCESS;
    }
    let (next, sum, begin) = (AtomicU64::new(arguments.from), Mutex::new(Sum::default()), Instant::now());
    let end = arguments.from + arguments.seeds;
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let scenario = Scenario { broken: arguments.broken, ..Scenario::draw(seed) };
                    let report = run_in_child(&scenario, &[]);
                    if arguments.twice && run_in_child(&scenario, &[]).digest != report.digest {
                        println!("seed {seed}: the second run was not the same as the first");
                    }
                    add(&mut sum.lock().unwrap_or_else(PoisonError::into_inner), report, arguments.broken, begin);
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    tell(&sum, begin);
    if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn add(sum: &mut Sum, report: Report, broken: Option<Break>, begin: Instant) {
    sum.runs += 1;
    sum.hours += report.hours;
    sum.steps += report.steps;
    sum.faults += report.faults;
    sum.exchanges += report.exchanges;
    if let Some(violation) = &report.violation {
        println!("seed {}: {violation}", report.seed);
        if sum.failed.is_empty() && broken.is_none() {
            let again = run_in_child(&Scenario { journal: 400, ..Scenario::draw(report.seed) }, &[]);
            println!("{}\nseed {}: {:?}", again.trace, again.seed, again.violation);
            if again.digest != report.digest {
                println!("The second run was not the same as the first.");
            }
        }
        sum.failed.push(report);
    }
    if sum.runs.is_multiple_of(200) {
        tell(sum, begin);
    }
}

fn tell(sum: &Sum, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    let rate = sum.steps as f64 / seconds;
    println!(
        "{} seeds, {:.0} virtual hours, {} faults, {} exchanges, {} steps at {rate:.0} a second, {} violations, {seconds:.0} s",
        sum.runs,
        sum.hours,
        sum.faults,
        sum.exchanges,
        sum.steps,
        sum.failed.len(),
    );
}
