//! Whether an endpoint is asked at all. One that has failed several times in a row is asked by one at a time, ever more
//! slowly, until it answers; everybody else waits in line meanwhile instead of adding to its trouble.

use std::time::{Duration, Instant};

use super::failure::Failure;

/// So many failures in a row open the breaker. Fewer happen by chance.
const TRIPS_AT: u32 = 5;

/// The pause before the first probe, doubled with each that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two probes: short, as tokens are dying meanwhile, and harmless, as it is one request.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The breaker of one endpoint. Its times are monotonic.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    last: Option<(Failure, Instant)>,
    probing: bool,
}

/// Whether the endpoint may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// By anybody.
    Free,
    /// By one.
    Probe,
    /// By nobody before this moment.
    NotBefore(Instant),
    /// By nobody before the probe has ended.
    Probing,
}

// === impl Breaker ===

impl Breaker {
    /// Whether it may be asked now.
    #[must_use]
    pub fn admits(&self, now: Instant) -> Admission {
        let Some((_, failed_at)) = self.last.as_ref().filter(|_| self.failures >= TRIPS_AT) else {
            return Admission::Free;
        };
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - TRIPS_AT).min(8));
        let at = *failed_at + doubled.min(LONGEST_PAUSE);
        match (self.probing, now < at) {
            (true, _) => Admission::Probing,
            (false, true) => Admission::NotBefore(at),
            (false, false) => Admission::Probe,
        }
    }

    /// The one probe has begun.
    pub fn probe(&mut self) {
        self.probing = true;
    }

    /// The probe has ended, perhaps without asking.
    pub fn probed(&mut self) {
        self.probing = false;
    }

    /// It answered. What it said of one credential, good or bad, is no matter here.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// It failed.
    pub fn failed(&mut self, failure: Failure, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some((failure, now));
    }

    /// What its last failure was, while it is asked by one at a time.
    #[must_use]
    pub fn trouble(&self) -> Option<&Failure> {
        self.last.as_ref().filter(|_| self.failures >= TRIPS_AT).map(|(failure, _)| failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::failure::{Cause, Kind};

    fn failure() -> Failure {
        Failure {
            kind: Kind::Unreachable(Cause::Refused),
            endpoint: "e".into(),
            status: None,
            code: None,
            request_id: None,
        }
    }

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn tripped(zero: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        (0..TRIPS_AT).for_each(|_| breaker.failed(failure(), zero));
        breaker
    }

    #[test]
    fn a_few_failures_change_nothing() {
        let (zero, mut breaker) = (zero(), Breaker::default());
        for _ in 1..TRIPS_AT {
            breaker.failed(failure(), zero);
            assert_eq!(breaker.admits(zero), Admission::Free);
            assert_eq!(breaker.trouble(), None);
        }
        breaker.answered();
        breaker.failed(failure(), zero);
        assert_eq!(breaker.admits(zero), Admission::Free);
    }

    #[test]
    fn then_one_at_a_time_goes_through_ever_more_slowly() {
        let (zero, second) = (zero(), Duration::from_secs(1));
        let mut breaker = tripped(zero);
        assert_eq!(breaker.trouble(), Some(&failure()));
        let mut at = zero;
        for pause in [1, 2, 4, 5, 5] {
            assert_eq!(breaker.admits(at), Admission::NotBefore(at + pause * second));
            at += pause * second;
            assert_eq!(breaker.admits(at), Admission::Probe);
            breaker.probe();
            assert_eq!(breaker.admits(at), Admission::Probing);
            breaker.failed(failure(), at);
            breaker.probed();
        }
    }

    #[test]
    fn an_answer_closes_it_and_a_probe_that_never_asked_leaves_it_to_the_next() {
        let zero = zero();
        let mut breaker = tripped(zero);
        let later = zero + LONGEST_PAUSE;
        breaker.probe();
        breaker.probed();
        assert_eq!(breaker.admits(later), Admission::Probe);
        breaker.answered();
        assert_eq!(breaker.admits(zero), Admission::Free);
        assert_eq!(breaker.trouble(), None);
    }
}
