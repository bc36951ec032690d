//! Publishing events, at best effort and last of all: an event must not hold up a refresh, so they wait in a queue, from
//! which one after the other is published beside all other work.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

use crate::api::Workload;
use crate::clock::Clock;
use crate::core::series::{Said, Series};
use crate::core::spam::SpamFilter;
use crate::core::status::Note;
use crate::core::view::Key;

/// As it is named in events.
const REPORTER: &str = "iam-token-operator";

/// The longest note that the API server takes, in bytes (`pkg/apis/events/validation`).
const LONGEST: usize = 1024;

/// So much of the object's name is in the event's, in bytes: the event's has 253 at the most, and the time takes 17.
const LONGEST_NAME: usize = 230;

/// How long one event, and at the end all that wait, may take: with the 20 s that what is in flight at the end has, both
/// are over before kubelet's 30.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many may wait; more are lost, as those beyond 1,000 are in client-go (`k8s.io/client-go/tools/record/event.go`:
/// `maxQueuedEvents`). Each takes some hundred bytes.
const MOST: usize = 16_384;

/// Takes events about IamTokens.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Waiting>,
    filter: Arc<Mutex<SpamFilter>>,
    clock: Arc<dyn Clock>,
}

/// Publishes what [`Events`] took.
pub struct Publisher {
    client: Client,
    clock: Arc<dyn Clock>,
    queue: mpsc::Receiver<Waiting>,
    series: Series,
    /// When the last one was, by its name.
    latest: Timestamp,
}

/// One event that is to be published.
struct Waiting {
    note: Note,
    about: Key,
    uid: String,
    at: Timestamp,
}

/// Both ends of a queue.
#[must_use]
pub fn queue(client: Client, clock: Arc<dyn Clock>) -> (Events, Publisher) {
    let (sender, receiver) = mpsc::channel(MOST);
    let events = Events { queue: sender, filter: Arc::default(), clock: Arc::clone(&clock) };
    (events, Publisher { client, clock, queue: receiver, series: Series::default(), latest: Timestamp::UNIX_EPOCH })
}

// === impl Events ===

impl Events {
    /// Takes one event about the `IamToken` with this uid, unless it has had many or too many wait.
    pub fn publish(&self, note: &Note, about: &Key, uid: &str) {
        let moment = self.clock.moment();
        if !self.filter.lock().unwrap_or_else(PoisonError::into_inner).admits(about, moment.steady) {
            debug!(iamtoken = %about, reason = %note.reason, "one event too many");
            return;
        }
        let waiting = Waiting { note: note.clone(), about: about.clone(), uid: uid.to_owned(), at: moment.wall };
        if self.queue.try_send(waiting).is_err() {
            debug!(iamtoken = %about, reason = %note.reason, "an event was not published: too many wait");
        }
    }
}

// === impl Publisher, Waiting ===

impl Publisher {
    /// Publishes one after the other until `end` resolves, then what still waits.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        loop {
            let waiting = tokio::select! {
                biased;
                () = &mut end => break,
                waiting = self.queue.recv() => waiting,
            };
            let Some(waiting) = waiting else { return };
            self.publish(waiting).await;
        }
        self.queue.close();
        let rest = async {
            while let Some(waiting) = self.queue.recv().await {
                self.publish(waiting).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, rest).await;
    }

    /// A failure is only logged.
    async fn publish(&mut self, mut waiting: Waiting) {
        waiting.at = self.apart(waiting.at);
        let note = &waiting.note;
        let related = note.related.as_ref().map(|workload| (&workload.name, format!("{:?}", workload.kind)));
        let id = self.series.id((&waiting.uid, note.warning, note.reason.as_str(), related));
        match tokio::time::timeout(PATIENCE, self.write(&waiting, self.series.last(id))).await {
            Ok(Ok(said)) => self.series.record(id, said, self.clock.moment().steady),
            Ok(Err(error)) => debug!(%error, "an event was not published"),
            Err(_) => debug!("an event was not published in time"),
        }
    }

    /// The same time, or the next that no event has: two of one moment must not have one name.
    fn apart(&mut self, at: Timestamp) -> Timestamp {
        let tick = SignedDuration::from_nanos(1);
        let taken = (0..1000).contains(&self.latest.duration_since(at).as_nanos());
        self.latest = if taken { self.latest.checked_add(tick).unwrap_or(at) } else { at };
        self.latest
    }

    async fn write(&self, waiting: &Waiting, last: Option<Said>) -> kube::Result<Said> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &waiting.about.namespace);
        if let Some(last) = last {
            let said = Said { count: last.count.saturating_add(1), ..last };
            let series = json!({"series": {"count": said.count, "lastObservedTime": MicroTime(waiting.at)}});
            match events.patch(&waiting.named(last.first), &PatchParams::default(), &Patch::Merge(series)).await {
                Err(kube::Error::Api(error)) if error.code == 404 => {} // The API server has dropped it meanwhile.
                answer => return answer.map(|_| said),
            }
        }
        events.create(&PostParams::default(), &waiting.event()).await?;
        Ok(Said { first: waiting.at, count: 1 })
    }
}

impl Waiting {
    fn event(&self) -> Event {
        let (namespace, note) = (Some(self.about.namespace.to_string()), &self.note);
        Event {
            metadata: ObjectMeta { namespace, name: Some(self.named(self.at)), ..ObjectMeta::default() },
            type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
            reason: Some(note.reason.as_str().into()),
            note: Some(cut(&note.text).to_owned()),
            action: Some("Refresh".into()),
            event_time: Some(MicroTime(self.at)),
            regarding: Some(self.regarding()),
            related: note.related.as_ref().map(|workload| reference(workload, &self.about.namespace)),
            reporting_controller: Some(REPORTER.into()),
            reporting_instance: Some(instance()),
            ..Event::default()
        }
    }

    /// As client-go names them: by the object and a time.
    fn named(&self, first: Timestamp) -> String {
        let name = self.about.name.get(..LONGEST_NAME).unwrap_or(&self.about.name);
        format!("{}.{:x}", name.trim_end_matches(['-', '.']), first.as_nanosecond())
    }

    fn regarding(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("iamtoken.dev/v1alpha1".into()),
            kind: Some("IamToken".into()),
            namespace: Some(self.about.namespace.to_string()),
            name: Some(self.about.name.to_string()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

/// The Pod, by the name of its host.
fn instance() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The workload, in the namespace of the object.
fn reference(workload: &Workload, namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("apps/v1".into()),
        kind: Some(format!("{:?}", workload.kind)),
        name: Some(workload.name.clone()),
        namespace: Some(namespace.to_owned()),
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

#[cfg(test)]
mod tests;
