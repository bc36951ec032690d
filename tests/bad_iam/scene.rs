//! IamTokens with a key each, what is wrong with them, and how it is cured.

use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};
use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, REFRESH_REQUESTED};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use testkit::fake_iam::{Call, DEFAULT_ACCOUNT, Fault, Times};

use crate::harness::{World, condition};
use crate::history::{History, Seen};
use crate::rows::Row;

/// An IamToken, the Secret `<name>-key` with its key, and what is wrong with it.
pub struct Case {
    pub row: Row,
    pub key: String,
    /// What it is cured with where it takes another key.
    pub new_key: String,
}

/// How a case is cured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// The cause goes away, and the next try is made when it is time.
    ByItself,
    /// The cause goes away, and a person asks for a refresh.
    Requested,
    /// The cause stays, but the Secret gets another key.
    NewKey,
}

// === impl Cure ===

impl Cure {
    /// Each that helps without a wait of a minute, by turns.
    pub fn in_turn(row: &Row, number: usize) -> Self {
        let choice = match (row.fixed, row.soon) {
            (true, _) => [Self::ByItself, Self::ByItself],
            (_, true) => [Self::ByItself, Self::Requested],
            (_, false) => [Self::NewKey, Self::Requested],
        };
        choice[number % 2]
    }
}

// === impl Case ===

impl Case {
    /// The fault waits for the call that follows those of `before`.
    pub async fn put(world: &World, row: Row, before: Option<Fault>, endpoint: &str) -> Self {
        let name = &row.name;
        let [key, new_key] =
            ["", "-new"].map(|end| world.iam.service_id_key(&format!("{}-{name}{end}", world.namespace)));
        if let Some(fault) = before {
            world.iam.fault(&key, fault, Times::Count(1));
        }
        world.iam.fault(&key, row.fault.clone(), Times::Forever);
        world.put_key(&format!("{name}-key"), &key).await;
        let source = json!({"name": format!("{name}-key")});
        let spec = json!({"apiKeySecretRef": source, "accountId": DEFAULT_ACCOUNT, "endpoint": endpoint});
        world.put_token(name, &spec).await;
        Self { row, key, new_key }
    }

    pub fn name(&self) -> &str {
        &self.row.name
    }

    /// Whether the status says what is wrong; `ready`: and that there is a token nevertheless.
    pub fn is_told(&self, seen: &Seen, ready: bool) -> bool {
        let reason = if ready { "RefreshFailing" } else { self.row.reason };
        seen.is_ready() == ready
            && seen.ready().is_some_and(|ready| ready.reason == reason)
            && seen.trouble().is_some_and(|trouble| trouble.reason == self.row.reason)
    }

    /// Whether it is told in the right place and in words that help.
    pub fn check(&self, seen: &Seen) -> Result<(), String> {
        let other = if self.row.type_ == CONDITION_STALLED { CONDITION_RECONCILING } else { CONDITION_STALLED };
        let types = [self.row.type_, other].map(|type_| condition(&seen.status, type_).is_some());
        ensure(types == [true, false], || format!("should be {} only", self.row.type_))?;
        for condition in [condition(&seen.status, self.row.type_), condition(&seen.status, CONDITION_READY)] {
            self.check_words(condition.ok_or("no such condition")?)?;
        }
        Ok(())
    }

    fn check_words(&self, condition: &Condition) -> Result<(), String> {
        let message = &condition.message;
        for text in &self.row.says {
            ensure(message.contains(text), || format!("{message:?} should hold {text:?}"))?;
        }
        ensure(message.contains("IAM at http://127.0.0.1:"), || format!("{message:?} should name the endpoint"))?;
        let shown = message.contains(" (IAM request id ");
        ensure(shown || !self.row.answered, || format!("{message:?} should hold the request id"))?;
        let leaks = message.contains(&self.key) || message.contains("errorDetails") || message.contains("BXNIM0102E");
        ensure(!leaks && message.len() < 500, || "the message holds too much".to_owned())?;
        ensure(condition.observed_generation == Some(1), || "of which generation?".to_owned())
    }

    pub async fn cure(&self, world: &World, cure: Cure) {
        if cure != Cure::NewKey {
            world.iam.clear_faults_of(&self.key);
        }
        match cure {
            Cure::ByItself => {}
            Cure::Requested => world.annotate(self.name(), REFRESH_REQUESTED, "cure").await,
            Cure::NewKey => world.put_key(&format!("{}-key", self.name()), &self.new_key).await,
        }
    }

    /// Whether the target now holds a good token, and nothing else is said; `from` is where the history began.
    pub async fn check_cured(&self, world: &World, history: &History, from: usize, cure: Cure) -> Result<(), String> {
        let echo = (cure == Cure::Requested).then_some("cure");
        let is = |seen: &Seen| {
            let valid = seen.ready().is_some_and(|ready| ready.status == "True" && ready.reason == "TokenValid");
            valid && seen.trouble().is_none() && seen.status.last_handled_refresh.as_deref() == echo
        };
        history.first(self.name(), from, &format!("cured ({cure:?})"), is).await?;
        let data = world.data(self.name()).await.ok_or("no target")?;
        check_target(world, &data)
    }

    pub fn calls(&self, world: &World) -> usize {
        world.iam.calls_of(&self.key).len()
    }
}

/// The three default keys with a token that is good now.
pub fn check_target(world: &World, data: &Value) -> Result<(), String> {
    let keys: Vec<&String> = data.as_object().ok_or("no data")?.keys().collect();
    ensure(keys == ["authorization", "expiration", "token"], || format!("keys {keys:?}"))?;
    let token = data["token"].as_str().unwrap_or_default();
    world.iam.verify(token).map_err(|error| format!("{error:?}"))?;
    ensure(data["authorization"] == format!("Bearer {token}"), || "authorization".to_owned())
}

pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Says what is wrong with each of them, so that one does not hide the next.
pub fn assert_all_good(cases: &[Case], results: Vec<Result<(), String>>) {
    let named = cases.iter().zip(results);
    let bad: Vec<_> = named.filter_map(|(case, result)| Some(format!("{}: {}", case.name(), result.err()?))).collect();
    assert!(bad.is_empty(), "{} of {} rows:\n{}", bad.len(), cases.len(), bad.join("\n"));
}

/// Runs them at once, for most of their time is waiting, and to the end, so that one does not hide the next.
pub async fn side_by_side<const N: usize>(scenes: [(&str, LocalBoxFuture<'_, ()>); N]) {
    let runs = scenes.map(|(name, scene)| {
        AssertUnwindSafe(scene).catch_unwind().map(move |result| result.err().map(|_| name.to_owned()))
    });
    let failed: Vec<String> = join_all(runs).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "these failed, each as said above: {failed:?}");
}

/// A server that nobody must call.
pub struct Trap(TcpListener);

impl Trap {
    pub fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    pub fn assert_untouched(&self) {
        assert!(self.0.accept().is_err(), "somebody has connected to where the redirect leads");
    }
}

/// The times between calls.
pub fn gaps(calls: &[Call]) -> Vec<Duration> {
    calls.windows(2).map(|two| two[1].at.duration_since(two[0].at).unwrap_or_default()).collect()
}
