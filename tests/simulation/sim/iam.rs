//! IAM in memory: keys, tokens and moods. It answers as the wire does, and the operator's own reader reads the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use iam_token_operator::clock::Clock as _;
use iam_token_operator::core::failure::{Cause, Failure, Kind};
use iam_token_operator::core::schedule::later;
use iam_token_operator::iam::wire::{self, Answer};
use iam_token_operator::iam::{Ask, Exchange, Grant};
use k8s_openapi::jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::dice::Dice;
use super::time::{TrueTime, Wall};

/// How long the operator's client waits for an answer (`iam::client`).
const CLIENT_WAITS: Duration = Duration::from_secs(15);

/// How IAM fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    Refusing,
    Hanging,
    Erring { retry_after: Option<u64> },
    Throttling { retry_after: Option<u64> },
    Garbling,
    Slow,
}

/// What IAM thinks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Valid,
    Deleted,
    Disabled,
    Locked,
}

/// A token that was given out.
#[derive(Clone, Debug)]
pub struct Issued {
    pub key: String,
    pub expires_at: Timestamp,
}

/// One exchange, as IAM saw it.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub who: &'a str,
    pub key: &'a str,
    pub answer: Verdict,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    /// By the mood, with the Retry-After that came with it.
    Failed(Option<u64>),
    Rejected(KeyState),
}

pub struct Iam {
    truth: TrueTime,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    mood: Mood,
    /// The share of exchanges that fail in good times.
    drizzle: f64,
    lifetime: u64,
    clock_ahead: i64,
    keys: BTreeMap<String, KeyState>,
    tokens: BTreeMap<String, Issued>,
    listener: Option<Listener>,
    /// Retry-After never reaches the operator. For breaking things.
    loses_retry_after: bool,
}

type Listener = Box<dyn FnMut(&Call<'_>) + Send>;

/// What an exchange comes to.
struct Fate {
    after: Duration,
    what: What,
    verdict: Verdict,
}

enum What {
    Cause(Cause),
    Answer { status: u16, retry_after: Option<String>, body: Vec<u8> },
}

impl Iam {
    pub fn new(truth: &TrueTime, dice: Dice, lifetime: u64, drizzle: f64, loses_retry_after: bool) -> Arc<Self> {
        let state = State {
            dice,
            mood: Mood::Well,
            drizzle,
            lifetime,
            clock_ahead: 0,
            keys: BTreeMap::new(),
            tokens: BTreeMap::new(),
            listener: None,
            loses_retry_after,
        };
        Arc::new(Self { truth: truth.clone(), state: Mutex::new(state) })
    }

    pub fn listen(&self, listener: Listener) {
        self.state.lock().unwrap().listener = Some(listener);
    }

    pub fn mood(&self) -> Mood {
        self.state.lock().unwrap().mood
    }

    pub fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub fn set_drizzle(&self, drizzle: f64) {
        self.state.lock().unwrap().drizzle = drizzle;
    }

    pub fn set_lifetime(&self, lifetime: u64) {
        self.state.lock().unwrap().lifetime = lifetime;
    }

    pub fn lifetime(&self) -> u64 {
        self.state.lock().unwrap().lifetime
    }

    pub fn set_clock_ahead(&self, seconds: i64) {
        self.state.lock().unwrap().clock_ahead = seconds;
    }

    pub fn set_key(&self, key: &str, key_state: KeyState) {
        self.state.lock().unwrap().keys.insert(key.to_owned(), key_state);
    }

    pub fn key(&self, key: &str) -> Option<KeyState> {
        self.state.lock().unwrap().keys.get(key).copied()
    }

    /// Which token it is.
    pub fn issued(&self, token: &str) -> Option<Issued> {
        self.state.lock().unwrap().tokens.get(token).cloned()
    }

    fn exchange(&self, who: &str, key: &str) -> Fate {
        let now = self.truth.now();
        let mut state = self.state.lock().unwrap();
        let fate = state.fate(key, now);
        if let Some(mut listener) = state.listener.take() {
            drop(state);
            listener(&Call { who, key, answer: fate.verdict });
            self.state.lock().unwrap().listener = Some(listener);
        }
        fate
    }
}

impl State {
    fn fate(&mut self, key: &str, now: Timestamp) -> Fate {
        let mood = if self.dice.chance(self.drizzle) { self.any_trouble() } else { self.mood };
        let after = Duration::from_millis(self.dice.between(10, 200));
        let answer = |status, retry_after: Option<u64>, body: Vec<u8>| Fate {
            after,
            what: What::Answer { status, retry_after: retry_after.map(|s| s.to_string()), body },
            verdict: Verdict::Failed(retry_after),
        };
        let cause = |cause, after| Fate { after, what: What::Cause(cause), verdict: Verdict::Failed(None) };
        let mut fate = match mood {
            Mood::Refusing => cause(Cause::Refused, after),
            Mood::Hanging => cause(Cause::Timeout, CLIENT_WAITS),
            Mood::Erring { retry_after } => answer(503, retry_after, b"upstream connect error".to_vec()),
            Mood::Throttling { retry_after } => {
                answer(429, retry_after, b"ApiKey based rate limit for calls to /token".to_vec())
            }
            Mood::Garbling => self.garbled(after),
            Mood::Well | Mood::Slow => self.well(key, now, after),
        };
        if mood == Mood::Slow {
            fate.after = Duration::from_millis(self.dice.between(1_000, 14_000));
        }
        if self.loses_retry_after
            && let What::Answer { retry_after, .. } = &mut fate.what
        {
            *retry_after = None;
        }
        fate
    }

    fn any_trouble(&mut self) -> Mood {
        let retry_after = self.dice.chance(0.3).then(|| self.dice.between(1, 120));
        *self.dice.pick(&[
            Mood::Refusing,
            Mood::Hanging,
            Mood::Erring { retry_after },
            Mood::Throttling { retry_after },
            Mood::Garbling,
        ])
    }

    fn garbled(&mut self, after: Duration) -> Fate {
        let bodies: [&[u8]; 6] = [
            b"<html>proxy</html>",
            b"{}",
            br#"{"access_token":"","expires_in":3600}"#,
            br#"{"access_token":"FAKE","expires_in":-1}"#,
            br#"{"access_token":"two words","expires_in":3600}"#,
            br#"{"access_token":"FAKE","expi"#,
        ];
        let body = self.dice.pick(&bodies).to_vec();
        Fate { after, what: What::Answer { status: 200, retry_after: None, body }, verdict: Verdict::Failed(None) }
    }

    fn well(&mut self, key: &str, now: Timestamp, after: Duration) -> Fate {
        let refusal = |status, code: &str, key_state| Fate {
            after,
            what: What::Answer {
                status,
                retry_after: None,
                body: json!({"errorCode": code, "errorMessage": "x", "context": {"requestId": "FAKE-id"}})
                    .to_string()
                    .into_bytes(),
            },
            verdict: Verdict::Rejected(key_state),
        };
        match self.keys.get(key).copied().unwrap_or(KeyState::Deleted) {
            KeyState::Valid => {}
            state @ KeyState::Deleted => return refusal(400, "BXNIM0415E", state),
            state @ KeyState::Disabled => return refusal(400, "BXNIM0462E", state),
            state @ KeyState::Locked => return refusal(401, "BXNIM0400E", state),
        }
        let expires_at = later(now, Duration::from_secs(self.lifetime));
        let claims = json!({"iam_id": format!("iam-{key}"), "sub_type": "ServiceId", "n": self.dice.word()});
        let token = format!("FAKE.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        self.tokens.insert(token.clone(), Issued { key: key.to_owned(), expires_at });
        let body = json!({
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "expiration": expires_at.as_second() + self.clock_ahead,
            "scope": "ibm openid",
        });
        let what = What::Answer { status: 200, retry_after: None, body: body.to_string().into_bytes() };
        Fate { after, what, verdict: Verdict::Granted }
    }
}

/// IAM as one replica reaches it.
pub struct Line {
    pub iam: Arc<Iam>,
    pub who: String,
    pub clock: Wall,
    /// Resolves when the replica is not frozen; never where it is dead.
    pub gate: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Exchange for Line {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        let (iam, who, clock, gate) = (self.iam.clone(), self.who.clone(), self.clock.clone(), self.gate.clone());
        async move {
            let asked_at = clock.now();
            gate().await;
            let fate = iam.exchange(&who, ask.credential.secret().expose_secret());
            tokio::time::sleep(fate.after).await;
            gate().await;
            match fate.what {
                What::Cause(cause) => Err(Failure {
                    kind: Kind::Unreachable(cause),
                    endpoint: ask.endpoint.to_string(),
                    status: None,
                    code: None,
                    request_id: None,
                }),
                What::Answer { status, retry_after, body } => {
                    let answer =
                        Answer { status, retry_after: retry_after.as_deref(), transaction_id: None, body: &body };
                    wire::read(wire::Request::first(&ask), &answer, asked_at, clock.now())
                }
            }
        }
        .boxed()
    }
}
