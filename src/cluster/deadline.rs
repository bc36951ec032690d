//! What must hold for every request, whatever client it is made with: a deadline, and for those of a watch a sign that
//! it is alive.

use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use tower::BoxError;
use tracing::Instrument as _;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::span;

/// How long an answer may take, to its end: kube's own lists have no deadline. Of a watch, only its beginning; kube
/// begins one anew that is silent for 295 s (kube-runtime, `watcher.rs`).
pub const ANSWER: Duration = Duration::from_secs(30);

/// The same client, whose every request has a deadline, is counted, and has a span in traces.
#[must_use]
pub fn with_deadlines(client: &Client, metrics: &Metrics) -> Client {
    let (inner, metrics) = (client.clone(), metrics.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, metrics) = (inner.clone(), metrics.clone());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        // Here, and not below: the span around is that of whoever asks.
        let span = span::request(&method, &uri);
        async move {
            let answer = answer(client, request).instrument(span.clone()).await;
            let status = answer.as_ref().ok().map(Response::status);
            span::answered(&span, status);
            metrics.requested(&method, &uri, status);
            answer
        }
    });
    rebuilt(client, service)
}

/// The same client, which calls `sign` whenever it asks for anything or hears anything.
#[must_use]
pub fn with_signs(client: &Client, sign: impl Fn() + Clone + Send + 'static) -> Client {
    let inner = client.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, sign) = (inner.clone(), sign.clone());
        async move {
            sign();
            let response = client.send(request).await;
            sign();
            response.map(|response| {
                response.map(|body| {
                    body.map_frame(move |frame| {
                        sign();
                        frame
                    })
                })
            })
        }
    });
    rebuilt(client, service)
}

async fn answer(client: Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let watches = is_watch(request.uri());
    let answer = async {
        let response = client.send(request).await?;
        if watches {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        Ok::<_, BoxError>(Response::from_parts(head, Body::from(body.collect_bytes().await?)))
    };
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("the API server did not answer within {} s", ANSWER.as_secs()).into()),
    }
}

/// Whether the answer to this request goes on for ever.
#[must_use]
pub fn is_watch(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

pub(super) fn rebuilt<S, B>(client: &Client, service: S) -> Client
where
    S: tower::Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body_util::BodyExt<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Client::new(service, client.default_namespace()).with_valid_until(*client.valid_until())
}

#[cfg(test)]
mod tests;
