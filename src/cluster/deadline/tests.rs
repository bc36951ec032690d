use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body as Answer;
use bytes::Bytes;
use futures::{StreamExt as _, future, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::core::watchdog::{LONGEST_SILENCE, Watchdog, Watched};

const EMPTY_LIST: &str = r#"{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
const EVENT: &str = concat!(
    r#"{"type":"ADDED","object":{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"2"}}}"#,
    "\n"
);
const DAY: Duration = Duration::from_hours(24);

/// An API server that gives this answer, or none.
fn client(answer: impl Fn(bool) -> Option<Answer> + Send + 'static) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(is_watch(request.uri()));
        async move {
            match answer {
                Some(answer) => Ok::<_, Infallible>(Response::new(answer)),
                None => future::pending().await,
            }
        }
    });
    Client::new(service, "default")
}

/// Its first part, then silence.
fn unfinished(first: &'static str) -> Answer {
    let first = stream::once(future::ready(Ok::<_, Infallible>(Bytes::from_static(first.as_bytes()))));
    Answer::from_stream(first.chain(stream::pending()))
}

fn secrets(client: Client) -> Api<Secret> {
    Api::namespaced(client, "default")
}

/// How long it takes until there is an error.
async fn fails_after<T: std::fmt::Debug>(request: impl Future<Output = kube::Result<T>>) -> (Duration, String) {
    let begin = Instant::now();
    let error = timeout(DAY, request).await.expect("it hangs").expect_err("an error");
    (begin.elapsed(), error.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_list_has_a_deadline_to_its_end() {
    type Server = fn(bool) -> Option<Answer>;
    let servers: [Server; 2] = [|_| None, |_| Some(unfinished(r#"{"kind":"#))];
    for server in servers {
        let api = secrets(with_deadlines(&client(server), &Metrics::default()));
        let (after, why) = fails_after(api.list(&ListParams::default())).await;
        assert_eq!(after.as_secs(), 30);
        assert!(why.contains("did not answer within 30 s"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_deadline_a_list_would_hang() {
    let list = secrets(client(|_| None));
    assert!(timeout(DAY, list.list(&ListParams::default())).await.is_err(), "kube has a deadline now: drop ours");
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_through_as_it_is() {
    let api = secrets(with_deadlines(&client(|_| Some(EMPTY_LIST.into())), &Metrics::default()));
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!((list.items.len(), list.metadata.resource_version.as_deref()), (0, Some("1")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_has_a_deadline_to_its_beginning_only() {
    let begun = secrets(with_deadlines(&client(|_| None), &Metrics::default()));
    let beginning = async { begun.watch(&WatchParams::default(), "1").await.map(|_| ()) };
    assert_eq!(fails_after(beginning).await.0.as_secs(), 30);
    let late = || {
        let event = async {
            sleep(Duration::from_secs(250)).await;
            Ok::<_, Infallible>(Bytes::from_static(EVENT.as_bytes()))
        };
        Answer::from_stream(stream::once(event))
    };
    let late = secrets(with_deadlines(&client(move |_| Some(late())), &Metrics::default()));
    let mut events = late.watch(&WatchParams::default(), "1").await.unwrap().boxed();
    assert!(events.next().await.unwrap().is_ok());
}

/// Lets a watch run for a day; returns how often it asked, and what the watchdog found.
async fn a_day_of(server: impl Fn(bool) -> Option<Answer> + Send + 'static) -> (usize, Vec<String>) {
    let asked = Arc::new(Mutex::new(0));
    let dog = Arc::new(Mutex::new(Watchdog::new(None)));
    let (count, heard) = (Arc::clone(&asked), Arc::clone(&dog));
    let client = with_deadlines(
        &client(move |watches| {
            *count.lock().unwrap() += 1;
            server(watches)
        }),
        &Metrics::default(),
    );
    let client = with_signs(&client, move || heard.lock().unwrap().heard(Watched::Secrets));
    let watch = watcher(secrets(client), watcher::Config::default()).default_backoff();
    let end = Instant::now() + DAY;
    let mut found = vec![];
    let rounds = async {
        while Instant::now() < end {
            sleep(Duration::from_secs(10)).await;
            found.extend(dog.lock().unwrap().tick(SystemClock.moment()).findings);
        }
    };
    future::select(Box::pin(watch.for_each(|_| future::ready(()))), Box::pin(rounds)).await;
    let asked = *asked.lock().unwrap();
    (asked, found.iter().map(ToString::to_string).collect())
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_hears_nothing_is_begun_anew_and_no_finding() {
    let answer = |watches| Some(if watches { unfinished("") } else { EMPTY_LIST.into() });
    let (asked, found) = a_day_of(answer).await;
    assert_eq!(found, Vec::<String>::new());
    let each = DAY.as_secs() / (asked as u64 - 1);
    assert!((290..=300).contains(&each), "kube begins a silent watch anew every {each} s");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_never_answers_is_no_finding() {
    let (asked, found) = a_day_of(|_| None).await;
    assert_eq!(found, Vec::<String>::new());
    assert!(asked as u64 > DAY.as_secs() / 120, "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn one_that_keeps_a_watch_open_for_ever_is_no_finding() {
    let events = || {
        let event = stream::unfold((), |()| async {
            sleep(Duration::from_secs(200)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(EVENT.as_bytes())), ()))
        });
        Answer::from_stream(event)
    };
    let (asked, found) = a_day_of(move |watches| Some(if watches { events() } else { EMPTY_LIST.into() })).await;
    assert_eq!((asked, found), (2, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_nobody_runs_any_more_is_a_finding() {
    let dog = Arc::new(Mutex::new(Watchdog::new(None)));
    let heard = Arc::clone(&dog);
    let client = with_signs(&client(|_| Some(EMPTY_LIST.into())), move || {
        heard.lock().unwrap().heard(Watched::Secrets);
    });
    let mut watch = Box::pin(watcher(secrets(client), watcher::Config::default()));
    while !matches!(watch.next().await, Some(Ok(watcher::Event::InitDone))) {}
    let mut found = vec![];
    for _ in 0..LONGEST_SILENCE.as_secs() / 10 + 2 {
        found = dog.lock().unwrap().tick(SystemClock.moment()).findings;
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(found.len(), 1);
}
