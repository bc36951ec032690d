//! Publishing events, at best effort: an event that is lost must not hold up a refresh.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::debug;

use crate::api::Workload;
use crate::clock::Clock;
use crate::core::spam::SpamFilter;
use crate::core::status::Note;
use crate::core::view::Key;

/// The longest note that the API server takes, in bytes (`pkg/apis/events/validation`).
const LONGEST: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Publishes events about IamTokens.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    filter: Arc<Mutex<SpamFilter>>,
    clock: Arc<dyn Clock>,
}

// === impl Events ===

impl Events {
    /// Reports as `iam-token-operator`.
    #[must_use]
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        let recorder = Recorder::new(client, Reporter::from("iam-token-operator"));
        Self { recorder, filter: Arc::default(), clock }
    }

    /// Publishes one event about the object, unless it has had many; a failure is only logged.
    pub async fn publish(&self, note: &Note, regarding: &ObjectReference) {
        if !self.admits(regarding) {
            debug!(?regarding.namespace, ?regarding.name, reason = %note.reason, "one event too many");
            return;
        }
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.as_str().to_owned(),
            note: Some(cut(&note.text).to_owned()),
            action: "Refresh".to_owned(),
            secondary: note.related.as_ref().map(|workload| reference(workload, regarding)),
        };
        match tokio::time::timeout(PATIENCE, self.recorder.publish(&event, regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "an event was not published"),
            Err(_) => debug!("an event was not published in time"),
        }
    }

    fn admits(&self, regarding: &ObjectReference) -> bool {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let object = Key { namespace: text(&regarding.namespace), name: text(&regarding.name) };
        let now = self.clock.moment().steady;
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).admits(&object, now)
    }
}

/// The workload, in the namespace of the object.
fn reference(workload: &Workload, regarding: &ObjectReference) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps/v1".into()),
        kind: Some(format!("{:?}", workload.kind)),
        name: Some(workload.name.clone()),
        namespace: regarding.namespace.clone(),
        ..ObjectReference::default()
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
