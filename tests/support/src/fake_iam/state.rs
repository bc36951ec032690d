//! What the server's thread and the handles share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;

use super::fault::Faults;
use super::key_details::Questions;
use super::record::{Limiter, Records};
use super::signing::SigningKey;
use super::tables::Tables;

/// Lifetime of a token that IAM gives unless an account asks for less, in seconds (IBM Cloud docs, account).
pub(crate) const DEFAULT_LIFETIME: u64 = 3600;

/// All that can change while the fake runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tables: Tables,
    pub(crate) faults: Faults,
    pub(crate) records: Records,
    pub(crate) limiter: Limiter,
    pub(crate) questions: Questions,
    /// Seconds.
    pub(crate) lifetime: u64,
    pub(crate) latency: Duration,
    /// Seconds that the fake's clock is ahead of the machine's.
    pub(crate) clock_offset: i64,
}

/// The fake's state.
pub(crate) struct State {
    url: String,
    issuer: String,
    signing_key: Arc<SigningKey>,
    world: Mutex<World>,
}

impl State {
    pub(crate) fn new(url: String, signing_key: Arc<SigningKey>) -> Self {
        let issuer = format!("{url}/identity");
        let world = World {
            tables: Tables::new(),
            faults: Faults::default(),
            records: Records::default(),
            limiter: Limiter::default(),
            questions: Questions::default(),
            lifetime: DEFAULT_LIFETIME,
            latency: Duration::ZERO,
            clock_offset: 0,
        };
        Self { url, issuer, signing_key, world: Mutex::new(world) }
    }

    /// The world; never kept over an `await`.
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The fake's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let offset = self.lock().clock_offset;
        let distance = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
    }

    /// The fake's clock.
    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::try_from(self.now()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("url", &self.url).finish_non_exhaustive()
    }
}
