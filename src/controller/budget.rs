//! The budgets of all namespaces, which all controllers of the process share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::core::budget::{Answer, Budget, Dues};
use crate::core::problem::Problem;
use crate::core::schedule::later;

/// How often it is looked whether a namespace is within its budget again.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A handle to them.
#[derive(Clone)]
pub(super) struct Budgets {
    budget: Arc<Mutex<Budget>>,
    clock: Arc<dyn Clock>,
}

// === impl Budgets ===

impl Budgets {
    /// Of so many acts a minute; no limit where that is 0.
    pub(super) fn new(per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self { budget: Arc::new(Mutex::new(Budget::new(per_minute))), clock }
    }

    /// Pays for one act in the namespace.
    ///
    /// # Errors
    /// When to ask again.
    pub(super) fn pay(&self, namespace: &str, dues: &mut Dues) -> Result<(), Timestamp> {
        let now = self.clock.moment();
        let answer = lock(&self.budget).pay(namespace, dues, now.steady);
        let Answer::At { turn, begins } = answer else { return Ok(()) };
        if begins {
            warn!(namespace, "over budget: {}", self.problem(namespace).message());
        }
        Err(later(now.wall, turn.saturating_duration_since(now.steady)))
    }

    /// What an `IamToken` that has to wait is told.
    pub(super) fn problem(&self, namespace: &str) -> Problem {
        Problem::OverBudget { namespace: namespace.to_owned(), per_minute: lock(&self.budget).per_minute() }
    }

    /// How many namespaces have to wait.
    pub(super) fn over(&self) -> usize {
        lock(&self.budget).over()
    }

    /// Sees for ever which namespaces are within their budgets again.
    pub(super) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let ended = lock(&self.budget).sweep(self.clock.moment().steady);
            for namespace in ended {
                info!(namespace, "within its budget again");
            }
        }
    }
}

fn lock(budget: &Mutex<Budget>) -> MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}
