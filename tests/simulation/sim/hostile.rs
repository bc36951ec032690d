//! A namespace where somebody changes everything as fast as they can, and its neighbour.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::alone;
use super::cluster::Kind;
use super::scenario::Scenario;
use super::stage::Stage;

/// Pairs of the one who means harm.
const HOSTILE: usize = 20;

/// Pairs of the neighbour.
const NEIGHBOURS: usize = 5;

/// What came of half an hour of churn, with tokens of 15 minutes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Churned {
    /// Exchanges for the namespace that churns.
    pub exchanges: usize,
    /// Writes of Secrets there by the operator.
    pub targets: usize,
    /// Exchanges for the neighbour.
    pub neighbours: usize,
    /// How often a token of the neighbour was seen to have expired.
    pub stale: usize,
}

/// Eight changes a second, with this budget for a namespace.
pub fn churned(budget: u32) -> Churned {
    alone(async move {
        let scenario = Scenario { namespaces: 2, lifetime: 900, budget, ..Scenario::crowd(HOSTILE + NEIGHBOURS) };
        let mut stage = Stage::set(&scenario, 32);
        let neighbours: BTreeSet<_> = (0..NEIGHBOURS).map(|it| stage.people.create_pair_in(1, it)).collect();
        (0..HOSTILE).for_each(|number| stage.people.create_pair(number));
        let targets = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&targets);
        stage.site.cluster.on_write(Box::new(move |write| {
            let operator = write.who.starts_with("replica");
            if operator && write.kind == Kind::Secret && write.namespace == "ns0" {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }));
        stage.site.oracle.keep_exchanges();
        stage.start();
        sleep(Duration::from_secs(30)).await;
        let mut churned = Churned::default();
        for round in 0..4 * 1800 {
            stage.people.churn(round % HOSTILE);
            stage.people.churn((round * 7 + 3) % HOSTILE);
            sleep(Duration::from_millis(250)).await;
            if round % 40 == 0 {
                stage.site.cluster.collect_garbage();
                let (now, expiries) = (stage.site.truth.now(), stage.expiries());
                churned.stale += neighbours.iter().filter(|key| expiries.get(*key).is_none_or(|at| *at <= now)).count();
            }
        }
        let exchanges = stage.site.oracle.take_exchanges();
        churned.neighbours = exchanges.iter().filter(|(key, _)| neighbours.contains(key)).count();
        churned.exchanges = exchanges.len() - churned.neighbours;
        churned.targets = targets.load(Ordering::Relaxed);
        churned
    })
}
