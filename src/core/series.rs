//! Which events were published lately, so that one that comes again is counted and not written anew: as client-go's and
//! kube's recorders have it, but in 24 bytes for each instead of a copy of the event, as tens of thousands may have one.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

/// One that comes again after this is a new one (kube-runtime, `events.rs`: `CACHE_TTL`). Some are remembered for twice
/// as long.
const REMEMBERED: Duration = Duration::from_mins(6);

/// So many are remembered, at most: twice as many for a moment.
const MOST: usize = 4096;

/// An event that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// When it was published first, which its name is made of.
    pub first: Timestamp,
    /// How often since, the first time included.
    pub count: i32,
}

/// The events of the last minutes, in two generations of which the older is dropped as a whole.
#[derive(Debug, Default)]
pub struct Series {
    young: HashMap<u64, Said>,
    old: HashMap<u64, Said>,
    begun: Option<Instant>,
    hasher: RandomState,
}

// === impl Series ===

impl Series {
    /// What stands for an event: the same for the same `what`, as long as this process runs.
    pub fn id(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }

    /// The event with this id, if there was one lately.
    #[must_use]
    pub fn last(&self, id: u64) -> Option<Said> {
        self.young.get(&id).or_else(|| self.old.get(&id)).copied()
    }

    /// It was published.
    pub fn record(&mut self, id: u64, said: Said, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        if self.young.len() >= MOST || now.saturating_duration_since(begun) >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
            self.begun = Some(now);
        }
        self.young.insert(id, said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Said = Said { first: Timestamp::UNIX_EPOCH, count: 1 };

    fn zero() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    #[test]
    fn what_was_said_is_known_for_some_minutes() {
        let (mut series, zero) = (Series::default(), zero());
        let [one, other] = ["one", "other"].map(|what| series.id(what));
        assert_eq!(one, series.id("one"));
        assert_eq!(series.last(one), None);
        series.record(one, SAID, zero);
        assert_eq!((series.last(one), series.last(other)), (Some(SAID), None));
        series.record(other, SAID, zero + REMEMBERED);
        assert_eq!(series.last(one), Some(SAID), "what was said a moment before is not forgotten");
        series.record(one, Said { count: 2, ..SAID }, zero + REMEMBERED);
        assert_eq!(series.last(one).map(|said| said.count), Some(2), "the newer counts");
        series.record(series.id("third"), SAID, zero + 2 * REMEMBERED);
        series.record(series.id("third"), SAID, zero + 3 * REMEMBERED);
        assert_eq!(series.last(one), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut series, zero) = (Series::default(), zero());
        for number in 0..5 * MOST {
            series.record(series.id(number), SAID, zero);
            assert!(series.young.len() + series.old.len() <= 2 * MOST);
            assert_eq!(series.last(series.id(number)), Some(SAID));
        }
    }
}
