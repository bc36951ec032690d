//! An open watch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::failure::Failure;
use super::kind::Kind;
use super::object::Object;
use super::read::selected_name;
use super::request::{Request, Target};
use super::store::{State, What};
use super::{Cluster, Revision};

const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
const LASTS: Duration = Duration::from_mins(30);

/// An open watch: yields its events, and ends when its time is over.
pub struct Watch {
    cluster: Cluster,
    kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
    metadata_only: bool,
    /// What was there already, where it does not begin at a revision.
    backlog: VecDeque<Arc<Object>>,
    /// How many events of the history are behind it.
    behind: u64,
    signal: watch::Receiver<()>,
    bookmark: Option<Instant>,
    ends: Instant,
    is_over: bool,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// As it is sent, with its newline.
    pub line: Bytes,
    pub what: What,
    /// Namespace and name; empty for what is about no object.
    pub key: (String, String),
    /// Its resourceVersion.
    pub revision: Revision,
}

impl Watch {
    /// Begins where the request says.
    pub(super) fn open(cluster: &Cluster, state: &State, request: &Request, target: Target<'_>) -> Self {
        assert!(!request.is_set("sendInitialEvents"), "streaming lists are not served");
        assert!(target.kind != Kind::Event, "events are not watched");
        let table = state.table(target.kind);
        let from = request.parameter("resourceVersion").filter(|from| *from != "0");
        let from: Option<Revision> = from.map(|from| from.parse().unwrap());
        let seen = |from| table.history.partition_point(|event| event.object.revision <= from) as u64;
        let (backlog, behind) = match from {
            None => (state.select(request, target).into(), table.forgotten + table.history.len() as u64),
            // One before what is not forgotten: `next` says so.
            Some(from) if from < table.compacted => (VecDeque::new(), table.forgotten.saturating_sub(1)),
            Some(from) => (VecDeque::new(), table.forgotten + seen(from)),
        };
        let lasts = request.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let now = Instant::now();
        Self {
            cluster: cluster.clone(),
            kind: target.kind,
            namespace: target.namespace.map(str::to_owned),
            name: selected_name(request).map(str::to_owned),
            metadata_only: request.wants_metadata(),
            backlog,
            behind,
            signal: table.signal.subscribe(),
            bookmark: request.is_set("allowWatchBookmarks").then(|| now + BOOKMARK_EVERY),
            ends: now + lasts.map_or(LASTS, Duration::from_secs),
            is_over: false,
        }
    }

    /// What is watched.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next event. It is safe to drop the future before it is ready.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if self.is_over {
                return None;
            }
            self.signal.borrow_and_update();
            if let Some(event) = self.ready() {
                return Some(event);
            }
            let until = self.bookmark.map_or(self.ends, |bookmark| bookmark.min(self.ends));
            tokio::select! {
                biased;
                _ = self.signal.changed() => {}
                () = sleep_until(until) => {
                    if until == self.ends {
                        self.is_over = true;
                    } else {
                        self.bookmark = Some(until + BOOKMARK_EVERY);
                        return Some(self.bookmark());
                    }
                }
            }
        }
    }

    /// What there is to say now.
    fn ready(&mut self) -> Option<WatchEvent> {
        if let Some(object) = self.backlog.pop_front() {
            return Some(self.event(What::Added, &object));
        }
        let cluster = self.cluster.clone();
        let state = cluster.state();
        let table = state.table(self.kind);
        let Some(from) = self.behind.checked_sub(table.forgotten) else {
            self.is_over = true;
            return Some(expired(state.revision));
        };
        let from = usize::try_from(from).unwrap();
        for event in table.history.range(from..) {
            self.behind += 1;
            let is_asked_for = self.namespace.as_ref().is_none_or(|namespace| *namespace == event.namespace)
                && self.name.as_ref().is_none_or(|name| *name == event.name);
            if is_asked_for {
                return Some(self.event(event.what, &event.object));
            }
        }
        None
    }

    fn event(&self, what: What, object: &Object) -> WatchEvent {
        let type_ = match what {
            What::Added => "ADDED",
            What::Modified => "MODIFIED",
            _ => "DELETED",
        };
        let json = object.json(self.metadata_only);
        let mut line = Vec::with_capacity(json.len() + 40);
        line.extend_from_slice(br#"{"type":""#);
        line.extend_from_slice(type_.as_bytes());
        line.extend_from_slice(br#"","object":"#);
        line.extend_from_slice(json);
        line.extend_from_slice(b"}\n");
        let key = (object.metadata("namespace").to_owned(), object.metadata("name").to_owned());
        WatchEvent { line: line.into(), what, key, revision: object.revision }
    }

    fn bookmark(&self) -> WatchEvent {
        let revision = self.cluster.revision();
        let (api, kind) = if self.metadata_only {
            ("meta.k8s.io/v1", "PartialObjectMetadata")
        } else {
            (self.kind.api_version(), self.kind.name())
        };
        let metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        let object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
        no_object(What::Bookmark, "BOOKMARK", &object, revision)
    }
}

fn expired(revision: Revision) -> WatchEvent {
    let failure = Failure::expired("The resourceVersion for the provided watch is too old.");
    no_object(What::Expired, "ERROR", &failure.json(), revision)
}

fn no_object(what: What, type_: &str, object: &serde_json::Value, revision: Revision) -> WatchEvent {
    let line = format!("{}\n", json!({"type": type_, "object": object}));
    WatchEvent { line: line.into(), what, key: (String::new(), String::new()), revision }
}
