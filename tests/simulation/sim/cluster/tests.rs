//! What the conformance test cannot show: the weather, the history, the garbage collector.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent as Event, WatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::*;

fn cluster() -> Cluster {
    Cluster::new(Arc::new(|| Timestamp::from_second(1_800_000_000).unwrap()))
}

fn secrets(cluster: &Cluster, weather: impl Weather) -> Api<Secret> {
    Api::namespaced(client(cluster, "test", Arc::new(weather)), "ns")
}

async fn put(api: &Api<Secret>, name: &str, value: &str) -> Result<Secret, kube::Error> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": value}});
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&secret)).await
}

/// Fates and deliveries one after the other, then good ones.
#[derive(Default)]
struct Script {
    fates: Mutex<Vec<Fate>>,
    deliveries: Mutex<Vec<Delivery>>,
    is_dead: bool,
}

impl Weather for Script {
    fn request(&self, _: &str, request: &Request) -> Fate {
        if request.is_watch() { Fate::GOOD } else { self.fates.lock().unwrap().pop().unwrap_or(Fate::GOOD) }
    }

    fn arrives(&self, _: &str, _: &Request) -> bool {
        !self.is_dead
    }

    fn answered(&self, _: &str, _: &Request, _: u16) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    fn event(&self, _: &str, _: Kind, _: &str, _: &str) -> Delivery {
        self.deliveries.lock().unwrap().pop().unwrap_or(Delivery::GOOD)
    }
}

fn fate(act: Act) -> Script {
    Script { fates: Mutex::new(vec![Fate { act, ..Fate::GOOD }]), ..Script::default() }
}

fn late(seconds: u64) -> Delivery {
    Delivery::Pass { delay: Duration::from_secs(seconds), twice: false }
}

fn say(event: &Event<Secret>) -> String {
    match event {
        Event::Added(it) => format!("+{}", it.name_any()),
        Event::Modified(it) => format!("~{}", it.name_any()),
        Event::Deleted(it) => format!("-{}", it.name_any()),
        Event::Bookmark(it) => format!("={}", it.metadata.resource_version),
        Event::Error(it) => format!("!{}", it.code),
    }
}

/// All that a watch says until it ends.
async fn watched(api: &Api<Secret>, from: &str, seconds: u32) -> Vec<String> {
    let params = WatchParams::default().timeout(seconds);
    let events = api.watch(&params, from).await.unwrap();
    events.map(|event| event.map_or_else(|_| "broken".into(), |event| say(&event))).collect().await
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_lost_and_the_write_is_not() {
    let cluster = cluster();
    let lost = Refusal::Status { code: 503, retry_after: Some(7) };
    let error = put(&secrets(&cluster, fate(Act::TakeAndLose(lost))), "a", "1").await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!((status.code, status.details.unwrap().retry_after_seconds), (503, 7));
    assert!(cluster.get(Kind::Secret, "ns", "a").is_some());

    let refused = put(&secrets(&cluster, fate(Act::Refuse(Refusal::Broken))), "b", "1").await.unwrap_err();
    assert!(matches!(refused, kube::Error::Service(_)), "{refused}");
    assert!(cluster.get(Kind::Secret, "ns", "b").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_on_when_its_client_has_given_up() {
    let cluster = cluster();
    let slow = Fate { before: Duration::from_secs(20), ..Fate::GOOD };
    let api = secrets(&cluster, Script { fates: Mutex::new(vec![slow]), ..Script::default() });
    timeout(Duration::from_secs(5), put(&api, "a", "1")).await.unwrap_err();
    assert!(cluster.get(Kind::Secret, "ns", "a").is_none());
    sleep(Duration::from_secs(16)).await;
    assert!(cluster.get(Kind::Secret, "ns", "a").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_dead_client_changes_nothing_and_hears_nothing() {
    let cluster = cluster();
    let api = secrets(&cluster, Script { is_dead: true, ..Script::default() });
    timeout(Duration::from_hours(1), put(&api, "a", "1")).await.unwrap_err();
    assert!(cluster.list(Kind::Secret).is_empty());
    for take in [true, false] {
        let hanging = secrets(&cluster, fate(Act::Hang { take }));
        timeout(Duration::from_hours(1), put(&hanging, "b", "1")).await.unwrap_err();
        assert_eq!(cluster.get(Kind::Secret, "ns", "b").is_some(), take);
        cluster.state().remove(Place { kind: Kind::Secret, namespace: "ns", name: "b" }, (Verb::Delete, false));
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_one_object_stay_in_order() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    for (name, value) in [("a", "1"), ("a", "2"), ("b", "1")] {
        put(&api, name, value).await.unwrap();
    }
    let deliveries = Mutex::new(vec![Delivery::GOOD, late(0), late(9)]);
    let delayed = secrets(&cluster, Script { deliveries, ..Script::default() });
    assert_eq!(watched(&delayed, "1", 60).await, ["+b", "+a", "~a"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_missed_where_a_watch_ends() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    for name in ["a", "b", "c"] {
        put(&api, name, "1").await.unwrap();
    }
    // b overtakes a, and the watch ends before c.
    for (broken, end) in [(false, vec![]), (true, vec!["broken"])] {
        let deliveries = Mutex::new(vec![Delivery::Cut { broken }, Delivery::GOOD, late(9)]);
        let cut = secrets(&cluster, Script { deliveries, ..Script::default() });
        assert_eq!(watched(&cut, "1", 60).await, [vec!["+b", "+a"], end].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_may_come_twice() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    put(&api, "a", "1").await.unwrap();
    let deliveries = Mutex::new(vec![Delivery::Pass { delay: Duration::ZERO, twice: true }]);
    let twice = secrets(&cluster, Script { deliveries, ..Script::default() });
    assert_eq!(watched(&twice, "1", 10).await, ["+a", "+a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_may_go_silent_without_an_end() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    for name in ["a", "b", "c"] {
        put(&api, name, "1").await.unwrap();
    }
    let deliveries = Mutex::new(vec![Delivery::Silence, Delivery::GOOD]);
    let silent = secrets(&cluster, Script { deliveries, ..Script::default() });
    let mut events = silent.watch(&WatchParams::default(), "1").await.unwrap().boxed();
    assert_eq!(events.try_next().await.unwrap().as_ref().map(say).as_deref(), Some("+a"));
    // Neither b nor c nor bookmarks, nor the end that every other watch has after half an hour.
    assert!(timeout(Duration::from_hours(2), events.try_next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_never_overtakes_what_is_before_it() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    let deliveries = Mutex::new(vec![late(100)]);
    let slow = secrets(&cluster, Script { deliveries, ..Script::default() });
    let begin = Instant::now();
    let (events, _) = futures::join!(watched(&slow, "1", 200), put(&api, "a", "1"));
    assert_eq!(events, ["+a", "=2", "=2", "=2"]);
    assert_eq!(begin.elapsed(), Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_cannot_be_watched() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    let first = put(&api, "a", "1").await.unwrap().resource_version().unwrap();
    let last = put(&api, "a", "2").await.unwrap().resource_version().unwrap();
    assert_eq!(watched(&api, &first, 10).await, ["~a"]);
    cluster.compact();
    assert_eq!(watched(&api, &first, 10).await, ["!410"]);
    assert_eq!(watched(&api, &last, 10).await, [""; 0]);
    assert_eq!(watched(&api, "0", 10).await, ["+a"]);
    put(&api, "a", "3").await.unwrap();
    assert_eq!(watched(&api, &last, 10).await, ["~a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_over_a_compaction_that_it_has_seen() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    let mut events = api.watch(&WatchParams::default(), "1").await.unwrap().boxed();
    for (name, forget) in [("a", true), ("b", false)] {
        put(&api, name, "1").await.unwrap();
        assert_eq!(say(&events.try_next().await.unwrap().unwrap()), format!("+{name}"));
        if forget {
            cluster.compact();
        }
    }
    put(&api, "c", "1").await.unwrap();
    cluster.compact();
    assert_eq!(say(&events.try_next().await.unwrap().unwrap()), "!410");
}

#[tokio::test(start_paused = true)]
async fn a_list_comes_page_by_page_as_it_was_at_first() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    for name in ["a", "b", "c"] {
        put(&api, name, "1").await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    put(&api, "d", "1").await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.metadata.continue_), (2, 1, None));
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    cluster.compact();
    let error = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn only_what_all_owners_have_left_is_collected() {
    let cluster = cluster();
    let api = secrets(&cluster, Calm);
    let owner = |kind: &str, uid: &str| json!({"apiVersion": "v1", "kind": kind, "name": "n", "uid": uid});
    let (gone, other) = (owner("IamToken", "gone"), owner("Deployment", "there"));
    for (name, owners) in [("a", vec![&gone]), ("b", vec![&gone, &other]), ("c", vec![&other]), ("d", vec![])] {
        let secret = json!({"metadata": {"name": name, "ownerReferences": owners}});
        api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&seen);
    cluster.on_write(Box::new(move |write| {
        noted.lock().unwrap().push(format!("{} {:?} {}", write.who, write.verb, write.name));
    }));
    cluster.collect_garbage();
    cluster.collect_garbage();
    assert_eq!(*seen.lock().unwrap(), ["garbage-collector Delete a", "garbage-collector Update b"]);
    let left = cluster.get(Kind::Secret, "ns", "b").unwrap();
    assert_eq!(left["metadata"]["ownerReferences"], json!([other]));
}
