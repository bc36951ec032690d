//! The HTTP server that Prometheus asks.

use std::io;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Metrics;

/// OpenMetrics, whose text format every Prometheus since 2.5 reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `/metrics` on what comes in, for ever.
///
/// # Errors
/// Where nothing comes in any more.
pub async fn serve(listener: TcpListener, metrics: Metrics) -> io::Result<()> {
    axum::serve(listener, Router::new().route("/metrics", get(scrape)).with_state(metrics)).await
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
