//! What Prometheus asks.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Gate, Metrics};
use crate::telemetry::server;
use crate::telemetry::tls::Certificate;

/// OpenMetrics, whose text format every Prometheus since 2.5 reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Served {
    metrics: Metrics,
    gate: Option<Arc<Gate>>,
}

/// Answers `/metrics` on what comes in, for ever: over TLS where there is a certificate, to all whom the gate admits.
///
/// # Errors
/// Where nothing comes in any more.
pub async fn serve(
    listener: TcpListener,
    certificate: Option<Certificate>,
    gate: Option<Gate>,
    metrics: Metrics,
) -> io::Result<()> {
    let served = Served { metrics, gate: gate.map(Arc::new) };
    server::serve(listener, certificate, Router::new().route("/metrics", get(scrape)).with_state(served)).await
}

async fn scrape(State(served): State<Served>, headers: HeaderMap) -> Response {
    if let Some(gate) = &served.gate
        && let Err(refusal) = gate.admits(&headers).await
    {
        return refusal.into_response();
    }
    match served.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
