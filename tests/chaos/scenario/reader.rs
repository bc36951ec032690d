//! A workload that reads every target all the time, and holds what it read last where nothing can be read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testkit::fake_iam::{FakeIam, TokenError};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How often it reads all of them.
const EVERY: Duration = Duration::from_millis(50);
/// A read that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any of these tokens lives.
const LIMIT: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many bad reads are described.
const DESCRIBED: usize = 5;

/// A target, and whose tokens it must hold.
#[derive(Clone)]
pub struct Target {
    pub name: String,
    pub iam_id: String,
}

/// What was read so far.
#[derive(Clone, Default)]
pub struct Tally {
    pub reads: u64,
    /// Reads without an answer; what was held then was looked at instead.
    pub unread: u64,
    /// Reads of an expired token.
    pub expired: u64,
    /// Reads of anything else that is no token of the right credential.
    pub wrong: u64,
    /// The first of them, in words.
    pub described: Vec<String>,
    /// The least time that a token had left when it was read or held, in seconds.
    pub least_left: Option<f64>,
    /// The longest time for which one token stayed.
    pub longest_stay: Duration,
    held: HashMap<String, Held>,
}

/// A token that was good when it was read first.
#[derive(Clone)]
struct Held {
    token: String,
    /// Seconds since 1970.
    expires: f64,
    since: Instant,
}

/// Reads until it is dropped.
pub struct Reader {
    tally: Arc<Mutex<Tally>>,
    targets: usize,
    task: JoinHandle<()>,
}

// === impl Reader ===

impl Reader {
    /// The targets must be there.
    pub fn start(secrets: Api<Secret>, targets: Vec<Target>, iam: FakeIam) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let (kept, count) = (Arc::clone(&tally), targets.len());
        let task = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let read = async |target: &Target| {
                    let outcome = timeout(PATIENCE, secrets.get(&target.name)).await;
                    let mut tally = lock(&kept);
                    match outcome {
                        Ok(Ok(secret)) => tally.read(target, &secret, &iam),
                        Ok(Err(kube::Error::Api(status))) if status.code == 404 => tally.absent(target),
                        _ => tally.unread(target),
                    }
                };
                join_all(targets.iter().map(read)).await;
            }
        });
        Self { tally, targets: count, task }
    }

    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Returns once each target has been read.
    pub async fn has_read_all(&self) {
        while self.tally().held.len() < self.targets {
            sleep(EVERY).await;
        }
    }

    /// Waits until this holds of how many seconds the token has left that expires first.
    pub async fn left_until(&self, holds: impl Fn(f64) -> bool) {
        let begin = Instant::now();
        while !holds(self.left()) {
            assert!(begin.elapsed() < LIMIT, "{:.1} s are left, and that does not change", self.left());
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many seconds the token has left that expires first.
    pub fn left(&self) -> f64 {
        let tally = lock(&self.tally);
        let first = tally.held.values().map(|held| held.expires).fold(f64::INFINITY, f64::min);
        first - now()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Tally ===

impl Tally {
    fn read(&mut self, target: &Target, secret: &Secret, iam: &FakeIam) {
        self.reads += 1;
        let value = secret.data.as_ref().and_then(|data| data.get("token"));
        let token = value.map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default();
        if self.held.get(&target.name).is_some_and(|held| held.token == token) {
            return self.look_at(target);
        }
        match iam.verify(&token) {
            Ok(claims) if claims["iam_id"] == target.iam_id => {
                let expires = claims["exp"].as_f64().unwrap_or_default();
                let held = Held { token, expires, since: Instant::now() };
                if let Some(before) = self.held.insert(target.name.clone(), held) {
                    self.longest_stay = self.longest_stay.max(before.since.elapsed());
                }
                self.look_at(target);
            }
            Ok(claims) => self.wrong(target, &format!("holds a token of {}", claims["iam_id"])),
            Err(TokenError::Expired) => self.expired(target, "holds a token that had expired when it was read first"),
            Err(error) => self.wrong(target, &format!("holds no token: {error:?}")),
        }
    }

    fn unread(&mut self, target: &Target) {
        self.unread += 1;
        self.look_at(target);
    }

    fn absent(&mut self, target: &Target) {
        self.reads += 1;
        self.wrong(target, "is absent");
    }

    /// At the token that is held, which was good once.
    fn look_at(&mut self, target: &Target) {
        let Some(held) = self.held.get(&target.name) else { return };
        let left = held.expires - now();
        self.least_left = Some(self.least_left.map_or(left, |least| least.min(left)));
        if left <= 0.0 {
            self.expired(target, &format!("holds a token that expired {:.1} s ago", -left));
        }
    }

    fn expired(&mut self, target: &Target, what: &str) {
        self.expired += 1;
        self.describe(target, what);
    }

    fn wrong(&mut self, target: &Target, what: &str) {
        self.wrong += 1;
        self.describe(target, what);
    }

    fn describe(&mut self, target: &Target, what: &str) {
        if self.described.len() < DESCRIBED {
            self.described.push(format!("Secret {} {what}", target.name));
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
