//! What is the case now: looked up for each scrape, kept nowhere.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::tokens::{List, Tally};
use crate::clock::Clock;

/// Where a scrape looks.
pub struct Sources {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether this replica acts.
    pub leads: Box<dyn Fn() -> bool + Send + Sync>,
    /// Who waits.
    pub queue: Box<dyn Fn() -> Queue + Send + Sync>,
    /// How many namespaces are over their budgets.
    pub over: Box<dyn Fn() -> usize + Send + Sync>,
}

/// Those who wait for their turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// How many.
    pub waiting: usize,
    /// How long the one has waited that came first.
    pub oldest: Duration,
}

/// Looks there.
pub(super) struct Live {
    /// How many IamTokens get series of their own.
    limit: usize,
    sources: Mutex<Option<Sources>>,
    lists: Mutex<Vec<Lister>>,
}

type Lister = Box<dyn Fn() -> Option<List> + Send + Sync>;

// === impl Live ===

impl Live {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, sources: Mutex::default(), lists: Mutex::default() }
    }

    pub(super) fn begins(&self, sources: Sources) {
        *lock(&self.sources) = Some(sources);
    }

    pub(super) fn lists(&self, list: Lister) {
        lock(&self.lists).push(list);
    }

    /// All IamTokens that are known; `None` until a list is complete.
    fn list(&self) -> Option<List> {
        lock(&self.lists).iter().filter_map(|list| list()).reduce(|mut all, more| {
            all.extend(more);
            all
        })
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Collector for Live {
    /// A replica that stands by says nothing of IamTokens: the leader does.
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = lock(&self.sources);
        let leads = sources.as_ref().is_some_and(|sources| (sources.leads)());
        let help = "1 while this replica acts, 0 while it stands by.";
        to.encode_descriptor("leader", help, None, MetricType::Gauge)?.encode_gauge(&i64::from(leads))?;
        let Some(Sources { clock, queue, over, .. }) = &*sources else { return Ok(()) };
        let queue = queue();
        let help = "IamTokens that wait for their turn to work.";
        to.encode_descriptor("exchange_queue_depth", help, None, MetricType::Gauge)?.encode_gauge(&queue.waiting)?;
        let help = "How long the first of them has waited.";
        to.encode_descriptor("exchange_queue_oldest_age", help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&queue.oldest.as_secs_f64())?;
        let help = "Namespaces that are over their budgets, so that what is no routine refresh waits.";
        to.encode_descriptor("over_budget_namespaces", help, None, MetricType::Gauge)?.encode_gauge(&over())?;
        match self.list().filter(|_| leads) {
            Some(list) => Tally::of(&list, self.limit, clock.now()).encode(&mut to),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
