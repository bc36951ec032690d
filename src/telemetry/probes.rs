//! The HTTP server that kubelet asks how the process is.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::controller::Health;
use crate::core::readiness::Verdict;

/// Reads `ADDR:PORT`.
///
/// # Errors
/// Where it is none, in words that say how to write one.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as 0.0.0.0:8080, [::]:8080 or 127.0.0.1:8080".into())
}

/// Answers `/livez` and `/readyz` on what comes in, for ever.
///
/// # Errors
/// Where nothing comes in any more.
pub async fn serve(listener: TcpListener, health: Health) -> io::Result<()> {
    let routes = Router::new().route("/livez", get(live)).route("/readyz", get(ready)).with_state(health);
    // `/metrics` goes here.
    axum::serve(listener, routes).await
}

async fn live(State(health): State<Health>) -> (StatusCode, String) {
    answer("livez", &health.live())
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    answer("readyz", &health.ready())
}

/// In the form of kube-apiserver's `/readyz?verbose`.
fn answer(name: &str, verdict: &Verdict) -> (StatusCode, String) {
    let (status, outcome) =
        if verdict.good { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (status, format!("{}{name} check {outcome}\n", verdict.text))
}
