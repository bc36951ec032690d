//! The oracle: it sees everything that happens and knows what must not. It keeps its own picture of the cluster, made
//! from the writes alone.

mod checks;
mod facts;
mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

pub use self::checks::EVERY;
pub use self::facts::{Secret, Token};
use self::journal::Journal;
use super::cluster::{Kind, Request, Write};
use super::iam::{Call, Iam, KeyState, Verdict};
use super::time::TrueTime;

/// A namespace and a name.
pub type Name = (String, String);

/// After the last thing that stood in the way, so long is given for all to be well again. Longest are a request that
/// hangs for its deadline of 15 s, twice, and a back-off of 36 s between; a list that hangs takes 30 s.
const RECOVERS_IN: Duration = Duration::from_secs(150);

/// A key that IAM refuses is tried again within 15 minutes and a fifth, once it has been refused often.
const REFUSED: Duration = Duration::from_mins(18);

/// A locked account is left alone for 30 minutes, or longer where it stays locked.
const LOCKED: Duration = Duration::from_mins(36);

/// A key that a source held once may be in the token until so long after: tokens live an hour, a watch may be broken for
/// minutes, and the machine may be suspended for hours meanwhile.
const OWN_KEY: Duration = Duration::from_hours(12);

/// Sees all, says what was violated.
pub struct Oracle {
    truth: TrueTime,
    iam: Arc<Iam>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: BTreeMap<Name, Watched>,
    secrets: BTreeMap<Name, Secret>,
    lease: Option<Leadership>,
    calls: BTreeMap<String, Calls>,
    /// Sends of replicas while another held the lease are violations; without a lease anybody may.
    elects: bool,
    /// Until then a replica may not see what others do. Its own tokens need no watch.
    deaf_until: Timestamp,
    /// Retry-After is measured by clocks that were not set.
    clocks_are_set: bool,
    keeps_exchanges: bool,
    violation: Option<String>,
    journal: Journal,
    counts: Counts,
    /// Each exchange: of which key, when.
    exchanges: Vec<(String, Timestamp)>,
}

/// What happened in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Exchanges that reached IAM.
    pub exchanges: u64,
    /// Writes of targets by the operator.
    pub targets: u64,
    /// Writes of statuses by the operator.
    pub statuses: u64,
    /// A digest of everything: equal runs have equal ones.
    pub digest: u64,
}

/// An `IamToken` and what is expected of it.
struct Watched {
    is: Token,
    /// The sources that it named, and until when: a replica whose watch is broken goes by the spec from before.
    sources: BTreeMap<String, Timestamp>,
    /// The keys that they held, and until when.
    keys: BTreeMap<String, Timestamp>,
    /// All must be well from then on.
    due_by: Timestamp,
}

struct Leadership {
    holder: String,
    term: u64,
    terms: BTreeMap<String, u64>,
    /// The term of the last writer of each object.
    writers: BTreeMap<(Kind, Name), u64>,
}

/// The exchanges of one key.
#[derive(Default)]
struct Calls {
    recent: Vec<Timestamp>,
    total: u64,
    /// As many as what happened justifies.
    justified: f64,
    /// Until when it may be left alone because it was refused, also for those who come later.
    left_alone_until: Option<Timestamp>,
    /// Until when each replica was asked to wait.
    not_before: BTreeMap<String, Timestamp>,
}

impl Oracle {
    pub fn new(truth: &TrueTime, iam: &Arc<Iam>, elects: bool, journal: usize) -> Arc<Self> {
        let state = State { elects, journal: Journal::new(journal), ..State::default() };
        Arc::new(Self { truth: truth.clone(), iam: Arc::clone(iam), state: Mutex::new(state) })
    }

    /// Something that a reader of the trace wants to know.
    pub fn note(&self, text: impl FnOnce() -> String) {
        let at = self.truth.now();
        self.state.lock().unwrap().journal.note(at, text);
    }

    /// Something got in everybody's way.
    pub fn touched_all(&self) {
        let now = self.truth.now();
        self.state.lock().unwrap().touch(now, RECOVERS_IN, |_, _| true);
    }

    /// A watch has gone silent, for so long at the most: what was in its way may stay so, and what others do from now on
    /// may not be seen. All that is well stays well.
    pub fn deaf(&self, lasts: Duration) {
        let now = self.truth.now();
        let mut state = self.state.lock().unwrap();
        state.journal.note(now, || "  a watch goes silent".to_owned());
        state.deaf_until = state.deaf_until.max(now + lasts);
        let until = state.deaf_until;
        state.touch(until, RECOVERS_IN, |_, token| token.due_by > now);
    }

    /// People got in the way of all in this namespace, which takes so long to mend beyond the usual.
    pub fn touched(&self, namespace: &str, beyond: Duration) {
        let mut state = self.state.lock().unwrap();
        let seen = state.seen(self.truth.now());
        state.touch(seen, RECOVERS_IN + beyond, |(there, _), _| there == namespace);
    }

    /// A source Secret was changed: whatever was refused before is tried at once.
    pub fn source_changed(&self, namespace: &str, source: &str) {
        let mut state = self.state.lock().unwrap();
        let seen = state.seen(self.truth.now());
        for ((there, _), token) in &mut state.tokens {
            if there == namespace && token.is.source == source {
                token.due_by = seen + RECOVERS_IN;
            }
        }
        state.touch(seen, RECOVERS_IN, |(there, _), token| there == namespace && token.is.source == source);
    }

    pub fn clocks_were_set(&self) {
        self.state.lock().unwrap().clocks_are_set = true;
        self.touched_all();
    }

    /// A replica sends a request.
    pub fn sends(&self, who: &str, request: &Request) {
        let at = self.truth.now();
        let Some(target) = request.target() else { return };
        if target.kind == Kind::Event {
            return; // kube's recorder names them by the real time.
        }
        let mut state = self.state.lock().unwrap();
        state.digest(&format!("{at} {who} {} {}", request.method, request.path));
        state.journal.note(at, || format!("  {who}: {} {}", request.method, request.path));
        let acts = matches!(target.kind, Kind::Secret | Kind::IamToken) && request.method != http::Method::GET;
        if !acts || !state.elects {
            return;
        }
        let holder = state.lease.as_ref().map(|lease| lease.holder.clone()).unwrap_or_default();
        if holder != who {
            let what = format!("{who} sends {} {} while {holder:?} holds the lease", request.method, request.path);
            state.violated(at, what);
        }
    }

    /// A request of a replica will not fare well.
    pub fn spoilt(&self, who: &str, request: &Request) {
        let target = request.target();
        self.note(|| format!("  {who}: {} {} goes wrong", request.method, request.path));
        match target {
            // A renewal that fails matters where the lease is lost, and that is seen; an event that is lost never.
            Some(target) if matches!(target.kind, Kind::Lease | Kind::Event) => {}
            Some(target) if target.name.is_some() => {
                let (now, namespace) = (self.truth.now(), target.namespace.unwrap_or_default());
                self.state.lock().unwrap().touch(now, RECOVERS_IN, |(there, _), _| there == namespace);
            }
            _ => self.touched_all(),
        }
    }

    /// A write took effect.
    pub fn wrote(&self, write: &Write<'_>) {
        let at = self.truth.now();
        let mut state = self.state.lock().unwrap();
        if write.kind == Kind::Event {
            return;
        }
        state.digest(&format!("{at} {} {:?} {:?} {}", write.who, write.verb, write.kind, write.name));
        if write.kind != Kind::Lease {
            state.journal.note(at, || {
                let part = if write.subresource_status { " status" } else { "" };
                format!("{} {:?} {:?}{part} {}/{}", write.who, write.verb, write.kind, write.namespace, write.name)
            });
        }
        state.wrote(write, at, &self.iam);
    }

    /// IAM was asked.
    pub fn called(&self, call: &Call<'_>) {
        let at = self.truth.now();
        let mut state = self.state.lock().unwrap();
        state.digest(&format!("{at} {} {} {:?}", call.who, call.key, call.answer));
        state.journal.note(at, || format!("{} exchanges {}: {:?}", call.who, call.key, call.answer));
        state.called(call, at, self.iam.lifetime());
    }

    /// Looks at everything; `well` says whether nothing that is known stands in anybody's way.
    pub fn check(&self, well: bool) {
        let at = self.truth.now();
        let mut state = self.state.lock().unwrap();
        if !well {
            state.touch(at, RECOVERS_IN, |_, _| true);
        }
        state.check(at, &self.iam);
    }

    /// At the end: since then, only what had to be refreshed was written. In the time of one lifetime that is each target
    /// twice at the most, and its status with it, beside those that share a key and have met a rhythm of two.
    pub fn quiet_since(&self, before: &Counts) {
        let at = self.truth.now();
        let mut state = self.state.lock().unwrap();
        let most = 3 * state.tokens.len() as u64;
        let after = state.counts;
        for (what, before, after) in
            [("target", before.targets, after.targets), ("status", before.statuses, after.statuses)]
        {
            if after - before > most {
                let what = format!("{} writes of a {what} in a quiet lifetime of {most} at most", after - before);
                state.violated(at, what);
            }
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.state.lock().unwrap().violation.clone()
    }

    pub fn counts(&self) -> Counts {
        self.state.lock().unwrap().counts
    }

    /// The last lines of what happened.
    pub fn trace(&self) -> String {
        self.state.lock().unwrap().journal.text()
    }

    /// From now on each exchange is kept.
    pub fn keep_exchanges(&self) {
        self.state.lock().unwrap().keeps_exchanges = true;
    }

    /// Those that were kept, which are forgotten.
    pub fn take_exchanges(&self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.state.lock().unwrap().exchanges)
    }

    pub fn tokens(&self) -> Vec<(Name, Token)> {
        let state = self.state.lock().unwrap();
        state.tokens.iter().map(|(name, token)| (name.clone(), token.is.clone())).collect()
    }

    pub fn secrets(&self) -> Vec<(Name, Secret)> {
        let state = self.state.lock().unwrap();
        state.secrets.iter().map(|(name, secret)| (name.clone(), secret.clone())).collect()
    }
}

impl State {
    fn violated(&mut self, at: Timestamp, what: impl Display) {
        self.journal.note(at, || format!("VIOLATION: {what}"));
        self.violation.get_or_insert(format!("{at}: {what}"));
    }

    /// When what others do now is seen at the latest.
    fn seen(&self, now: Timestamp) -> Timestamp {
        now.max(self.deaf_until)
    }

    fn touch(&mut self, now: Timestamp, recovers_in: Duration, is_it: impl Fn(&Name, &Watched) -> bool) {
        let mut keys = BTreeSet::new();
        for (name, token) in &mut self.tokens {
            if is_it(name, token) {
                token.due_by = token.due_by.max(now + recovers_in);
                keys.extend(token.keys.keys().cloned());
            }
        }
        for key in keys {
            self.calls.entry(key).or_default().justified += 1.0;
        }
    }

    fn digest(&mut self, text: &str) {
        for byte in text.bytes() {
            self.counts.digest = (self.counts.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn called(&mut self, call: &Call<'_>, at: Timestamp, lifetime: u64) {
        self.counts.exchanges += 1;
        if self.keeps_exchanges {
            self.exchanges.push((call.key.to_owned(), at));
        }
        let outlives = |until: Timestamp, state: &Self| {
            let users = state.tokens.iter().filter(|(_, token)| token.keys.contains_key(call.key));
            users.map(|(name, token)| state.expiry(name, token)).all(|expiry| expiry.is_some_and(|at| at >= until))
        };
        let minute = Duration::from_mins(1);
        let waits = self.calls.get(call.key).and_then(|calls| calls.not_before.get(call.who).copied());
        if let Some(until) = waits.filter(|until| at + Duration::from_secs(1) < *until)
            && !self.clocks_are_set
            && outlives(until + minute, self)
        {
            self.violated(at, format!("{} exchanges {} before {until}, as IAM asked", call.who, call.key));
        }
        let calls = self.calls.entry(call.key.to_owned()).or_default();
        calls.total += 1;
        calls.recent.retain(|before| *before + minute > at);
        calls.recent.push(at);
        let most = if lifetime >= 900 { 40 } else { 90 };
        let (in_a_minute, total, justified) = (calls.recent.len(), calls.total, calls.justified);
        if in_a_minute > most {
            self.violated(at, format!("{in_a_minute} exchanges of {} in a minute", call.key));
        }
        if total as f64 > justified * 1.1 + 20.0 {
            self.violated(at, format!("{total} exchanges of {} where {justified:.0} are justified", call.key));
        }
        let recovers_in = match call.answer {
            Verdict::Granted => {
                self.calls.entry(call.key.to_owned()).or_default().not_before.remove(call.who);
                return;
            }
            Verdict::Failed(retry_after) => {
                let asked = Duration::from_secs(retry_after.unwrap_or_default());
                if let Some(seconds) = retry_after {
                    let until = at + Duration::from_secs(seconds);
                    let calls = self.calls.entry(call.key.to_owned()).or_default();
                    calls.not_before.insert(call.who.to_owned(), until);
                }
                RECOVERS_IN.max(asked + minute)
            }
            Verdict::Rejected(KeyState::Locked) => LOCKED + RECOVERS_IN,
            Verdict::Rejected(_) => REFUSED + RECOVERS_IN,
        };
        if let Verdict::Rejected(_) = call.answer {
            self.calls.entry(call.key.to_owned()).or_default().left_alone_until = Some(at + recovers_in);
        }
        self.touch(at, recovers_in, |_, token| token.keys.contains_key(call.key));
    }
}
