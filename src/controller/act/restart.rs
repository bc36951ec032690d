//! The act that is for those who read the target: restarting a workload.

use tracing::{Span, info, instrument};

use super::{Job, Outcome};
use crate::api::{Reason, Workload};
use crate::cluster;
use crate::controller::context::Remembered;
use crate::core::restart::annotation;
use crate::core::status::Note;

// === impl Job ===

impl Job<'_> {
    /// Restarts the workload at this place of the spec for the token in the target.
    #[instrument(skip_all, fields(workload))]
    pub(super) async fn restart(&self, place: usize, remembered: &mut Remembered) -> Result<Outcome, Outcome> {
        let (Some(workload), Some(record)) = (self.plan.restart.workloads.get(place), self.record()) else {
            return Err(Outcome::Lost);
        };
        Span::current().record("workload", workload.to_string());
        let (client, namespace) = (&self.context.client, &self.key.namespace);
        let annotation = annotation(&self.key.name);
        let restarted =
            cluster::workload::restart(client, namespace, workload, &annotation, &record.token.to_string()).await;
        let restarts = &mut remembered.memory.restarts;
        if let Err(problem) = restarted {
            let outcome = self.failed_by(problem);
            if let Outcome::Failed(failed) = &outcome {
                restarts.failed(workload, record, self.observed.generation, failed.clone());
            }
            return Err(outcome);
        }
        restarts.restarted(workload, record, self.context.now());
        info!(iamtoken = %self.key, %workload, "restarted");
        Ok(Outcome::Done(Some(note(workload))))
    }
}

/// One text for all restarts of a workload: events that differ in nothing else are counted as one.
fn note(workload: &Workload) -> Note {
    let text = format!("{workload} was restarted, so that its pods read the new token.");
    Note { warning: false, reason: Reason::WorkloadRestarted, text, related: Some(workload.clone()) }
}
