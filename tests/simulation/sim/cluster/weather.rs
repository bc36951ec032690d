//! What befalls requests and events on their way.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::kind::Kind;
use super::request::Request;

/// What befalls one request.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// How long it is under way.
    pub before: Duration,
    pub act: Act,
    /// How long its answer is.
    pub after: Duration,
}

/// What becomes of a request when it arrives.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// It takes effect and is answered.
    Take,
    /// It never reaches the server.
    Refuse(Refusal),
    /// It takes effect, and the answer is replaced.
    TakeAndLose(Refusal),
    /// It is never answered.
    Hang {
        /// Whether it takes effect.
        take: bool,
    },
}

/// What comes back in place of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// A `Status`.
    Status {
        /// The HTTP status.
        code: u16,
        /// In seconds.
        retry_after: Option<u64>,
    },
    /// The connection breaks.
    Broken,
}

/// What befalls one event of a watch.
#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    /// It comes.
    Pass {
        /// So late. Events of one object, and bookmarks, stay in order.
        delay: Duration,
        /// And a second time.
        twice: bool,
    },
    /// The watch ends before it.
    Cut {
        /// With an error.
        broken: bool,
    },
    /// Neither it nor anything after it comes, and the watch does not end: a connection of which one end is gone.
    Silence,
}

/// Decides what befalls requests and events.
pub trait Weather: Send + Sync + 'static {
    /// Called when a request is sent.
    fn request(&self, who: &str, request: &Request) -> Fate;

    /// Called when a request is sent: what is sent in its place.
    fn alter(&self, request: Request) -> Request {
        request
    }

    /// Called just before a request takes effect. False: the client is dead; nothing takes effect and no answer comes.
    fn arrives(&self, who: &str, request: &Request) -> bool;

    /// Awaited before an answer is handed over, while the client waits for it. The code is 0 where the connection broke.
    fn answered(&self, who: &str, request: &Request, code: u16) -> BoxFuture<'static, ()>;

    /// Called when an event sets out.
    fn event(&self, who: &str, kind: Kind, namespace: &str, name: &str) -> Delivery;
}

/// Nothing befalls anything.
pub struct Calm;

// === impl Fate ===

impl Fate {
    /// It takes effect and is answered, at once.
    pub const GOOD: Self = Self { before: Duration::ZERO, act: Act::Take, after: Duration::ZERO };
}

// === impl Delivery ===

impl Delivery {
    /// At once.
    pub const GOOD: Self = Self::Pass { delay: Duration::ZERO, twice: false };
}

// === impl Calm ===

impl Weather for Calm {
    fn request(&self, _: &str, _: &Request) -> Fate {
        Fate::GOOD
    }

    fn arrives(&self, _: &str, _: &Request) -> bool {
        true
    }

    fn answered(&self, _: &str, _: &Request, _: u16) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    fn event(&self, _: &str, _: Kind, _: &str, _: &str) -> Delivery {
        Delivery::GOOD
    }
}
