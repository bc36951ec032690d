use std::collections::BTreeSet;
use std::convert::Infallible;

use futures::future;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;

use super::*;
use crate::api::Reason;

/// One moment for all.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// The names of the events that were created.
type Names = Arc<Mutex<Vec<String>>>;

/// An API server that takes events, or never answers.
fn server(answers: bool) -> (Client, Names) {
    let names = Names::default();
    let created = Arc::clone(&names);
    let service = tower::service_fn(move |request: Request<Body>| {
        let created = Arc::clone(&created);
        async move {
            if !answers {
                return future::pending().await;
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let event: Event = serde_json::from_slice(&body).unwrap();
            created.lock().unwrap().push(event.metadata.name.unwrap());
            Ok::<_, Infallible>(Response::new(axum::body::Body::from(body)))
        }
    });
    (Client::new(service, "default"), names)
}

fn about(name: &str) -> Key {
    Key::new("default", name)
}

fn note() -> Note {
    Note { warning: false, reason: Reason::TokenValid, text: "The token is valid.".into(), related: None }
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_is_published_each_under_a_name_of_its_own() {
    let (client, names) = server(true);
    let (events, publisher) = queue(client, Arc::new(Stopped));
    for uid in ["one", "other", "third"] {
        events.publish(&note(), &about("hpcs"), uid);
    }
    publisher.run(future::ready(())).await;
    let names = names.lock().unwrap().clone();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_holds_up_the_end_for_a_moment_only() {
    let (client, _) = server(false);
    let (events, publisher) = queue(client, Arc::new(Stopped));
    for uid in 0..20 {
        events.publish(&note(), &about("hpcs"), &uid.to_string());
    }
    let begin = tokio::time::Instant::now();
    publisher.run(tokio::time::sleep(Duration::from_secs(1))).await;
    assert!(begin.elapsed() <= 2 * PATIENCE, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn publishing_waits_for_nobody_and_what_is_too_much_is_lost() {
    let (client, names) = server(true);
    let (events, publisher) = queue(client, Arc::new(Stopped));
    for number in 0..MOST + 10 {
        events.publish(&note(), &about(&format!("t{number}")), &number.to_string());
    }
    publisher.run(future::ready(())).await;
    assert_eq!(names.lock().unwrap().len(), MOST);
}

#[test]
fn a_name_is_one_that_the_api_server_takes() {
    for name in ["a".repeat(253), format!("{}.{}", "a".repeat(229), "b".repeat(20)), "hpcs".into()] {
        let waiting = Waiting { note: note(), about: about(&name), uid: String::new(), at: Timestamp::MAX };
        let named = waiting.named(waiting.at);
        assert!(named.len() <= 253 && !named.contains(".."), "{named}");
        assert!(named.starts_with(&name[..4]), "{named}");
    }
}
