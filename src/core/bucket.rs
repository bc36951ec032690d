//! What may be done some times in a row, and then once in a while. Times are monotonic.

use std::time::{Duration, Instant};

/// How often in a row something may be done, and how long it takes until it may be done once more.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// So often at once.
    pub at_once: f64,
    /// Then once in this time.
    pub period: Duration,
}

/// What was used of an [`Allowance`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// How often it was used and not given back yet, and when that was reckoned.
    used: Option<(f64, Instant)>,
}

// === impl Bucket ===

impl Bucket {
    /// Uses it once.
    ///
    /// # Errors
    /// How long to wait where nothing is left.
    pub fn take(&mut self, of: Allowance, now: Instant) -> Result<(), Duration> {
        match self.wait(of, now) {
            Duration::ZERO => {
                self.used = Some((self.used(of, now) + 1.0, now));
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Uses it once, now or after the wait that it returns; not at all where that were longer than `longest`.
    pub fn reserve(&mut self, of: Allowance, longest: Duration, now: Instant) -> Option<Duration> {
        let wait = Some(self.wait(of, now)).filter(|wait| *wait <= longest)?;
        self.used = Some((self.used(of, now) + 1.0, now));
        Some(wait)
    }

    /// How often it was used and not given back yet.
    #[must_use]
    pub fn used(&self, of: Allowance, now: Instant) -> f64 {
        self.used.map_or(0.0, |(used, at)| {
            let given_back = now.saturating_duration_since(at).as_secs_f64() / of.period.as_secs_f64();
            (used - given_back).max(0.0)
        })
    }

    /// Whether all is given back, so that it need not be kept.
    #[must_use]
    pub fn is_whole(&self, of: Allowance, now: Instant) -> bool {
        self.used(of, now) <= 0.0
    }

    fn wait(&self, of: Allowance, now: Instant) -> Duration {
        let over = self.used(of, now) + 1.0 - of.at_once;
        if over > 0.0 { of.period.mul_f64(over) } else { Duration::ZERO }
    }
}
