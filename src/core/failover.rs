//! Which endpoint is asked next where several stand in for each other: the first one that is well. One that has failed is
//! left alone for a while, then asked again by one, so that all go back to the preferred one soon after it has recovered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;

/// How long an endpoint that has failed is left alone. Until then each asks the next one at once, after that one of them
/// waits for it in vain at the most.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// However late an endpoint says to come back (`Retry-After`), it is asked again after this.
const LONGEST_LEFT_ALONE: Duration = Duration::from_mins(10);

/// Which endpoints have failed of late, and when they are to be asked again. Its times are monotonic.
#[derive(Debug, Default)]
pub struct Health {
    failing: BTreeMap<Endpoint, Instant>,
}

// === impl Health ===

impl Health {
    /// All of `listed` in the order in which they are to be asked now: those that are well as they are listed, then those
    /// that have failed of late. The first one, if it has failed, is left to whoever called for a while.
    #[must_use]
    pub fn in_turn(&mut self, listed: &[Endpoint], now: Instant) -> Vec<Endpoint> {
        let is_well = |endpoint: &&Endpoint| self.failing.get(endpoint).is_none_or(|until| *until <= now);
        let (well, failing): (Vec<&Endpoint>, Vec<&Endpoint>) = listed.iter().partition(is_well);
        if let Some(until) = well.first().and_then(|first| self.failing.get_mut(first)) {
            *until = now + LEFT_ALONE;
        }
        well.into_iter().chain(failing).cloned().collect()
    }

    /// It failed; `retry_after` is when it said that it will be well. Whether that is news.
    pub fn failed(&mut self, endpoint: &Endpoint, retry_after: Option<Duration>, now: Instant) -> bool {
        let alone = retry_after.unwrap_or_default().clamp(LEFT_ALONE, LONGEST_LEFT_ALONE);
        self.failing.insert(endpoint.clone(), now + alone).is_none()
    }

    /// It answered. What it said of one credential, good or bad, is no matter here. Whether that is news.
    pub fn answered(&mut self, endpoint: &Endpoint) -> bool {
        self.failing.remove(endpoint).is_some()
    }
}

/// How long one of `several` endpoints may take, where all of them together have `left`: each leaves time for the others.
#[must_use]
pub fn share(left: Duration, several: usize) -> Duration {
    left / u32::try_from(several.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn listed() -> [Endpoint; 3] {
        ["https://a", "https://b", "https://c"].map(|text| Endpoint::parse(text, false).unwrap())
    }

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn order(health: &mut Health, now: Instant) -> String {
        health.in_turn(&listed(), now).iter().map(|endpoint| &endpoint.as_str()["https://".len()..]).collect()
    }

    #[test]
    fn as_long_as_all_are_well_they_are_asked_as_they_are_listed() {
        let (zero, mut health) = (zero(), Health::default());
        assert_eq!(order(&mut health, zero), "abc");
        assert!(!health.answered(&listed()[0]));
        assert_eq!(order(&mut health, zero), "abc");
    }

    #[test]
    fn one_that_failed_comes_last_and_is_tried_by_one_at_a_time_until_it_answers() {
        let (zero, mut health, [a, b, _]) = (zero(), Health::default(), listed());
        assert!(health.failed(&a, None, zero));
        assert!(health.failed(&b, None, zero + SECOND));
        assert!(!health.failed(&a, None, zero), "that is no news");
        assert_eq!(order(&mut health, zero + 29 * SECOND), "cab");
        assert_eq!(order(&mut health, zero + 30 * SECOND), "acb", "one tries it");
        assert_eq!(order(&mut health, zero + 31 * SECOND), "bca", "and another one the next");
        assert_eq!(order(&mut health, zero + 59 * SECOND), "cab", "but no more");
        assert_eq!(order(&mut health, zero + 60 * SECOND), "acb", "until it is time again");
        assert!(health.answered(&a));
        assert_eq!(order(&mut health, zero + 60 * SECOND), "acb");
        assert_eq!(order(&mut health, zero + 61 * SECOND), "abc");
    }

    #[test]
    fn one_that_is_not_asked_first_is_left_to_nobody() {
        let (zero, mut health, [a, b, _]) = (zero(), Health::default(), listed());
        health.failed(&b, None, zero);
        assert_eq!(order(&mut health, zero + 30 * SECOND), "abc");
        health.failed(&a, None, zero + 30 * SECOND);
        assert_eq!(order(&mut health, zero + 31 * SECOND), "bca");
    }

    #[test]
    fn one_that_says_when_to_come_back_is_left_alone_until_then_but_not_for_ever() {
        let (zero, mut health, [a, ..]) = (zero(), Health::default(), listed());
        health.failed(&a, Some(90 * SECOND), zero);
        assert_eq!(order(&mut health, zero + 89 * SECOND), "bca");
        assert_eq!(order(&mut health, zero + 90 * SECOND), "abc");
        health.failed(&a, Some(Duration::MAX), zero);
        assert_eq!(order(&mut health, zero + Duration::from_mins(10)), "abc");
    }

    #[test]
    fn where_all_have_failed_all_are_asked_as_they_are_listed() {
        let (zero, mut health) = (zero(), Health::default());
        for endpoint in listed().iter().rev() {
            health.failed(endpoint, None, zero);
        }
        assert_eq!(order(&mut health, zero + SECOND), "abc");
    }

    #[test]
    fn each_leaves_time_for_the_others() {
        assert_eq!(share(15 * SECOND, 3), 5 * SECOND);
        assert_eq!(share(15 * SECOND, 1), 15 * SECOND);
        assert_eq!(share(Duration::ZERO, 2), Duration::ZERO);
    }
}
