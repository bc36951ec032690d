//! Every status that the IamTokens of a namespace have had, in order, as a watch tells it: nothing is missed between two
//! looks, and waiting costs the API server nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED, IamToken, IamTokenStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{A_WHILE, World, condition};

/// What went by so far. Dropping it ends the watch.
pub struct History {
    seen: Arc<Mutex<BTreeMap<String, Vec<Seen>>>>,
    watch: JoinHandle<()>,
}

/// A status and when it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Timestamp,
    pub status: IamTokenStatus,
}

// === impl History ===

impl History {
    /// From now on; nothing that happens after the return is missed.
    pub async fn of(world: &World) -> Self {
        let seen = Arc::<Mutex<BTreeMap<String, Vec<Seen>>>>::default();
        let (listed, wait) = oneshot::channel();
        let (kept, tokens) = (Arc::clone(&seen), world.tokens());
        let watch = tokio::spawn(async move {
            let mut listed = Some(listed);
            let mut events = kube::runtime::watcher(tokens, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(token) | Event::InitApply(token)) => note(&kept, token),
                    Ok(Event::InitDone) => drop(listed.take().map(|listed| listed.send(()))),
                    _ => {}
                }
            }
        });
        wait.await.unwrap();
        Self { seen, watch }
    }

    /// All of one IamToken.
    pub fn all(&self, name: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// The first status from number `from` on that satisfies `is`, once there is one.
    pub async fn first(&self, name: &str, from: usize, what: &str, is: impl Fn(&Seen) -> bool) -> Result<Seen, String> {
        let begin = Instant::now();
        loop {
            let all = self.all(name);
            if let Some(found) = all.iter().skip(from).find(|seen| is(seen)) {
                return Ok(found.clone());
            }
            if begin.elapsed() > A_WHILE {
                let last = all.last().map_or_else(|| "no status".to_owned(), Seen::in_short);
                return Err(format!("not within {A_WHILE:?}: {what}; last seen: {last}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Once it is ready and nothing is wrong, from number `from` on.
    pub async fn ready(&self, name: &str, from: usize) -> Result<Seen, String> {
        self.first(name, from, "Ready and nothing else", |seen| seen.is_ready() && seen.trouble().is_none()).await
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn note(seen: &Mutex<BTreeMap<String, Vec<Seen>>>, token: IamToken) {
    let name = token.name_any();
    let Some(status) = token.status else { return };
    let mut seen = seen.lock().unwrap();
    let of_token = seen.entry(name).or_default();
    if of_token.last().is_none_or(|last| last.status != status) {
        of_token.push(Seen { at: Timestamp::now(), status });
    }
}

// === impl Seen ===

impl Seen {
    pub fn ready(&self) -> Option<&Condition> {
        condition(&self.status, CONDITION_READY)
    }

    pub fn is_ready(&self) -> bool {
        self.ready().is_some_and(|ready| ready.status == "True")
    }

    /// The condition that says what is wrong, if there is one.
    pub fn trouble(&self) -> Option<&Condition> {
        condition(&self.status, CONDITION_STALLED).or_else(|| condition(&self.status, CONDITION_RECONCILING))
    }

    /// Its conditions, one a line.
    pub fn in_short(&self) -> String {
        let line = |c: &Condition| format!("\n  {}={} {}: {}", c.type_, c.status, c.reason, c.message);
        self.status.conditions.iter().map(line).collect()
    }
}
