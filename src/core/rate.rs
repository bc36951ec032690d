//! How often one credential is exchanged at the most, whoever asks and however often: some in a row, then one at a time.
//! IAM's limit is per API key and is not published; who passes it is threatened with being blocked
//! (watson-developer-cloud/node-sdk#1038).

use std::time::{Duration, Instant};

use super::bucket::{Allowance, Bucket};

/// So many exchanges in a row are made at once.
const AT_ONCE: f64 = 10.0;

/// Then one in this time; with tokens of a short life, one in a tenth of that.
const PERIOD: Duration = Duration::from_secs(10);

/// Nobody waits shorter.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// What one credential has used of its rate. Its times are monotonic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    bucket: Bucket,
    /// The last token's lifetime.
    lasts: Option<Duration>,
}

// === impl Rate ===

impl Rate {
    /// Takes one exchange.
    ///
    /// # Errors
    /// How long to wait where none is left.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.bucket.take(self.allowance(), now).map_err(|wait| wait.max(SHORTEST_WAIT))
    }

    /// A token was given that lives so long.
    pub fn granted(&mut self, lasts: Duration) {
        self.lasts = Some(lasts);
    }

    /// Whether all is given back, so that it need not be kept.
    #[must_use]
    pub fn is_whole(&self, now: Instant) -> bool {
        self.bucket.is_whole(self.allowance(), now)
    }

    fn allowance(&self) -> Allowance {
        let period = self.lasts.map_or(PERIOD, |lasts| PERIOD.min(lasts / 10)).max(SHORTEST_WAIT);
        Allowance { at_once: AT_ONCE, period }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a try each `every` succeed within `span`.
    fn taken(rate: &mut Rate, every: Duration, span: Duration) -> u32 {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let zero = Instant::now();
        let tries = u32::try_from(span.as_millis() / every.as_millis()).unwrap();
        let taken = (0..tries).filter(|number| rate.take(zero + every * *number).is_ok()).count();
        u32::try_from(taken).unwrap()
    }

    #[test]
    fn some_in_a_row_and_then_one_each_ten_seconds() {
        let minute = Duration::from_mins(1);
        assert_eq!(taken(&mut Rate::default(), Duration::from_millis(100), minute), 10 + 5);
        assert_eq!(taken(&mut Rate::default(), PERIOD, 60 * minute), 360, "what comes slowly is never held up");
    }

    #[test]
    fn short_lives_are_kept_up_with() {
        let mut rate = Rate::default();
        rate.granted(Duration::from_secs(10));
        assert_eq!(taken(&mut rate, Duration::from_secs(5), Duration::from_hours(1)), 720);
    }

    #[test]
    fn a_short_life_is_kept_up_with_from_the_first_token_on() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let (zero, mut rate) = (Instant::now(), Rate::default());
        for number in 0..100 {
            rate.take(zero + Duration::from_secs(2) * number).unwrap();
            rate.granted(Duration::from_secs(4));
        }
    }

    #[test]
    fn the_wait_is_said_and_is_enough() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let (zero, mut rate) = (Instant::now(), Rate::default());
        (0..10).for_each(|_| rate.take(zero).unwrap());
        assert_eq!(rate.take(zero), Err(PERIOD));
        assert!(rate.take(zero + PERIOD).is_ok());
        assert!(!rate.is_whole(zero + PERIOD));
        assert!(rate.is_whole(zero + PERIOD * 11));
    }
}
