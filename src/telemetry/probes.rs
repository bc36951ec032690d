//! The HTTP server that kubelet asks how the process is, and that its admin tells what to log.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::info;

use super::{LogLevel, server};
use crate::controller::Health;
use crate::core::readiness::Verdict;

/// A level by target for each crate that there is would be shorter, in bytes.
const LONGEST_LEVEL: usize = 4096;

/// Reads `ADDR:PORT`.
///
/// # Errors
/// Where it is none, in words that say how to write one.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 0.0.0.0:8080, [::]:8080 or 127.0.0.1:8080".into())
}

/// Answers `/livez`, `/readyz` and, to this host alone, `/log-level` on what comes in, for ever.
///
/// # Errors
/// Where nothing comes in any more.
pub async fn serve(listener: TcpListener, health: Health, level: LogLevel) -> io::Result<()> {
    let probes = Router::new().route("/livez", get(live)).route("/readyz", get(ready)).with_state(health);
    let level = Router::new().route("/log-level", get(level_now).put(set_level)).with_state(level);
    let routes = probes.merge(level).layer(DefaultBodyLimit::max(LONGEST_LEVEL));
    server::serve(listener, None, routes).await
}

async fn live(State(health): State<Health>) -> (StatusCode, String) {
    answer("livez", &health.live())
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    answer("readyz", &health.ready())
}

async fn level_now(State(level): State<LogLevel>, from: ConnectInfo<SocketAddr>) -> (StatusCode, String) {
    match level.get().filter(|_| is_this_host(from)) {
        Some(text) => (StatusCode::OK, text + "\n"),
        None => refusal(from),
    }
}

/// Whoever may forward a port of the pod, or run something in it, may change what it logs. No level shows a secret.
async fn set_level(State(level): State<LogLevel>, from: ConnectInfo<SocketAddr>, text: String) -> (StatusCode, String) {
    if !is_this_host(from) {
        return refusal(from);
    }
    match level.set(text.trim()) {
        Ok(()) => {
            info!(log_level = text.trim(), "what is logged was changed");
            (StatusCode::OK, text.trim().to_owned() + "\n")
        }
        Err(error) => (StatusCode::BAD_REQUEST, error + "\n"),
    }
}

fn is_this_host(ConnectInfo(from): ConnectInfo<SocketAddr>) -> bool {
    // Not all of 127.0.0.0/8: a sidecar hands on what others ask from addresses of its own there, such as 127.0.0.6.
    [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&from.ip().to_canonical())
}

fn refusal(from: ConnectInfo<SocketAddr>) -> (StatusCode, String) {
    if is_this_host(from) {
        return (StatusCode::NOT_FOUND, "this process has no log of its own\n".into());
    }
    (StatusCode::FORBIDDEN, "ask from the pod itself: kubectl port-forward\n".into())
}

/// In the form of kube-apiserver's `/readyz?verbose`.
fn answer(name: &str, verdict: &Verdict) -> (StatusCode, String) {
    let (status, outcome) =
        if verdict.good { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (status, format!("{}{name} check {outcome}\n", verdict.text))
}
