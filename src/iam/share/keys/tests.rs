//! Under virtual time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{advance, sleep};

use super::*;
use crate::api::Identity;
use crate::clock::Clock;
use crate::core::endpoint::Endpoint;
use crate::core::failure::{Cause, Failure, Kind};
use crate::core::schedule::{Life, later};
use crate::core::view::Key;
use crate::iam::share::{Outcome, Want};
use crate::iam::{Ask, Credential, Exchange, Grant};
use crate::telemetry::metrics::Metrics;

struct Wall(tokio::time::Instant);

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        later(Timestamp::from_second(1_800_000_000).unwrap(), self.0.elapsed())
    }
}

/// What IAM does with the next question.
#[derive(Clone, Copy)]
enum Says {
    Health(KeyHealth),
    Nothing,
    Panics,
    Hangs,
    /// It may not even be asked.
    NoQuestion,
}

/// Grants an hour each time, unless it is told to fail; answers questions after a second.
struct Iam {
    wall: Arc<Wall>,
    says: Mutex<VecDeque<Says>>,
    fails: AtomicUsize,
    exchanges: AtomicUsize,
    questions: Arc<AtomicUsize>,
}

impl Exchange for Iam {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        if self.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let failure = Failure::unanswered(Kind::Unreachable(Cause::Refused), &ask.endpoint);
            return futures::future::ready(Err(failure)).boxed();
        }
        let life = Life { since: self.wall.now(), lasts: Duration::from_hours(1) };
        let grant = Grant { token: "FAKE-token".into(), life, skew: 0, identity: Identity::default() };
        futures::future::ready(Ok(grant)).boxed()
    }

    fn exchange_and_ask(&self, ask: Ask) -> BoxFuture<'static, Result<(Grant, Option<Question>), Failure>> {
        let exchange = self.exchange(ask);
        let says = self.says.lock().unwrap().pop_front().unwrap_or(Says::Nothing);
        let questions = Arc::clone(&self.questions);
        let question = async move {
            questions.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            match says {
                Says::Health(health) => Some(health),
                Says::Panics => panic!("as told"),
                Says::Hangs => std::future::pending().await,
                Says::Nothing | Says::NoQuestion => None,
            }
        };
        let question = (!matches!(says, Says::NoQuestion)).then(|| question.boxed());
        async move { Ok((exchange.await?, question)) }.boxed()
    }
}

struct Scene {
    sharing: Sharing,
    iam: Arc<Iam>,
    calls: UnboundedReceiver<Key>,
    call: tokio::sync::mpsc::UnboundedSender<Key>,
}

const WANT: Want = Want {
    newer_than: None,
    outlives: None,
    expires_at: None,
    insisted_since: None,
    patience: Duration::from_secs(10),
};

fn ask(key: &str) -> Ask {
    let endpoint = Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap();
    Ask { endpoint, failover: vec![], credential: Credential::ApiKey(key.into()), profile: None, account_id: None }
}

fn key(name: &str) -> Key {
    Key::new("a", name)
}

fn expiring() -> KeyHealth {
    KeyHealth { expires_at: Some(Timestamp::from_second(1_900_000_000).unwrap()), ..KeyHealth::default() }
}

/// With an IamToken for each of these names that follows the key.
fn begin(says: impl IntoIterator<Item = Says>, followers: &[&str]) -> Scene {
    let wall = Arc::new(Wall(tokio::time::Instant::now()));
    let iam = Arc::new(Iam {
        wall: Arc::clone(&wall),
        says: Mutex::new(says.into_iter().collect()),
        fails: AtomicUsize::default(),
        exchanges: AtomicUsize::default(),
        questions: Arc::default(),
    });
    let sharing = Sharing::new(Arc::clone(&iam) as Arc<dyn Exchange>, wall, Metrics::default());
    let (call, calls) = unbounded_channel();
    for name in followers {
        sharing.follow(ask("FAKE-key").id(), &key(name), &call);
    }
    Scene { sharing, iam, calls, call }
}

impl Scene {
    async fn exchange(&self) {
        let granted =
            self.sharing.ask(ask("FAKE-key"), Want { newer_than: Some(self.iam.wall.now()), ..WANT }, None).await;
        assert!(matches!(granted, Outcome::Granted(_)), "{granted:?}");
    }

    /// Lets the answers come.
    async fn a_moment(&self) {
        for _ in 0..4 {
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn known(&self) -> Known {
        self.sharing.known_of_key(ask("FAKE-key").id())
    }

    fn questions(&self) -> usize {
        self.iam.questions.load(Ordering::Relaxed)
    }

    fn called(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).map(|key| key.name.to_string()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_does_not_wait_for_the_answer_which_all_are_told_of() {
    let mut scene = begin([Says::Health(expiring())], &["one", "two"]);
    let began = tokio::time::Instant::now();
    scene.exchange().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(scene.known(), Known::NotYet);
    assert_eq!(scene.called(), ["one", "two"], "called for the token");
    scene.a_moment().await;
    assert_eq!(scene.known(), Known::Told(expiring()));
    assert_eq!(scene.called(), ["one", "two"], "called for the answer");
}

#[tokio::test(start_paused = true)]
async fn the_only_one_is_told_too() {
    let mut scene = begin([Says::Health(expiring())], &["one"]);
    scene.exchange().await;
    scene.a_moment().await;
    assert_eq!(scene.called(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn one_question_in_six_hours_and_no_word_where_nothing_is_new() {
    let mut scene = begin([Says::Health(expiring()); 9], &["one"]);
    for _ in 0..8 {
        scene.exchange().await;
        scene.a_moment().await;
        advance(Duration::from_mins(48)).await;
    }
    assert_eq!(scene.questions(), 1);
    assert_eq!(scene.called(), ["one"]);
    scene.exchange().await;
    scene.a_moment().await;
    assert_eq!((scene.questions(), scene.called().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_at_risk_is_asked_about_with_each_exchange() {
    let disabled = KeyHealth { disabled: true, ..KeyHealth::default() };
    let says = [Says::Health(disabled), Says::Health(disabled), Says::Health(KeyHealth::default())];
    let mut scene = begin(says, &["one"]);
    for _ in 0..4 {
        scene.exchange().await;
        scene.a_moment().await;
        advance(Duration::from_mins(48)).await;
    }
    assert_eq!(scene.questions(), 3);
    assert_eq!(scene.known(), Known::Told(KeyHealth::default()));
    assert_eq!(scene.called(), ["one", "one"], "for the first answer and the last");
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_no_failure_and_is_not_asked_for_again_at_once() {
    for says in [Says::Nothing, Says::NoQuestion] {
        let scene = begin([says], &["one"]);
        scene.exchange().await;
        scene.a_moment().await;
        assert_eq!(scene.known(), Known::Untold);
        advance(Duration::from_mins(48)).await;
        scene.exchange().await;
        scene.a_moment().await;
        assert_eq!(scene.questions(), usize::from(matches!(says, Says::Nothing)));
        assert_eq!(scene.iam.exchanges.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_dies_harms_nobody() {
    let scene = begin([Says::Panics, Says::Health(expiring())], &["one"]);
    scene.exchange().await;
    scene.a_moment().await;
    assert_eq!(scene.known(), Known::NotYet);
    scene.exchange().await;
    scene.a_moment().await;
    assert_eq!(scene.known(), Known::Told(expiring()));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_asked() {
    let scene = begin([Says::Health(expiring())], &["one"]);
    scene.iam.fails.store(1, Ordering::Relaxed);
    assert!(matches!(scene.sharing.ask(ask("FAKE-key"), WANT, None).await, Outcome::Refused(_)));
    scene.a_moment().await;
    assert_eq!((scene.questions(), scene.known()), (0, Known::NotYet));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_follows_any_longer_is_forgotten() {
    let scene = begin([Says::Health(expiring()); 2], &["one", "two"]);
    scene.exchange().await;
    scene.a_moment().await;
    let id = ask("FAKE-key").id();
    scene.sharing.unfollow(id, &key("one"));
    assert_eq!(scene.known(), Known::Told(expiring()));
    scene.sharing.unfollow(id, &key("two"));
    assert_eq!(scene.known(), Known::NotYet);
    scene.exchange().await;
    scene.a_moment().await;
    assert!(scene.sharing.keys.all.lock().unwrap().is_empty(), "an answer that comes later is not kept");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_questions_run_at_once_and_the_rest_may_be_asked_later() {
    let scene = begin([Says::Hangs; AT_ONCE], &[]);
    for number in 0..=AT_ONCE {
        let ask = ask(&format!("FAKE-{number}"));
        scene.sharing.follow(ask.id(), &key("one"), &scene.call);
        scene.sharing.ask(ask, WANT, None).await;
    }
    scene.a_moment().await;
    assert_eq!(scene.questions(), AT_ONCE);
    let late = ask(&format!("FAKE-{AT_ONCE}")).id();
    assert!(scene.sharing.is_curious(late), "the one without a place");
    assert_eq!(scene.iam.exchanges.load(Ordering::Relaxed), AT_ONCE + 1);
}
