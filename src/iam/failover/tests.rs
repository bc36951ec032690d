//! Under virtual time.

use std::collections::HashMap;

use super::*;
use crate::api::Identity;
use crate::clock::SystemClock;
use crate::core::failure::{Flaw, Verdict};
use crate::core::schedule::Life;
use crate::iam::Credential;
use k8s_openapi::jiff::Timestamp;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const A: &str = "https://a";
const B: &str = "https://b";
const C: &str = "https://c";

/// What an endpoint does.
#[derive(Clone, Copy)]
enum Does {
    Grants,
    Fails(Kind),
    Hangs,
}

/// Several endpoints; those that nothing is said of grant.
#[derive(Default)]
struct Iam {
    does: Mutex<HashMap<&'static str, Does>>,
    asked: Mutex<Vec<String>>,
}

impl Iam {
    fn set(&self, endpoint: &'static str, does: Does) {
        self.does.lock().unwrap().insert(endpoint, does);
    }

    /// Who was asked since this was asked last.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Exchange for Iam {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        let endpoint = ask.endpoint.as_str();
        let does = self.does.lock().unwrap().get(endpoint).copied().unwrap_or(Does::Grants);
        self.asked.lock().unwrap().push(endpoint.to_owned());
        async move {
            match does {
                Does::Grants => Ok(Grant {
                    token: format!("FAKE-token-of-{}", ask.endpoint).into(),
                    life: Life { since: Timestamp::UNIX_EPOCH, lasts: Duration::from_hours(1) },
                    skew: 0,
                    identity: Identity::default(),
                }),
                Does::Fails(kind) => Err(Failure::unanswered(kind, &ask.endpoint)),
                Does::Hangs => std::future::pending().await,
            }
        }
        .boxed()
    }
}

fn begin() -> (Failover, Arc<Iam>, Metrics) {
    let (iam, metrics) = (Arc::new(Iam::default()), Metrics::default());
    (Failover::new(iam.clone(), Arc::new(SystemClock), metrics.clone()), iam, metrics)
}

fn ask(endpoint: &str, failover: &[&str]) -> Ask {
    let parse = |text: &str| Endpoint::parse(text, false).unwrap();
    Ask {
        endpoint: parse(endpoint),
        failover: failover.iter().map(|text| parse(text)).collect(),
        credential: Credential::ApiKey("FAKE-key".into()),
        profile: None,
        account_id: None,
    }
}

const REFUSED: Does = Does::Fails(Kind::Unreachable(Cause::Refused));

#[tokio::test(start_paused = true)]
async fn while_the_first_one_is_well_no_other_is_asked() {
    let (failover, iam, _) = begin();
    for _ in 0..3 {
        failover.exchange(ask(A, &[B, C])).await.unwrap();
        assert_eq!(iam.asked(), [A]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_an_endpoint_leads_to_the_next_one_in_the_same_try_and_none_of_a_credential_does() {
    for kind in [
        Kind::Unreachable(Cause::Dns),
        Kind::Unreachable(Cause::Refused),
        Kind::Unreachable(Cause::Timeout),
        Kind::Unreachable(Cause::Broken),
        Kind::Unreachable(Cause::ProxyRefused),
        Kind::Untrusted,
        Kind::Unavailable(None),
        Kind::Redirected,
        Kind::Unusable(Flaw::NotJson),
        Kind::Unusable(Flaw::TooLarge),
    ] {
        let (failover, iam, _) = begin();
        iam.set(A, Does::Fails(kind));
        assert!(failover.exchange(ask(A, &[B, C])).await.is_ok(), "{kind:?}");
        assert_eq!(iam.asked(), [A, B], "{kind:?}");
    }
    for kind in [
        Kind::Throttled(None),
        Kind::Rejected(Verdict::NotFound),
        Kind::Rejected(Verdict::Other),
        Kind::RequestRejected,
        Kind::OtherAccount,
        Kind::Unusable(Flaw::NoToken),
    ] {
        let (failover, iam, _) = begin();
        iam.set(A, Does::Fails(kind));
        assert_eq!(failover.exchange(ask(A, &[B, C])).await.unwrap_err().kind, kind);
        assert_eq!(iam.asked(), [A], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_names_no_other_goes_nowhere_else() {
    let (failover, iam, _) = begin();
    iam.set(A, REFUSED);
    assert!(failover.exchange(ask(A, &[])).await.is_err());
    assert_eq!(iam.asked(), [A]);
    failover.exchange(ask(A, &[B])).await.unwrap();
    assert!(failover.exchange(ask(A, &[])).await.is_err());
    assert_eq!(iam.asked(), [A, B, A], "not even while it is known to fail");
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_is_passed_over_until_it_has_recovered() {
    let (failover, iam, _) = begin();
    iam.set(A, REFUSED);
    failover.exchange(ask(A, &[B])).await.unwrap();
    assert_eq!(iam.asked(), [A, B]);
    advance(29 * SECOND).await;
    failover.exchange(ask(A, &[B])).await.unwrap();
    assert_eq!(iam.asked(), [B], "no request is lost on it");
    advance(2 * SECOND).await;
    failover.exchange(ask(A, &[B])).await.unwrap();
    assert_eq!(iam.asked(), [A, B]);
    iam.set(A, Does::Grants);
    advance(31 * SECOND).await;
    for _ in 0..2 {
        failover.exchange(ask(A, &[B])).await.unwrap();
        assert_eq!(iam.asked(), [A]);
    }
}

#[tokio::test(start_paused = true)]
async fn all_together_take_no_longer_than_one_exchange() {
    let (failover, iam, _) = begin();
    iam.set(A, Does::Hangs);
    let begun = Instant::now();
    failover.exchange(ask(A, &[B, C])).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5);
    for endpoint in [B, C] {
        iam.set(endpoint, Does::Hangs);
    }
    iam.asked();
    let begun = Instant::now();
    let failure = failover.exchange(ask(A, &[B, C])).await.unwrap_err();
    assert_eq!((begun.elapsed().as_secs(), failure.kind), (15, Kind::Unreachable(Cause::Timeout)));
    assert_eq!(iam.asked(), [B, C, A], "the one that is known to hang comes last");
}

#[tokio::test(start_paused = true)]
async fn the_message_names_all_that_were_tried_and_is_the_same_in_whichever_order() {
    let (failover, iam, _) = begin();
    iam.set(A, REFUSED);
    iam.set(B, Does::Fails(Kind::Untrusted));
    let failure = failover.exchange(ask(A, &[B])).await.unwrap_err();
    let says = "IAM at https://a (and at https://b: its certificate is not trusted): it refuses connections. Check ";
    assert!(failure.to_string().starts_with(says), "{failure}");
    advance(29 * SECOND).await;
    iam.set(C, REFUSED);
    let _ = failover.exchange(ask(B, &[C])).await;
    advance(2 * SECOND).await;
    iam.asked();
    assert_eq!(failover.exchange(ask(A, &[B])).await.unwrap_err(), failure);
    assert_eq!(iam.asked(), [A, B]);
}

#[tokio::test(start_paused = true)]
async fn what_the_second_one_says_of_a_credential_holds_and_names_the_first_one() {
    let (failover, iam, _) = begin();
    iam.set(A, REFUSED);
    iam.set(B, Does::Fails(Kind::Rejected(Verdict::NotFound)));
    let failure = failover.exchange(ask(A, &[B, C])).await.unwrap_err();
    let says = "IAM at https://b (and at https://a: it refuses connections): the API key could not be found. ";
    assert!(failure.to_string().starts_with(says), "{failure}");
    assert_eq!(iam.asked(), [A, B]);
}

#[tokio::test(start_paused = true)]
async fn each_exchange_is_counted_where_it_was_asked_for() {
    let (failover, iam, metrics) = begin();
    iam.set(A, Does::Hangs);
    failover.exchange(ask(A, &[B])).await.unwrap();
    failover.exchange(ask(C, &[])).await.unwrap();
    let text = metrics.text().unwrap();
    for (endpoint, result) in [(A, "IamUnreachable"), (B, "ok"), (C, "ok")] {
        let line = format!("exchanges_total{{endpoint=\"{endpoint}\",result=\"{result}\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn asks_that_may_go_to_other_endpoints_are_other_asks() {
    let ids = [ask(A, &[]).id(), ask(A, &[B]).id(), ask(A, &[B, C]).id(), ask(A, &[C, B]).id(), ask(B, &[A]).id()];
    for (place, id) in ids.iter().enumerate() {
        assert!(!ids[..place].contains(id), "{place}");
    }
    assert_eq!(ask(A, &[B]).jitter(), ask(A, &[]).jitter());
}
