//! The one source of time: whoever needs to know what time it is gets a [`Clock`].

use k8s_openapi::jiff::Timestamp;

use crate::core::lease::Moment;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's time.
    fn now(&self) -> Timestamp;

    /// Both clocks. The monotonic one is tokio's, which tests can pause.
    fn moment(&self) -> Moment {
        Moment { steady: tokio::time::Instant::now().into_std(), wall: self.now() }
    }
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
