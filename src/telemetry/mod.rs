//! Logs, traces, probes and metrics.

mod log_level;
pub mod metrics;
pub mod probes;
mod server;
pub mod tls;
pub mod traces;

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, reload};

pub use self::log_level::LogLevel;
use self::traces::Traces;
use self::traces::span::is_ours;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes logs to standard error from now on; `filter` is a level or a list of `target=level`. Returns what changes it.
/// Sends spans where there is somebody to send them to.
///
/// # Errors
/// Where `filter` is neither, in words that say so.
pub fn init(format: LogFormat, filter: &str, traces: Option<&Traces>) -> Result<LogLevel, String> {
    let (changing, handle) = reload::Layer::new(log_level::parse(filter)?);
    let level = LogLevel::of(filter, handle);
    let filter = changing.and(filter_fn(|metadata| holds_no_payload(metadata) && !is_ours(metadata)));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Fails only where a logger is set already, as in tests.
    let log = tracing_subscriber::registry().with(layer.with_filter(filter));
    let _ = log.with(traces.map(Traces::layer)).try_init();
    Ok(level)
}

/// kube logs the body of an answer that it cannot decode, which may be a Secret (kube-client, `client/mod.rs`). Whatever
/// the user's filter says, that target stays silent below errors.
fn holds_no_payload(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("kube_client::client") || *metadata.level() == Level::ERROR
}
