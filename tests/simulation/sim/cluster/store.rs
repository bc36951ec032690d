//! The objects and their history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::apply::Entry;
use super::kind::Kind;
use super::object::Object;
use super::read::Page;
use super::{Now, Revision, Verb};

/// How many events of a kind are remembered at most.
const REMEMBERED: usize = 20_000;

/// How long events are kept, in seconds (`--event-ttl` of kube-apiserver).
const EVENTS_LAST: i64 = 3600;

/// All that is stored.
pub struct State {
    /// That of the last write.
    pub revision: Revision,
    /// The writes of the request under way.
    pub changes: Vec<Change>,
    /// The lists that are read page by page.
    pub pages: BTreeMap<u64, Page>,
    /// How many lists have been.
    pub paged: u64,
    pub tables: [Table; 4],
    /// When each event was created that is still there.
    events: VecDeque<(Timestamp, String, String)>,
    uids: u64,
    now: Now,
}

/// All of one kind.
pub struct Table {
    /// By namespace and name.
    pub objects: BTreeMap<String, BTreeMap<String, Arc<Object>>>,
    /// What is not forgotten of what happened.
    pub history: VecDeque<Arc<Event>>,
    /// How many events are forgotten.
    pub forgotten: u64,
    /// Up to which revision events are forgotten.
    pub compacted: Revision,
    /// Wakes the watches.
    pub signal: watch::Sender<()>,
}

/// What happened to an object.
#[derive(Debug)]
pub struct Event {
    pub what: What,
    pub namespace: String,
    pub name: String,
    pub object: Arc<Object>,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Added,
    Modified,
    Deleted,
    /// Everything up to this revision has been said.
    Bookmark,
    /// An ERROR with the code 410: what comes next is forgotten.
    Expired,
}

/// Which object.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub kind: Kind,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// One write.
#[derive(Debug)]
pub struct Change {
    pub verb: Verb,
    pub status: bool,
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
    pub revision: Revision,
}

// === impl State ===

impl State {
    pub fn new(now: Now) -> Self {
        let table = |_| Table {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            compacted: 1,
            signal: watch::Sender::new(()),
        };
        let (changes, pages, tables) = (vec![], BTreeMap::new(), Kind::ALL.map(table));
        // etcd's first revision holds nothing.
        Self { revision: 1, changes, pages, paged: 0, tables, events: VecDeque::new(), uids: 0, now }
    }

    pub fn table(&self, kind: Kind) -> &Table {
        &self.tables[kind as usize]
    }

    pub fn find(&self, place: Place<'_>) -> Option<&Arc<Object>> {
        self.table(place.kind).objects.get(place.namespace)?.get(place.name)
    }

    /// The time in whole seconds, as metadata has it.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_second((self.now)().as_second()).unwrap_or_default()
    }

    pub fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// Stores a new state.
    pub fn put(
        &mut self,
        place: Place<'_>,
        (verb, status): (Verb, bool),
        value: Value,
        owners: Vec<Entry>,
    ) -> Arc<Object> {
        self.revision += 1;
        let after = Arc::new(Object::new(value, owners, self.revision));
        let names = self.tables[place.kind as usize].objects.entry(place.namespace.to_owned()).or_default();
        let before = names.insert(place.name.to_owned(), Arc::clone(&after));
        if place.kind == Kind::Event && before.is_none() {
            self.expire_events(place);
        }
        let what = if before.is_some() { What::Modified } else { What::Added };
        self.happened(place, what, Arc::clone(&after));
        self.note(place, (verb, status), before, Some(Arc::clone(&after)));
        after
    }

    /// Events go after a while, unnoticed.
    fn expire_events(&mut self, new: Place<'_>) {
        let now = self.now();
        self.events.push_back((now, new.namespace.to_owned(), new.name.to_owned()));
        while let Some((created, namespace, name)) = self.events.front()
            && now.as_second() - created.as_second() > EVENTS_LAST
        {
            if let Some(names) = self.tables[Kind::Event as usize].objects.get_mut(namespace) {
                names.remove(name);
            }
            self.events.pop_front();
        }
    }

    /// Removes the object, and returns its last state.
    pub fn remove(&mut self, place: Place<'_>, (verb, status): (Verb, bool)) -> Option<Arc<Object>> {
        let table = &mut self.tables[place.kind as usize];
        let before = table.objects.get_mut(place.namespace)?.remove(place.name)?;
        self.revision += 1;
        let last = Arc::new(before.at(self.revision));
        self.happened(place, What::Deleted, Arc::clone(&last));
        self.note(place, (verb, status), Some(before), None);
        Some(last)
    }

    fn happened(&mut self, place: Place<'_>, what: What, object: Arc<Object>) {
        if place.kind == Kind::Event {
            return;
        }
        let table = &mut self.tables[place.kind as usize];
        let (namespace, name) = (place.namespace.to_owned(), place.name.to_owned());
        table.history.push_back(Arc::new(Event { what, namespace, name, object }));
        if table.history.len() > REMEMBERED
            && let Some(oldest) = table.history.pop_front()
        {
            table.forgotten += 1;
            table.compacted = oldest.object.revision;
        }
        table.signal.send_replace(());
    }

    fn note(
        &mut self,
        place: Place<'_>,
        (verb, status): (Verb, bool),
        before: Option<Arc<Object>>,
        after: Option<Arc<Object>>,
    ) {
        self.changes.push(Change {
            verb,
            status,
            kind: place.kind,
            namespace: place.namespace.to_owned(),
            name: place.name.to_owned(),
            before,
            after,
            revision: self.revision,
        });
    }

    /// Forgets what happened up to now.
    pub fn compact(&mut self) {
        self.pages.clear();
        for table in &mut self.tables {
            table.forgotten += table.history.len() as u64;
            table.history.clear();
            table.compacted = self.revision;
        }
    }
}
