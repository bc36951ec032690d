//! The API server's clock, as far as its answers tell it: the one clock that all replicas see, whatever their own say.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{Request, Response, header};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822;
use kube::Client;
use kube::client::Body;

use super::deadline::rebuilt;
use crate::clock::Clock;

/// An answer that took longer tells too little of the time.
const PROMPT: Duration = Duration::from_secs(2);

/// No answer has told yet.
const UNKNOWN: i64 = i64::MIN;

/// How far the API server's clock is ahead of this process's. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ServerTime(Arc<AtomicI64>);

// === impl ServerTime ===

impl Default for ServerTime {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl ServerTime {
    /// In seconds, rounded down; `None` until an answer has told.
    #[must_use]
    pub fn ahead(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|ahead| *ahead != UNKNOWN)
    }

    /// The same client, whose answers tell the time: each has a `Date` (Go's net/http sets it).
    #[must_use]
    pub fn read_by(&self, client: &Client, clock: Arc<dyn Clock>) -> Client {
        let (inner, server) = (client.clone(), self.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, server, clock) = (inner.clone(), server.clone(), Arc::clone(&clock));
            async move {
                let begun = clock.moment();
                let response = client.send(request).await?;
                let now = clock.moment();
                if now.most_since(begun) < PROMPT {
                    server.heard(&response, now.wall);
                }
                Ok::<_, kube::Error>(response)
            }
        });
        rebuilt(client, service)
    }

    fn heard<T>(&self, response: &Response<T>, now: Timestamp) {
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) {
            self.0.store(date.timestamp().as_second() - now.as_second(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(date: &str) -> Option<i64> {
        let server = ServerTime::default();
        let response = Response::builder().header(header::DATE, date).body(()).unwrap();
        server.heard(&response, Timestamp::from_second(1_800_000_000).unwrap());
        server.ahead()
    }

    #[test]
    fn a_date_tells_the_difference_of_clocks() {
        assert_eq!(ahead("Fri, 15 Jan 2027 08:00:00 GMT"), Some(0));
        assert_eq!(ahead("Fri, 15 Jan 2027 08:10:00 GMT"), Some(600));
        assert_eq!(ahead("Fri, 15 Jan 2027 07:59:57 GMT"), Some(-3));
    }

    #[test]
    fn what_is_no_date_tells_nothing() {
        assert_eq!(ahead("soon"), None);
    }
}
