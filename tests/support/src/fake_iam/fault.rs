//! What can go wrong on purpose, and the queues that say when.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// How a 429 tells when to come back. Whether IAM's own sends the header is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// It doesn't.
    #[default]
    None,
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date, that many seconds from the fake's now.
    Date(u64),
}

/// One way to go wrong. In the control API: `{"kind": "status", "status": 503}` and so on, names in kebab-case.
///
/// The first group changes a good answer and leaves it one; the second replaces it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// Waits, then does `then`, or answers as usual.
    Delay {
        /// Milliseconds.
        millis: u64,
        /// What follows.
        #[serde(default)]
        then: Option<Box<Fault>>,
    },
    /// A token of another lifetime.
    Lifetime {
        /// Seconds.
        seconds: u64,
    },
    /// A token of another account.
    Account {
        /// Its id.
        id: String,
    },
    /// A real token with something behind it: a control character, a line end, a letter that is not ASCII.
    TokenSuffix {
        /// What is appended.
        suffix: String,
    },
    /// A field of the answer has another value, or is missing.
    Field {
        /// `access_token`, `expires_in`, …
        name: String,
        /// The value; none: the field is missing.
        #[serde(default)]
        value: Option<Value>,
    },

    /// One of IAM's errors, in its own JSON.
    Error {
        /// `BXNIM…E`.
        code: String,
        /// HTTP status where it is not the documented one.
        #[serde(default)]
        status: Option<u16>,
    },
    /// 429 with the plain text of IAM's rate limit.
    RateLimited {
        /// The header `Retry-After`.
        #[serde(default)]
        retry_after: RetryAfter,
    },
    /// A bare status, as a proxy in between answers.
    Status {
        /// HTTP status.
        status: u16,
        /// Plain text; empty for no body at all.
        #[serde(default)]
        body: String,
    },
    /// A redirect.
    Redirect {
        /// 301, 302, 307 or 308.
        status: u16,
        /// The header `Location`.
        location: String,
    },
    /// 200 with a page of HTML, as a captive portal answers.
    Html,
    /// A whole answer announced, half of it sent, then the connection is closed.
    Truncated,
    /// A JSON answer of this many bytes.
    Large {
        /// 10 MiB by [`Fault::large`].
        bytes: usize,
    },
    /// An answer that goes on until the client leaves, or 64 MiB or 60 s have gone.
    Endless,
    /// No answer for 60 s, then the connection is closed.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset (TCP RST) without an answer.
    Reset,
    /// Anything else.
    Raw {
        /// HTTP status.
        status: u16,
        /// Headers in order.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Body.
        #[serde(default)]
        body: String,
    },
}

impl Fault {
    /// One of IAM's errors with its documented status.
    pub fn error(code: &str) -> Self {
        Self::Error { code: code.into(), status: None }
    }

    /// One of IAM's errors with another status.
    pub fn error_with_status(code: &str, status: u16) -> Self {
        Self::Error { code: code.into(), status: Some(status) }
    }

    /// A 429.
    pub fn rate_limited(retry_after: RetryAfter) -> Self {
        Self::RateLimited { retry_after }
    }

    /// A bare status without a body.
    pub fn status(status: u16) -> Self {
        Self::Status { status, body: String::new() }
    }

    /// A bare status with a plain text.
    pub fn status_with_body(status: u16, body: &str) -> Self {
        Self::Status { status, body: body.into() }
    }

    /// A redirect to a URL.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Redirect { status, location: location.into() }
    }

    /// An answer of 10 MiB.
    pub fn large() -> Self {
        Self::Large { bytes: 10 << 20 }
    }

    /// A good answer after a while.
    pub fn delay(time: Duration) -> Self {
        Self::Delay { millis: millis(time), then: None }
    }

    /// The same after a while.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self::Delay { millis: millis(time), then: Some(Box::new(self)) }
    }

    /// A token of another lifetime, in seconds.
    pub fn lifetime(seconds: u64) -> Self {
        Self::Lifetime { seconds }
    }

    /// A token of another account.
    pub fn account(id: &str) -> Self {
        Self::Account { id: id.into() }
    }

    /// A real token with something behind it.
    pub fn token_suffix(suffix: &str) -> Self {
        Self::TokenSuffix { suffix: suffix.into() }
    }

    /// A field with another value.
    pub fn field(name: &str, value: impl Into<Value>) -> Self {
        Self::Field { name: name.into(), value: Some(value.into()) }
    }

    /// A field is missing.
    pub fn without(name: &str) -> Self {
        Self::Field { name: name.into(), value: None }
    }

    /// Another `expires_in`; the token and `expiration` keep theirs.
    pub fn expires_in(value: impl Into<Value>) -> Self {
        Self::field("expires_in", value)
    }
}

/// Names the kind only: a scripted body or field may hold a token.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { millis, then } => {
                f.debug_struct("Delay").field("millis", millis).field("then", then).finish()
            }
            Self::Lifetime { seconds } => write!(f, "Lifetime({seconds})"),
            Self::Account { id } => write!(f, "Account({id})"),
            Self::TokenSuffix { .. } => f.write_str("TokenSuffix"),
            Self::Field { name, .. } => write!(f, "Field({name})"),
            Self::Error { code, status } => write!(f, "Error({code}, {status:?})"),
            Self::RateLimited { retry_after } => write!(f, "RateLimited({retry_after:?})"),
            Self::Status { status, .. } => write!(f, "Status({status})"),
            Self::Redirect { status, .. } => write!(f, "Redirect({status})"),
            Self::Html => f.write_str("Html"),
            Self::Truncated => f.write_str("Truncated"),
            Self::Large { bytes } => write!(f, "Large({bytes})"),
            Self::Endless => f.write_str("Endless"),
            Self::Hang => f.write_str("Hang"),
            Self::Close => f.write_str("Close"),
            Self::Reset => f.write_str("Reset"),
            Self::Raw { status, .. } => write!(f, "Raw({status})"),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// So many calls, then the next of the queue.
    Count(usize),
    /// Until the queue is cleared.
    Forever,
}

/// One queue for each key and one for all; a key's own goes first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    of_keys: HashMap<String, Queue>,
    of_any: Queue,
}

type Queue = VecDeque<(Fault, Times)>;

impl Faults {
    /// Appends to the queue of a key (by [`super::key_id`]), or to the one for all.
    pub(crate) fn push(&mut self, key_id: Option<&str>, fault: Fault, times: Times) {
        let queue = match key_id {
            Some(id) => self.of_keys.entry(id.into()).or_default(),
            None => &mut self.of_any,
        };
        queue.push_back((fault, times));
    }

    /// What happens to this call.
    pub(crate) fn next(&mut self, key_id: &str) -> Option<Fault> {
        self.of_keys.get_mut(key_id).and_then(take).or_else(|| take(&mut self.of_any))
    }

    /// Forgets the faults of a key.
    pub(crate) fn clear_key(&mut self, key_id: &str) {
        self.of_keys.remove(key_id);
    }

    /// Forgets all faults.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Faults that have not happened yet; one that happens for ever counts once.
    pub(crate) fn pending(&self) -> usize {
        let count = |(_, times): &(Fault, Times)| match times {
            Times::Count(left) => *left,
            Times::Forever => 1,
        };
        self.of_keys.values().chain([&self.of_any]).flatten().map(count).sum()
    }
}

fn take(queue: &mut Queue) -> Option<Fault> {
    while let Some((fault, times)) = queue.front_mut() {
        match times {
            Times::Forever => return Some(fault.clone()),
            Times::Count(0) => {
                queue.pop_front();
            }
            Times::Count(left) => {
                *left -= 1;
                return Some(fault.clone());
            }
        }
    }
    None
}
