//! A Kubernetes API server in memory: strict, deterministic, fast. It serves what the operator and its users ask for, with
//! the semantics of the real one; `conformance.rs` holds the two against each other.

mod apply;
mod delivery;
mod failure;
mod fields;
mod garbage;
mod kind;
mod object;
mod read;
mod request;
mod rules;
mod schema;
mod service;
mod store;
mod watch;
mod weather;
mod write;

use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, StatusCode};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use self::failure::Failure;
use self::object::Object;
use self::store::{Change, Place, State};
use self::watch::Watch;

pub use self::kind::Kind;
pub use self::request::{Answer, Request};
pub use self::service::client;
pub use self::weather::{Act, Calm, Delivery, Fate, Refusal, Weather};

/// A resourceVersion.
pub type Revision = u64;
type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;
type Observer = Box<dyn FnMut(&Write<'_>) + Send>;

/// The API server. Clones are the same one.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    observers: Mutex<Vec<Observer>>,
}

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// POST
    Create,
    /// PUT, or a merge patch.
    Update,
    /// Server-side apply, of what is there or not.
    Apply,
    /// DELETE, which only marks what has finalizers.
    Delete,
}

/// A write that took effect. What changes nothing is none. The objects are without their `managedFields`.
#[derive(Debug)]
pub struct Write<'a> {
    /// Whose.
    pub who: &'a str,
    pub kind: Kind,
    pub verb: Verb,
    /// Whether it was to the subresource `status`.
    pub subresource_status: bool,
    pub namespace: &'a str,
    pub name: &'a str,
    /// `None` where it was created.
    pub before: Option<&'a Value>,
    /// `None` where it is gone.
    pub after: Option<&'a Value>,
    pub revision: Revision,
}

// === impl Cluster ===

impl Cluster {
    /// An empty one. `now` is the wall clock, for creationTimestamp and the like.
    pub fn new(now: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(State::new(now)), observers: Mutex::default() }))
    }

    /// Answers one request, at once. `who` names the client.
    pub fn answer(&self, who: &str, request: &Request) -> Answer {
        let (answer, changes) = {
            let mut state = self.state();
            let answer = self.serve(&mut state, request);
            (answer, std::mem::take(&mut state.changes))
        };
        self.tell(who, &changes);
        answer.unwrap_or_else(|failure| Answer::Object(failure.code(), failure.body()))
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.state().now()
    }

    fn serve(&self, state: &mut State, request: &Request) -> Result<Answer, Failure> {
        let target = request.target().ok_or_else(Failure::no_such_path)?;
        assert!(request.parameter("dryRun").is_none(), "dry runs are not served");
        let read = |json| Answer::Object(StatusCode::OK, json);
        let written = |(code, object): (StatusCode, Arc<Object>)| {
            Answer::Object(code, object.json(request.wants_metadata()).clone())
        };
        if request.is_watch() {
            return Ok(Answer::Watch(Watch::open(self, state, request, target)));
        }
        match (&request.method, target.name) {
            (&Method::GET, Some(_)) => state.get(request, target).map(read),
            (&Method::GET, None) => state.list(request, target).map(read),
            (&Method::POST, None) => state.create(request, target).map(written),
            (&Method::PUT, Some(_)) => state.replace(request, target).map(written),
            (&Method::PATCH, Some(_)) => match request.content_type.as_str() {
                "application/apply-patch+yaml" => state.apply(request, target).map(written),
                "application/merge-patch+json" => state.merge_patch(request, target).map(written),
                other => panic!("patches of the type {other} are not served"),
            },
            (&Method::DELETE, Some(_)) if !target.status => state.delete(request, target).map(read),
            (method, _) => panic!("{method} {} is not served", request.path),
        }
    }

    /// Forgets the history up to now: watches that resume from before are refused with 410, and so are lists that are
    /// half read.
    pub fn compact(&self) {
        self.state().compact();
    }

    /// That of the last write.
    pub fn revision(&self) -> Revision {
        self.state().revision
    }

    /// One object as it is now, without its `managedFields`.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state().find(Place { kind, namespace, name }).map(|object| Arc::clone(&object.value))
    }

    /// All objects of a kind as they are now, without their `managedFields`.
    pub fn list(&self, kind: Kind) -> Vec<Arc<Value>> {
        let state = self.state();
        let all = state.table(kind).objects.values().flat_map(|names| names.values());
        all.map(|object| Arc::clone(&object.value)).collect()
    }

    /// Calls `observer` after each write that takes effect, in their order and before the write is answered. It may look
    /// at the cluster and must not write to it.
    pub fn on_write(&self, observer: Box<dyn FnMut(&Write<'_>) + Send>) {
        self.0.observers.lock().unwrap().push(observer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn tell(&self, who: &str, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut observers = self.0.observers.lock().unwrap();
        for change in changes {
            let write = Write {
                who,
                kind: change.kind,
                verb: change.verb,
                subresource_status: change.status,
                namespace: &change.namespace,
                name: &change.name,
                before: change.before.as_ref().map(|object| &*object.value),
                after: change.after.as_ref().map(|object| &*object.value),
                revision: change.revision,
            };
            observers.iter_mut().for_each(|observer| observer(&write));
        }
    }
}

#[cfg(test)]
mod tests;
