//! Under virtual time: the clock goes with tokio's timers, unless a test moves it ahead of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::api::Identity;
use crate::core::asker::Profile;
use crate::core::endpoint::Endpoint;
use crate::core::failure::Verdict;
use crate::core::schedule::{Life, later};
use crate::iam::Credential;
use tokio::time::{advance, sleep};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

/// The wall clock.
struct Wall {
    began: tokio::time::Instant,
    ahead: AtomicI64,
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let began = Timestamp::from_second(1_800_000_000 + self.ahead.load(Ordering::Relaxed)).unwrap();
        later(began, self.began.elapsed())
    }
}

/// What IAM does next.
enum Next {
    Grants(Duration),
    Fails(Kind),
    Panics,
}

/// An IAM that answers each exchange a second later, as told; with tokens of an hour where it is told nothing.
struct Iam {
    wall: Arc<Wall>,
    takes: Duration,
    next: Mutex<VecDeque<Next>>,
    asked: Mutex<Vec<AskId>>,
}

impl Exchange for Iam {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        self.asked.lock().unwrap().push(ask.id());
        let next = self.next.lock().unwrap().pop_front().unwrap_or(Next::Grants(HOUR));
        let (since, number, takes) = (self.wall.now(), self.asked.lock().unwrap().len(), self.takes);
        let endpoint = ask.endpoint.to_string();
        async move {
            sleep(takes).await;
            match next {
                Next::Grants(lasts) => Ok(Grant {
                    token: format!("FAKE-token-{number}").into(),
                    life: Life { since, lasts },
                    skew: 0,
                    identity: Identity::default(),
                }),
                Next::Fails(kind) => Err(Failure { kind, endpoint, status: None, code: None, request_id: None }),
                Next::Panics => panic!("as told"),
            }
        }
        .boxed()
    }
}

fn begin(takes: Duration, next: impl IntoIterator<Item = Next>) -> (Sharing, Arc<Iam>) {
    let wall = Arc::new(Wall { began: tokio::time::Instant::now(), ahead: AtomicI64::new(0) });
    let next = Mutex::new(next.into_iter().collect());
    let iam = Arc::new(Iam { wall: Arc::clone(&wall), takes, next, asked: Mutex::default() });
    (Sharing::new(Arc::clone(&iam) as Arc<dyn Exchange>, wall, Metrics::default()), iam)
}

impl Iam {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn now(&self) -> Timestamp {
        self.wall.now()
    }
}

fn ask(endpoint: &str, key: &str, account: Option<&str>) -> Ask {
    let endpoint = Endpoint::parse(endpoint, false).unwrap();
    let (credential, account_id) = (Credential::ApiKey(key.into()), account.map(str::to_owned));
    Ask { endpoint, failover: vec![], credential, profile: None, account_id }
}

fn of_service_account(name: &str, token: &str) -> Ask {
    let who = Key::new("", name);
    Ask { credential: Credential::ServiceAccount { who, token: token.into() }, ..usual() }
}

fn usual() -> Ask {
    ask("https://iam.cloud.ibm.com", "FAKE-key", None)
}

const WANT: Want = Want {
    newer_than: None,
    outlives: None,
    expires_at: None,
    insisted_since: None,
    patience: Duration::from_secs(10),
};

#[track_caller]
fn granted(outcome: Outcome) -> String {
    use secrecy::ExposeSecret as _;
    match outcome {
        Outcome::Granted(grant) => grant.token.expose_secret().to_owned(),
        other => panic!("no token: {other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Outcome) -> Refused {
    match outcome {
        Outcome::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_share_one_exchange() {
    let (sharing, iam) = begin(SECOND, []);
    let outcomes = futures::future::join_all((0..100).map(|_| sharing.ask(usual(), WANT, None))).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(granted).collect();
    assert_eq!(iam.asked(), 1);
    assert!(outcomes.iter().all(|token| token == "FAKE-token-1"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_it_runs_waits_for_it_whatever_is_wanted() {
    let (sharing, iam) = begin(SECOND * 4, []);
    let first = tokio::spawn({
        let sharing = sharing.clone();
        async move { sharing.ask(usual(), WANT, None).await }
    });
    sleep(SECOND * 3).await;
    let late = Want { newer_than: Some(iam.now()), insisted_since: Some(Timestamp::MAX), ..WANT };
    assert_eq!(granted(sharing.ask(usual(), late, None).await), "FAKE-token-1");
    assert_eq!(granted(first.await.unwrap()), "FAKE-token-1");
    assert_eq!(iam.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_at_hand_for_a_tenth_of_its_life_but_at_most_a_minute() {
    for (lasts, at_hand) in [(HOUR, 60), (Duration::from_mins(10), 60), (Duration::from_mins(5), 30), (SECOND * 20, 2)]
    {
        let (sharing, iam) = begin(SECOND, [Next::Grants(lasts)]);
        assert_eq!(sharing.at_hand(usual().id()), None);
        let since = iam.now();
        granted(sharing.ask(usual(), WANT, None).await);
        sleep((SECOND * at_hand).saturating_sub(SECOND / 100)).await;
        assert_eq!(sharing.at_hand(usual().id()), Some(since), "{lasts:?}");
        assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-1");
        sleep(SECOND / 50).await;
        assert_eq!(sharing.at_hand(usual().id()), None, "{lasts:?}");
        assert!(sharing.slots().is_empty(), "nothing is kept");
        assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_at_hand_will_do_only_if_it_is_newer() {
    let (sharing, iam) = begin(SECOND, []);
    let since = iam.now();
    granted(sharing.ask(usual(), WANT, None).await);
    let older = Want { newer_than: Some(since), ..WANT };
    let newer = Want { newer_than: Timestamp::from_second(since.as_second() - 1).ok(), ..WANT };
    assert_eq!(granted(sharing.ask(usual(), newer, None).await), "FAKE-token-1");
    assert_eq!(granted(sharing.ask(usual(), older, None).await), "FAKE-token-2");
    assert_eq!(iam.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_replaced_is_put_away_without_its_successor() {
    let (sharing, iam) = begin(SECOND, []);
    granted(sharing.ask(usual(), WANT, None).await);
    sleep(SECOND * 50).await;
    let since = iam.now();
    granted(sharing.ask(usual(), Want { newer_than: Some(since - SECOND), ..WANT }, None).await);
    sleep(SECOND * 30).await;
    assert_eq!(
        sharing.at_hand(usual().id()),
        Some(since),
        "the timer of the first has run out, not that of the second"
    );
}

/// Timers stand still while a machine is suspended; the wall clock does not.
#[tokio::test(start_paused = true)]
async fn a_token_at_hand_that_has_expired_meanwhile_is_given_to_nobody() {
    let (sharing, iam) = begin(SECOND, []);
    granted(sharing.ask(usual(), WANT, None).await);
    iam.wall.ahead.store(2 * 3600, Ordering::Relaxed);
    assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-2");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_held_until_its_time() {
    let (sharing, iam) = begin(SECOND, [Next::Fails(Kind::Unreachable(Cause::Timeout))]);
    let failures = futures::future::join_all((0..9).map(|_| sharing.ask(usual(), WANT, None))).await;
    let failures: Vec<_> = failures.into_iter().map(refused).collect();
    assert!(failures.iter().all(|failure| *failure == failures[0]));
    assert_eq!((failures[0].attempts, failures[0].failed_at, iam.asked()), (1, iam.now(), 1));
    assert_eq!(failures[0].jitter, usual().jitter());
    let again = retry_at(Retry::Soon, 1, failures[0].failed_at, None, usual().jitter()).unwrap();
    let wait = since(again, iam.now());
    advance(wait.saturating_sub(Duration::from_nanos(1))).await;
    assert_eq!(refused(sharing.ask(usual(), WANT, None).await), failures[0]);
    assert_eq!(sharing.cooling(usual().id(), WANT).as_ref(), Some(&failures[0]));
    advance(Duration::from_nanos(1)).await;
    assert_eq!(sharing.cooling(usual().id(), WANT), None);
    assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-2");
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_are_counted_whoever_asks_and_a_success_ends_the_count() {
    let fails = || Next::Fails(Kind::Rejected(Verdict::NotFound));
    let (sharing, _iam) = begin(SECOND, [fails(), fails(), fails(), Next::Grants(HOUR), fails()]);
    for attempts in [1, 2, 3] {
        assert_eq!(refused(sharing.ask(usual(), WANT, None).await).attempts, attempts);
        sleep(Duration::from_mins(20)).await;
    }
    granted(sharing.ask(usual(), WANT, None).await);
    sleep(HOUR).await;
    assert_eq!(refused(sharing.ask(usual(), WANT, None).await).attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_holds_for_each_as_long_as_its_own_token_allows() {
    let (sharing, iam) = begin(SECOND, [Next::Fails(Kind::Throttled(Some(SECOND * 100)))]);
    refused(sharing.ask(usual(), WANT, None).await);
    let dies_in = |seconds: u32| Want { expires_at: Some(later(iam.now(), SECOND * seconds)), ..WANT };
    let (outlives, dies) = (dies_in(160), dies_in(40));
    advance(SECOND * 50).await;
    assert!(sharing.cooling(usual().id(), outlives).is_some(), "its token outlives the wait by a minute");
    assert!(sharing.cooling(usual().id(), dies).is_none(), "a quarter of what was left has passed");
    assert!(sharing.cooling(usual().id(), WANT).is_none(), "there is no token to wait with");
    refused(sharing.ask(usual(), outlives, None).await);
    assert_eq!(iam.asked(), 1);
    granted(sharing.ask(usual(), dies, None).await);
    granted(sharing.ask(usual(), outlives, None).await);
    assert_eq!(iam.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_insists_breaks_through_after_a_moment_but_not_through_throttling_and_what_iam_asked_for() {
    let after = Some(SECOND * 60);
    for (kind, seconds, breaks) in [
        (Kind::Unreachable(Cause::Dns), 1, false),
        (Kind::Rejected(Verdict::NotFound), 4, false),
        (Kind::Rejected(Verdict::NotFound), 5, true),
        (Kind::Rejected(Verdict::Locked), 5, true),
        (Kind::Throttled(None), 1, false),
        (Kind::Throttled(after), 4, false),
        (Kind::Unavailable(after), 4, false),
    ] {
        let (sharing, iam) = begin(SECOND, [Next::Fails(kind)]);
        refused(sharing.ask(usual(), WANT, None).await);
        tokio::time::sleep(SECOND * seconds).await;
        let insists = Want { insisted_since: Some(Timestamp::MAX), ..WANT };
        assert_eq!(sharing.cooling(usual().id(), insists).is_none(), breaks, "{kind:?}");
        match sharing.ask(usual(), insists, None).await {
            Outcome::Granted(_) if breaks => assert_eq!(iam.asked(), 2),
            Outcome::Refused(_) if !breaks => assert_eq!(iam.asked(), 1),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_patience_leaves_the_exchange_to_the_next() {
    let (sharing, iam) = begin(SECOND * 15, []);
    let began = iam.now();
    assert!(matches!(sharing.ask(usual(), WANT, None).await, Outcome::Pending));
    assert_eq!(since(iam.now(), began), SECOND * 10);
    assert!(sharing.at_hand(usual().id()).is_none() && sharing.cooling(usual().id(), WANT).is_none());
    assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-1");
    assert_eq!((iam.asked(), since(iam.now(), began)), (1, SECOND * 15));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_nobody_waits_for_ends_and_its_result_is_at_hand() {
    let (sharing, iam) = begin(SECOND * 5, []);
    let gone = tokio::time::timeout(SECOND, sharing.ask(usual(), WANT, None)).await;
    assert!(gone.is_err());
    sleep(SECOND * 10).await;
    assert!(sharing.at_hand(usual().id()).is_some());
    assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-1");
    assert_eq!(iam.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shared_between_credentials_profiles_endpoints_and_accounts() {
    let all = [
        usual(),
        ask("https://iam.cloud.ibm.com", "FAKE-other", None),
        ask("https://private.iam.cloud.ibm.com", "FAKE-key", None),
        ask("https://iam.cloud.ibm.com", "FAKE-key", Some("0123")),
        ask("https://iam.cloud.ibm.com", "FAKE-key", Some("4567")),
        ask("https://iam.cloud.ibm.com", "FAKE", Some("-key")),
        Ask { profile: Some(Profile::Id("p".into())), ..usual() },
        Ask { profile: Some(Profile::Name("p".into())), ..usual() },
        of_service_account("FAKE-key", "FAKE-jwt"),
        of_service_account("other", "FAKE-jwt"),
    ];
    let (sharing, iam) = begin(SECOND, [Next::Fails(Kind::Rejected(Verdict::Disabled))]);
    let outcomes = futures::future::join_all(all.iter().map(|ask| sharing.ask(ask.clone(), WANT, None))).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Refused(_))).count(), 1);
    let mut ids = iam.asked.lock().unwrap().clone();
    assert_eq!(ids, all.iter().map(Ask::id).collect::<Vec<_>>());
    ids.sort_by_key(|id| id.0);
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    let [first, second] = ["FAKE-jwt-1", "FAKE-jwt-2"].map(|token| of_service_account("sa", token));
    assert_eq!((first.id(), first.jitter()), (second.id(), second.jitter()), "one ServiceAccount, two of its tokens");
    assert_eq!(usual().id(), ask("https://IAM.cloud.ibm.com/identity/token", "FAKE-key", None).id(), "however written");
}

#[tokio::test(start_paused = true)]
async fn refreshes_of_one_key_spread_alike_whatever_else_is_asked() {
    let (key, other) = (usual().jitter(), ask("https://iam.cloud.ibm.com", "FAKE-other", None).jitter());
    assert_eq!(key, ask("https://private.iam.cloud.ibm.com", "FAKE-key", Some("0123")).jitter());
    assert_ne!(key, other);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_nobody_asks_about_is_forgotten() {
    let (sharing, _iam) = begin(SECOND, [Next::Fails(Kind::Rejected(Verdict::NotFound))]);
    refused(sharing.ask(usual(), WANT, None).await);
    sleep(FORGOTTEN + SECOND).await;
    granted(sharing.ask(ask("https://iam.cloud.ibm.com", "FAKE-other", None), WANT, None).await);
    assert_eq!(sharing.slots().len(), 1, "only what was asked for last");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_breaks_down_is_a_failure_like_others_and_the_next_is_made_at_its_time() {
    let (sharing, iam) = begin(SECOND, [Next::Panics]);
    let broken = refused(sharing.ask(usual(), WANT, None).await);
    assert_eq!((broken.failure.kind, broken.attempts), (Kind::Unreachable(Cause::Broken), 1));
    sleep(SECOND * 10).await;
    assert_eq!(granted(sharing.ask(usual(), WANT, None).await), "FAKE-token-2");
    assert_eq!(iam.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_who_follow_are_told_of_each_token_and_of_no_failure() {
    let (sharing, _iam) = begin(SECOND, [Next::Fails(Kind::Throttled(None))]);
    let (call, mut calls) = tokio::sync::mpsc::unbounded_channel::<Key>();
    let key = |namespace: &str, name: &str| Key::new(namespace, name);
    let (one, two, elsewhere) = (key("a", "one"), key("b", "two"), key("a", "elsewhere"));
    let other = ask("https://iam.cloud.ibm.com", "FAKE-other", None);
    let mut told = async |asked: &Ask| {
        drop(
            sharing
                .ask(
                    asked.clone(),
                    Want { insisted_since: Some(Timestamp::MAX), newer_than: Some(Timestamp::MAX), ..WANT },
                    None,
                )
                .await,
        );
        sleep(SECOND * 10).await;
        std::iter::from_fn(|| calls.try_recv().ok()).map(|key| key.to_string()).collect::<Vec<_>>()
    };
    sharing.follow(usual().id(), &one, &call);
    sharing.follow(usual().id(), &two, &call);
    sharing.follow(usual().id(), &two, &call);
    sharing.follow(other.id(), &elsewhere, &call);
    assert!(told(&usual()).await.is_empty(), "a failure");
    assert_eq!(told(&usual()).await, ["a/one", "b/two"]);
    assert!(told(&other).await.is_empty(), "nobody but the one who asked follows it");
    sharing.unfollow(usual().id(), &two);
    sharing.unfollow(usual().id(), &elsewhere);
    assert!(told(&usual()).await.is_empty(), "one alone is left");
    sharing.follow(other.id(), &two, &call);
    assert_eq!(told(&other).await, ["a/elsewhere", "b/two"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_token_at_hand_younger_nor_keeps_it_for_ever() {
    let (sharing, iam) = begin(SECOND, []);
    granted(sharing.ask(usual(), WANT, None).await);
    iam.wall.ahead.fetch_sub(7200, Ordering::Relaxed);
    assert_eq!(sharing.at_hand(usual().id()), None, "what is from the future is of no use");
    sharing.set_back(2 * HOUR);
    let began = crate::core::schedule::earlier(iam.now(), SECOND);
    assert_eq!(sharing.at_hand(usual().id()), Some(began), "moved along");
    granted(sharing.ask(usual(), WANT, None).await);
    assert_eq!(iam.asked(), 1);
    sleep(HOUR / 2).await;
    assert_eq!(sharing.at_hand(usual().id()), None, "put away in its time");
}
