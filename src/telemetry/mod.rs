//! Logs, probes and metrics; traces will stand beside them.

pub mod metrics;
pub mod probes;

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// kube's span around each reconcile says nothing that our lines do not. A filter can ask for it by this target.
const QUIET: &str = "kube_runtime::controller=warn";

/// Writes logs to standard error from now on; `filter` is a level or a list of `target=level`.
///
/// # Errors
/// Where `filter` is neither, in words that say so.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    if let Some(word) = filter.split(',').find(|part| !part.contains('=') && LevelFilter::from_str(part).is_err()) {
        return Err(format!("{word} is no level: use error, warn, info, debug or trace, or TARGET=LEVEL"));
    }
    let filter = EnvFilter::from_str(&format!("{QUIET},{filter}"))
        .map_err(|error| error.to_string())?
        .and(filter_fn(holds_no_payload));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Fails only where a logger is set already, as in tests.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(())
}

/// kube logs the body of an answer that it cannot decode, which may be a Secret (kube-client, `client/mod.rs`). Whatever
/// the user's filter says, that target stays silent below errors.
fn holds_no_payload(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("kube_client::client") || *metadata.level() == Level::ERROR
}
