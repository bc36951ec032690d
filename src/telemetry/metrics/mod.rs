//! What is counted while the operator runs, and what is told of it when it is asked: `GET /metrics` ([`serve`]), in the
//! text format of OpenMetrics.
//!
//! What happens is counted where it happens, through a [`Metrics`]. What is the case is not kept here: a scrape looks
//! it up ([`Sources`]), so that it goes with whatever it is about. Labels are from closed lists; the name of an IamToken
//! is only in its own series, and only so many have them. Every metric is explained in docs/operations.md.

mod api_request;
mod gate;
mod labels;
mod live;
mod process;
pub mod serve;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Uri};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

pub(super) use self::api_request::classify;
pub use self::gate::{Gate, Review};
pub(crate) use self::labels::result;
use self::labels::{Build, Exchanged, Of, Requested, To, Transaction, With};
pub use self::labels::{Outcome, Resource, State, Verb};
use self::live::Live;
pub use self::live::{Queue, Sources};
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::failure::Failure;
use crate::core::watchdog::Watched;
use crate::iam::Grant;

/// How many IamTokens have series of their own, unless the admin says otherwise.
pub const PER_OBJECT_LIMIT: usize = 1000;

/// Seconds. An exchange ends after 15 s at the latest (`iam::client`).
const EXCHANGE_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];

/// Seconds.
const RECONCILE_BUCKETS: [f64; 10] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

type Durations = HistogramWithExemplars<Transaction>;

/// The counts of one run. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    live: Arc<Live>,
    exchanges: Family<Exchanged, Counter>,
    exchange_durations: Family<To, Durations, fn() -> Durations>,
    shared: Counter,
    skew: Family<To, Gauge>,
    reconciles: Family<With, Counter>,
    reconcile_durations: Histogram,
    requests: Family<Requested, Counter>,
    watch_restarts: Family<Of, Counter>,
}

/// One look at an `IamToken`, from here until it is dropped.
pub struct Reconcile {
    metrics: Metrics,
    begun: Instant,
    outcome: Outcome,
}

// === impl Metrics ===

impl Metrics {
    /// Nothing has happened yet. At most `limit` IamTokens get series of their own.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            live: Arc::new(Live::new(limit)),
            exchanges: Family::default(),
            exchange_durations: Family::new_with_constructor(|| Durations::new(EXCHANGE_BUCKETS.into_iter())),
            shared: Counter::default(),
            skew: Family::default(),
            reconciles: Family::default(),
            reconcile_durations: Histogram::new(RECONCILE_BUCKETS),
            requests: Family::default(),
            watch_restarts: Family::default(),
        };
        inner.register();
        for &outcome in Outcome::ALL {
            drop(inner.reconciles.get_or_create(&With { outcome }));
        }
        for watched in [Watched::IamTokens, Watched::Secrets] {
            drop(inner.watch_restarts.get_or_create(&Of { resource: watched.into() }));
        }
        Self(Arc::new(inner))
    }

    /// All of it, as it is now.
    ///
    /// # Errors
    /// Never: writing to a string does not fail.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// The controllers begin: from now on a scrape looks there. A count that is 0 is there from the beginning, so that
    /// its first step is seen.
    pub fn begins(&self, sources: Sources, endpoints: &Endpoints) {
        self.0.live.begins(sources);
        for endpoint in endpoints.iter() {
            let endpoint = endpoint.to_string();
            drop(self.0.exchange_durations.get_or_create(&To { endpoint: endpoint.clone() }));
            for result in labels::results() {
                drop(self.0.exchanges.get_or_create(&Exchanged { endpoint: endpoint.clone(), result }));
            }
        }
    }

    /// One more list of IamTokens to look into; `None` until it is complete.
    pub fn lists(&self, list: impl Fn() -> Option<tokens::List> + Send + Sync + 'static) {
        self.0.live.lists(Box::new(list));
    }

    /// IAM was asked for a token, and has answered or failed to.
    pub fn exchanged(&self, endpoint: &Endpoint, took: Duration, result: Result<&Grant, &Failure>) {
        let endpoint = endpoint.to_string();
        let (to, name) = (To { endpoint: endpoint.clone() }, labels::result(result));
        self.0.exchanges.get_or_create(&Exchanged { endpoint, result: name }).inc();
        let transaction = result
            .err()
            .and_then(|failure| failure.request_id.clone())
            .map(|transaction_id| Transaction { transaction_id });
        self.0.exchange_durations.get_or_create(&to).observe(took.as_secs_f64(), transaction, None);
        if let Ok(grant) = result {
            self.0.skew.get_or_create(&to).set(grant.skew);
        }
    }

    /// Somebody got a token without an exchange of their own.
    pub fn shared(&self) {
        self.0.shared.inc();
    }

    /// A look at an `IamToken` begins.
    #[must_use]
    pub fn reconcile(&self) -> Reconcile {
        Reconcile { metrics: self.clone(), begun: Instant::now(), outcome: Outcome::Skipped }
    }

    /// The API server was asked; `None` where it gave no answer.
    pub fn requested(&self, method: &Method, uri: &Uri, answer: Option<StatusCode>) {
        let (verb, resource) = api_request::classify(method, uri);
        let code = answer.map_or(0, |code| code.as_u16());
        self.0.requests.get_or_create(&Requested { verb, resource, code }).inc();
    }

    /// A watch failed and is begun anew.
    pub fn watch_failed(&self, watched: Watched) {
        self.0.watch_restarts.get_or_create(&Of { resource: watched.into() }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(PER_OBJECT_LIMIT)
    }
}

// === impl Inner ===

impl Inner {
    /// Names here have no unit and no `_total`, which come with the encoding.
    fn register(&mut self) {
        let all = self.registry.sub_registry_with_prefix("iam_token_operator");
        all.register("build", "The program that runs", Info::new(Build::of_this_program()));
        all.register("exchanges", "Exchanges with IAM that have ended", self.exchanges.clone());
        let help = "How long exchanges with IAM took";
        all.register_with_unit("exchange_duration", help, Unit::Seconds, self.exchange_durations.clone());
        let help = "Tokens that were taken from an exchange that was begun for another look";
        all.register("exchanges_shared", help, self.shared.clone());
        let help = "How far IAM's clock was ahead of the operator's at the last token";
        all.register_with_unit("clock_skew", help, Unit::Seconds, self.skew.clone());
        all.register("reconciles", "Looks at IamTokens that have ended", self.reconciles.clone());
        let help = "How long looks at IamTokens took, but for skipped ones";
        all.register_with_unit("reconcile_duration", help, Unit::Seconds, self.reconcile_durations.clone());
        all.register("api_requests", "Requests to the API server", self.requests.clone());
        all.register("watch_restarts", "Watches that failed and were begun anew", self.watch_restarts.clone());
        all.register_collector(Box::new(Arc::clone(&self.live)));
        self.registry.register_collector(Box::new(process::Process));
    }
}

// === impl Reconcile ===

impl Reconcile {
    /// What it came to until now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What it came to; of several things, the one that matters most.
    pub fn came_to(&mut self, outcome: Outcome) {
        self.outcome = self.outcome.max(outcome);
    }
}

impl Drop for Reconcile {
    fn drop(&mut self) {
        let (inner, outcome) = (&self.metrics.0, self.outcome);
        inner.reconciles.get_or_create(&With { outcome }).inc();
        if outcome != Outcome::Skipped {
            inner.reconcile_durations.observe(self.begun.elapsed().as_secs_f64());
        }
    }
}
