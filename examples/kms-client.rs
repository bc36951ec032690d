//! A workload as `make e2e` runs it in pods: it calls a key-management service once a second with the `authorization`
//! file of a mounted target Secret, which it reads anew each time, and counts what comes of it.
//!
//! ```text
//! kms-client --folder /var/run/iam --url http://fake-kms.example:8080 --instance <id>
//! ```
//!
//! Every ten calls, and at the end, it prints one line of JSON: `calls`, `failed`, `tokens` (how many different ones it
//! read) and `least_left_s` (the least time in seconds that a token in the file had left).
#![allow(clippy::disallowed_methods, reason = "it watches real time pass")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use reqwest::Client;
use serde_json::json;
use testkit::interrupted;
use tokio::time::{MissedTickBehavior, interval};

/// Calls a key-management service once a second with a mounted token.
#[derive(Parser)]
struct Arguments {
    /// Where the target Secret is mounted
    #[arg(long)]
    folder: PathBuf,
    /// The service, without a path
    #[arg(long)]
    url: String,
    /// Its instance
    #[arg(long)]
    instance: String,
}

/// What came of the calls so far.
#[derive(Default)]
struct Tally {
    calls: u64,
    failed: u64,
    /// By their expiry, in seconds since 1970.
    tokens: BTreeSet<i64>,
    least_left: Option<i64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // reqwest wants a TLS provider even where it speaks plain HTTP. Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let (mut tally, mut each_second) = (Tally::default(), interval(Duration::from_secs(1)));
    each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = interrupted();
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return tally.tell(),
            _ = each_second.tick() => tally.note(&arguments, call(&arguments, &client).await)?,
        }
    }
}

/// One call. An error says what went wrong, without the token.
async fn call(arguments: &Arguments, client: &Client) -> Result<(), String> {
    let value = std::fs::read_to_string(arguments.folder.join("authorization")).map_err(|error| error.to_string())?;
    let request = client.get(format!("{}/api/v2/keys", arguments.url)).header("authorization", value);
    let answer = request.header("bluemix-instance", &arguments.instance).send().await;
    let status = answer.map_err(|error| error.without_url().to_string())?.status();
    if status.is_success() { Ok(()) } else { Err(format!("the service answered {status}")) }
}

// === impl Tally ===

impl Tally {
    fn note(&mut self, arguments: &Arguments, outcome: Result<(), String>) -> Result<(), Box<dyn Error>> {
        self.calls += 1;
        if let Err(what) = outcome {
            self.failed += 1;
            writeln!(std::io::stdout(), "{}", json!({"failure": what}))?;
        }
        let expiration = std::fs::read_to_string(arguments.folder.join("expiration")).unwrap_or_default();
        if let Ok(expiration) = expiration.parse::<i64>() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let left = expiration - i64::try_from(now)?;
            self.tokens.insert(expiration);
            self.least_left = Some(self.least_left.map_or(left, |least| least.min(left)));
        }
        if self.calls.is_multiple_of(10) { self.tell() } else { Ok(()) }
    }

    fn tell(&self) -> Result<(), Box<dyn Error>> {
        let tokens = self.tokens.len();
        let line =
            json!({"calls": self.calls, "failed": self.failed, "tokens": tokens, "least_left_s": self.least_left});
        writeln!(std::io::stdout(), "{line}")?;
        Ok(())
    }
}
