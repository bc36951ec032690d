//! The next endpoint where one fails: in the same try, as long as there is time, and only where the ask names others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tracing::{info, warn};

use super::client::EXCHANGE;
use super::{Ask, Exchange, Grant, Question};
use crate::clock::Clock;
use crate::core::endpoint::Endpoint;
use crate::core::failover::{Health, share};
use crate::core::failure::{Cause, Failure, Kind};
use crate::telemetry::metrics::Metrics;

/// A token, and what may be asked about its API key.
type Answer = (Grant, Option<Question>);

/// Asks the endpoints of an ask in turn, and counts each exchange.
#[derive(Clone)]
pub struct Failover {
    exchange: Arc<dyn Exchange>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    health: Arc<Mutex<Health>>,
}

// === impl Failover ===

impl Failover {
    /// Over the exchanges that `exchange` makes.
    #[must_use]
    pub fn new(exchange: Arc<dyn Exchange>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self { exchange, clock, metrics, health: Arc::default() }
    }

    /// Goes on to the next one only where it is the endpoint that failed: what one says of a credential, the others would
    /// say as well.
    async fn ask(self, ask: Ask) -> Result<Answer, Failure> {
        if ask.failover.is_empty() {
            let endpoint = ask.endpoint.clone();
            return self.count(&endpoint, self.exchange.exchange_and_ask(ask)).await;
        }
        let listed: Vec<Endpoint> = [&ask.endpoint].into_iter().chain(&ask.failover).cloned().collect();
        let in_turn = self.health().in_turn(&listed, self.clock.moment().steady);
        let (deadline, mut tried) = (Instant::now() + EXCHANGE, BTreeMap::new());
        for (number, endpoint) in in_turn.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let one = Ask { endpoint: endpoint.clone(), failover: vec![], ..ask.clone() };
            let result = self.count(endpoint, self.within(share(left, in_turn.len() - number), one)).await;
            self.note(endpoint, &result, number + 1 < in_turn.len());
            match result {
                Err(failure) if failure.is_of_endpoint() => {
                    tried.insert(listed.iter().position(|other| other == endpoint), failure);
                }
                result => {
                    let tried: Vec<Failure> = tried.into_values().collect();
                    return result.map_err(|failure| failure.beside(&tried));
                }
            }
        }
        Err(of_all(tried, &ask.endpoint))
    }

    async fn within(&self, time: Duration, ask: Ask) -> Result<Answer, Failure> {
        let late = Failure::unanswered(Kind::Unreachable(Cause::Timeout), &ask.endpoint);
        tokio::time::timeout(time, self.exchange.exchange_and_ask(ask)).await.unwrap_or(Err(late))
    }

    async fn count(
        &self,
        endpoint: &Endpoint,
        exchange: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let result = exchange.await;
        self.metrics.exchanged(endpoint, begun.elapsed(), result.as_ref().map(|(grant, _)| grant));
        result
    }

    fn note(&self, endpoint: &Endpoint, result: &Result<Answer, Failure>, others: bool) {
        match result {
            Err(failure) if failure.is_of_endpoint() => {
                let retry_after = match failure.kind {
                    Kind::Unavailable(retry_after) => retry_after,
                    _ => None,
                };
                if self.health().failed(endpoint, retry_after, self.clock.moment().steady) {
                    let then = if others { "another endpoint is asked in its place" } else { "none is left to ask" };
                    let (reason, transaction_id) = (failure.reason(), failure.request_id.as_deref());
                    warn!(%endpoint, %reason, transaction_id, "{then}. {failure}");
                }
            }
            _ => {
                if self.health().answered(endpoint) {
                    info!(%endpoint, "IAM answers there again");
                }
            }
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Told of the one that the admin prefers, whichever was asked first, so that the message stays the same from one try to
/// the next.
fn of_all(mut tried: BTreeMap<Option<usize>, Failure>, preferred: &Endpoint) -> Failure {
    let first = tried.pop_first().map(|(_, failure)| failure);
    let others: Vec<Failure> = tried.into_values().collect();
    let nobody = || Failure::unanswered(Kind::Unreachable(Cause::Broken), preferred);
    first.unwrap_or_else(nobody).beside(&others)
}

impl Exchange for Failover {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        self.clone().ask(ask).map(|result| result.map(|(grant, _)| grant)).boxed()
    }

    fn exchange_and_ask(&self, ask: Ask) -> BoxFuture<'static, Result<Answer, Failure>> {
        self.clone().ask(ask).boxed()
    }
}

#[cfg(test)]
mod tests;
