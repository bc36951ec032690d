//! What befalls requests: everything that can go wrong between a replica and the API server, drawn from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::{Act, Delivery, Fate, Kind, Refusal, Request, Weather};
use super::dice::Dice;
use super::oracle::Oracle;
use super::scenario::Break;

/// How the API server fares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Well,
    /// With this share of requests failing.
    Flaky(f64),
    Down,
    Hanging,
}

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 32);

/// No watch is silent for longer: kube begins it anew (kube-runtime, `watcher.rs`: after 295 s).
const SILENCE: Duration = Duration::from_mins(5);

/// Shared by all replicas.
pub struct Sky {
    oracle: Arc<Oracle>,
    state: Arc<Mutex<State>>,
    broken: Option<Break>,
}

struct State {
    dice: Dice,
    mood: Mood,
    drizzle: f64,
    frozen: BTreeMap<String, Instant>,
    cut: BTreeMap<String, Instant>,
    dead: BTreeSet<String>,
    kill_next: Option<KillAt>,
    /// Somebody writes the next target in the moment in which a replica does.
    racer: Option<Racer>,
    /// Watches opened before this moment end.
    cut_watches: bool,
    requests: u64,
    faults: u64,
}

/// Writes the Secret of this namespace and name.
pub type Racer = Box<dyn FnOnce(&str, &str) + Send>;

/// Where in its next request a replica dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillAt {
    Arrival,
    Answer,
}

impl Sky {
    pub fn new(oracle: Arc<Oracle>, dice: Dice, drizzle: f64, broken: Option<Break>) -> Arc<Self> {
        let (frozen, cut, dead) = Default::default();
        let state = State {
            dice,
            mood: Mood::Well,
            drizzle,
            frozen,
            cut,
            dead,
            kill_next: None,
            racer: None,
            cut_watches: false,
            requests: 0,
            faults: 0,
        };
        Arc::new(Self { oracle, state: Arc::new(Mutex::new(state)), broken })
    }

    pub fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub fn mood(&self) -> Mood {
        self.state.lock().unwrap().mood
    }

    pub fn set_drizzle(&self, drizzle: f64) {
        self.state.lock().unwrap().drizzle = drizzle;
    }

    /// A replica is stopped for so long, as the whole world is for it.
    pub fn freeze(&self, who: &str, lasts: Duration) {
        self.state.lock().unwrap().frozen.insert(who.to_owned(), Instant::now() + lasts);
    }

    /// A replica cannot reach the API server for so long.
    pub fn cut(&self, who: &str, lasts: Duration) {
        self.state.lock().unwrap().cut.insert(who.to_owned(), Instant::now() + lasts);
    }

    pub fn kill(&self, who: &str) {
        self.state.lock().unwrap().dead.insert(who.to_owned());
    }

    /// The next replica that makes a request dies in it.
    pub fn kill_next(&self, at: KillAt) {
        self.state.lock().unwrap().kill_next = Some(at);
    }

    /// The next target that a replica writes is written by `racer` just before; it gets its namespace and name.
    pub fn race_next(&self, racer: Racer) {
        self.state.lock().unwrap().racer = Some(racer);
    }

    pub fn is_dead(&self, who: &str) -> bool {
        self.state.lock().unwrap().dead.contains(who)
    }

    /// Whether it is neither dead nor frozen nor cut off.
    pub fn is_well(&self, who: &str) -> bool {
        let (state, now) = (self.state.lock().unwrap(), Instant::now());
        let past = |all: &BTreeMap<String, Instant>| all.get(who).is_none_or(|until| *until <= now);
        !state.dead.contains(who) && past(&state.frozen) && past(&state.cut)
    }

    /// All watches end at their next event.
    pub fn cut_watches(&self, cut: bool) {
        self.state.lock().unwrap().cut_watches = cut;
    }

    pub fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    pub fn faults(&self) -> u64 {
        self.state.lock().unwrap().faults
    }

    /// Resolves when the replica is not frozen; never where it is dead.
    pub fn gate(&self, who: &str) -> BoxFuture<'static, ()> {
        let (state, who) = (Arc::clone(&self.state), who.to_owned());
        async move {
            loop {
                let until = {
                    let state = state.lock().unwrap();
                    if state.dead.contains(&who) { None } else { Some(state.frozen.get(&who).copied()) }
                };
                match until {
                    None => std::future::pending().await,
                    Some(Some(until)) if until > Instant::now() => tokio::time::sleep_until(until).await,
                    Some(_) => return,
                }
            }
        }
        .boxed()
    }
}

impl State {
    fn fate(&mut self, who: &str, request: &Request) -> Fate {
        self.requests += 1;
        let now = Instant::now();
        let frozen = self.frozen.get(who).map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let usual = |dice: &mut Dice| Duration::from_millis(dice.between(0, 1) * dice.between(1, 20));
        let mut fate = Fate { before: frozen + usual(&mut self.dice), act: Act::Take, after: usual(&mut self.dice) };
        if self.cut.get(who).is_some_and(|until| *until > now) {
            fate.act = self.broken();
        } else {
            match self.mood {
                Mood::Down => fate.act = Act::Refuse(Refusal::Broken),
                Mood::Hanging => fate.act = Act::Hang { take: false },
                Mood::Flaky(share) if self.dice.chance(share) => self.spoil(&mut fate),
                _ if self.dice.chance(self.drizzle) => self.spoil(&mut fate),
                _ => {}
            }
        }
        let watch = request.is_watch();
        if matches!(fate.act, Act::Hang { .. }) && watch {
            fate.act = Act::Refuse(Refusal::Broken);
        }
        fate
    }

    fn broken(&mut self) -> Act {
        if self.dice.chance(0.5) { Act::Refuse(Refusal::Broken) } else { Act::Hang { take: false } }
    }

    fn spoil(&mut self, fate: &mut Fate) {
        let code = *self.dice.pick(&[403, 409, 410, 429, 500, 503]);
        let retry_after = self.dice.chance(0.3).then(|| self.dice.between(1, 5));
        let refusal = if self.dice.chance(0.3) { Refusal::Broken } else { Refusal::Status { code, retry_after } };
        match self.dice.below(6) {
            0 => fate.before += Duration::from_millis(self.dice.between(100, 20_000)),
            1 => fate.after += Duration::from_millis(self.dice.between(100, 20_000)),
            2 | 3 => fate.act = Act::Refuse(refusal),
            4 => fate.act = Act::TakeAndLose(refusal),
            _ => fate.act = Act::Hang { take: self.dice.chance(0.5) },
        }
    }
}

impl Weather for Sky {
    fn alter(&self, mut request: Request) -> Request {
        let applies = request.content_type.contains("apply-patch") && request.path.contains("/secrets/");
        match self.broken.filter(|_| applies) {
            Some(Break::Preconditions) => {
                let mut body: Value = serde_json::from_slice(&request.body).unwrap();
                let metadata = body["metadata"].as_object_mut().unwrap();
                metadata.remove("uid");
                metadata.remove("resourceVersion");
                request.body = body.to_string().into();
            }
            Some(Break::StatusFirst) => {
                let mut body: Value = serde_json::from_slice(&request.body).unwrap();
                let name = format!("{}-elsewhere", body["metadata"]["name"].as_str().unwrap());
                body["metadata"] = json!({"name": name});
                request.body = body.to_string().into();
                request.path += "-elsewhere";
            }
            _ => {}
        }
        request
    }

    fn request(&self, who: &str, request: &Request) -> Fate {
        self.oracle.sends(who, request);
        let mut fate = self.state.lock().unwrap().fate(who, request);
        let target = request.target().filter(|target| target.kind == Kind::Secret);
        if request.method == http::Method::PATCH
            && let Some((namespace, name)) = target.and_then(|target| target.namespace.zip(target.name))
            && let Some(racer) = self.state.lock().unwrap().racer.take()
        {
            fate.before += Duration::from_millis(10);
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            tokio::spawn(async move { racer(&namespace, &name) });
        }
        let spoilt = !matches!(fate.act, Act::Take) || fate.before + fate.after > Duration::from_secs(1);
        if spoilt {
            self.state.lock().unwrap().faults += 1;
            self.oracle.spoilt(who, request);
        }
        fate
    }

    fn arrives(&self, who: &str, _: &Request) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.dead.contains(who) {
            return false;
        }
        if state.kill_next == Some(KillAt::Arrival) {
            state.kill_next = None;
            state.dead.insert(who.to_owned());
            return false;
        }
        true
    }

    fn answered(&self, who: &str, _: &Request, _: u16) -> BoxFuture<'static, ()> {
        let mut state = self.state.lock().unwrap();
        if state.kill_next == Some(KillAt::Answer) {
            state.kill_next = None;
            state.dead.insert(who.to_owned());
        }
        let held = state.dead.contains(who) || state.frozen.contains_key(who);
        drop(state);
        if held { self.gate(who) } else { std::future::ready(()).boxed() }
    }

    fn event(&self, who: &str, kind: Kind, _: &str, _: &str) -> Delivery {
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        if self.broken == Some(Break::SecretEvents) && kind == Kind::Secret {
            return Delivery::Pass { delay: NEVER, twice: false };
        }
        if state.cut_watches || state.cut.get(who).is_some_and(|until| *until > now) {
            let broken = state.dice.chance(0.5);
            drop(state);
            self.oracle.touched_all();
            return Delivery::Cut { broken };
        }
        let frozen = state.frozen.get(who).map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let share = if let Mood::Flaky(share) = state.mood { share } else { state.drizzle };
        if state.mood == Mood::Down {
            return Delivery::Cut { broken: true };
        }
        if !state.dice.chance(share) {
            return Delivery::Pass { delay: frozen, twice: false };
        }
        state.faults += 1;
        let late = Duration::from_millis(state.dice.between(100, 30_000));
        let delivery = match state.dice.below(4) {
            3 => {
                drop(state);
                self.oracle.deaf(SILENCE);
                return Delivery::Silence;
            }
            0 => Delivery::Cut { broken: state.dice.chance(0.5) },
            1 => Delivery::Pass { delay: frozen + late, twice: false },
            _ => Delivery::Pass { delay: frozen, twice: true },
        };
        drop(state);
        self.oracle.touched_all();
        delivery
    }
}
