//! What the token endpoint was asked and how it answered.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use hyper::HeaderMap;
use hyper::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use serde::Serialize;

/// One call of the token endpoint. Holds no key and no token, but for `body`, which is kept only when asked for.
#[derive(Clone, Serialize)]
pub struct Call {
    /// When it came, by the machine's clock.
    #[serde(serialize_with = "as_epoch_seconds")]
    pub at: SystemTime,
    /// [`super::key_id`] of the key, once the form was read.
    pub key_id: Option<String>,
    /// The grant that was asked for.
    pub grant: Option<String>,
    /// HTTP status of the answer; none while under way, and where there was no answer.
    pub status: Option<u16>,
    /// IAM's error code, where the answer is one of its errors.
    pub error_code: Option<String>,
    /// A token was issued and the answer holds it.
    pub issued: bool,
    /// Header `User-Agent`.
    pub user_agent: Option<String>,
    /// Header `Accept`.
    pub accept: Option<String>,
    /// Header `Content-Type`.
    pub content_type: Option<String>,
    /// Header `Transaction-Id`.
    pub transaction_id: Option<String>,
    /// Header `ibm-cloud-tenant`.
    pub tenant: Option<String>,
    /// The raw body, if [`super::FakeIam::record_bodies`] is on.
    #[serde(skip)]
    pub body: Option<Vec<u8>>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("at", &self.at)
            .field("key_id", &self.key_id)
            .field("grant", &self.grant)
            .field("status", &self.status)
            .field("error_code", &self.error_code)
            .field("issued", &self.issued)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

impl Call {
    fn of(headers: &HeaderMap) -> Self {
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            at: SystemTime::now(),
            key_id: None,
            grant: None,
            status: None,
            error_code: None,
            issued: false,
            user_agent: headers.get(USER_AGENT).map(text),
            accept: headers.get(ACCEPT).map(text),
            content_type: headers.get(CONTENT_TYPE).map(text),
            transaction_id: headers.get("transaction-id").map(text),
            tenant: headers.get("ibm-cloud-tenant").map(text),
            body: None,
        }
    }
}

/// How many calls are under way, and the most there have been at once.
#[derive(Clone, Copy, Debug, Default)]
struct Gauge {
    now: usize,
    most: usize,
}

impl Gauge {
    fn enter(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    fn leave(&mut self) {
        self.now = self.now.saturating_sub(1);
    }
}

/// The calls so far.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) calls: Vec<Call>,
    pub(crate) keep_bodies: bool,
    total: Gauge,
    of_keys: HashMap<String, Gauge>,
    generation: u64,
}

/// A call under way: where it stands in the records, and since which clearing of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    index: usize,
    generation: u64,
}

impl Records {
    pub(crate) fn begin(&mut self, headers: &HeaderMap) -> Ticket {
        self.total.enter();
        self.calls.push(Call::of(headers));
        Ticket { index: self.calls.len() - 1, generation: self.generation }
    }

    /// The record of a call, unless records were cleared since it came.
    pub(crate) fn call(&mut self, ticket: Ticket) -> Option<&mut Call> {
        if ticket.generation == self.generation { self.calls.get_mut(ticket.index) } else { None }
    }

    pub(crate) fn enter_key(&mut self, key_id: &str) {
        self.of_keys.entry(key_id.into()).or_default().enter();
    }

    pub(crate) fn end(&mut self, key_id: Option<&str>) {
        self.total.leave();
        if let Some(gauge) = key_id.and_then(|id| self.of_keys.get_mut(id)) {
            gauge.leave();
        }
    }

    pub(crate) fn most_at_once(&self, key_id: Option<&str>) -> usize {
        match key_id {
            None => self.total.most,
            Some(id) => self.of_keys.get(id).map_or(0, |gauge| gauge.most),
        }
    }

    /// Forgets the calls; those under way still count as under way.
    pub(crate) fn clear(&mut self) {
        self.calls.clear();
        self.generation += 1;
        for gauge in self.of_keys.values_mut().chain([&mut self.total]) {
            gauge.most = gauge.now;
        }
    }
}

/// So many calls of one key in a sliding window; more get the 429. IBM publishes no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls of one key that are let through …
    pub calls: usize,
    /// … in this time.
    pub window: Duration,
    /// Whether the 429 says in `Retry-After` (seconds) when the next call is let through.
    pub retry_after: bool,
}

/// The windows of all keys.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    pub(crate) limit: Option<RateLimit>,
    recent: HashMap<String, VecDeque<Instant>>,
}

impl Limiter {
    /// Counts a call; the error is the time until the next is let through.
    pub(crate) fn admit(&mut self, key_id: &str) -> Result<(), (RateLimit, Duration)> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let now = Instant::now();
        let recent = self.recent.entry(key_id.into()).or_default();
        while recent.front().is_some_and(|at| now.duration_since(*at) >= limit.window) {
            recent.pop_front();
        }
        if recent.len() < limit.calls {
            recent.push_back(now);
            return Ok(());
        }
        let oldest = recent.front().map_or(Duration::ZERO, |at| now.duration_since(*at));
        Err((limit, limit.window.saturating_sub(oldest)))
    }
}

fn as_epoch_seconds<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}
