//! The time as it really is, and the clocks that replicas and IAM read instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use iam_token_operator::clock::Clock;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The true time: tokio's paused time, and beside it the time in which the machine was suspended, which no timer saw.
#[derive(Clone)]
pub struct TrueTime {
    began: tokio::time::Instant,
    suspended_ms: Arc<AtomicU64>,
}

impl TrueTime {
    pub fn begin() -> Self {
        Self { began: tokio::time::Instant::now(), suspended_ms: Arc::default() }
    }

    pub fn now(&self) -> Timestamp {
        let elapsed = self.began.elapsed() + Duration::from_millis(self.suspended_ms.load(Ordering::Relaxed));
        Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::try_from(elapsed).unwrap()
    }

    /// How long it has been since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The machine is suspended and resumed so much later.
    pub fn suspend(&self, by: Duration) {
        self.suspended_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// A clock that may be wrong.
#[derive(Clone)]
pub struct Wall {
    truth: TrueTime,
    ahead_ms: Arc<AtomicI64>,
    /// Takes the time from the timers alone: a clock that no suspended machine and nobody sets. For breaking things.
    blind: bool,
}

impl Wall {
    pub fn new(truth: &TrueTime, ahead: i64, blind: bool) -> Self {
        Self { truth: truth.clone(), ahead_ms: Arc::new(AtomicI64::new(ahead * 1000)), blind }
    }

    /// Sets it so many seconds ahead of the true time.
    pub fn set_ahead(&self, seconds: i64) {
        self.ahead_ms.store(seconds * 1000, Ordering::Relaxed);
    }

    /// By how many seconds it is ahead of the true time.
    pub fn ahead(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed) / 1000
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        if self.blind {
            let elapsed = SignedDuration::try_from(self.truth.elapsed()).unwrap();
            return Timestamp::from_second(1_800_000_000).unwrap() + elapsed;
        }
        self.truth.now() + SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }
}
