//! How many events one object gets, so that nobody fills etcd with them by changing it to and fro: as client-go's
//! `EventSourceObjectSpamFilter` has it (`k8s.io/client-go/tools/record/events_cache.go`: `defaultSpamBurst`,
//! `defaultSpamQPS`, `maxLruCacheEntries`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::bucket::{Allowance, Bucket};
use super::view::Key;

const EACH: Allowance = Allowance { at_once: 25.0, period: Duration::from_mins(5) };

/// So many objects are remembered.
const MOST: usize = 4096;

/// What each object has had. One that is deleted and made again is the same.
#[derive(Debug, Default)]
pub struct SpamFilter {
    used: HashMap<Key, (Bucket, Option<Instant>)>,
}

// === impl SpamFilter ===

impl SpamFilter {
    /// Whether the object may have one more event.
    pub fn admits(&mut self, object: &Key, now: Instant) -> bool {
        if !self.used.contains_key(object) && self.used.len() >= MOST {
            self.make_room(now);
        }
        let (bucket, last) = self.used.entry(object.clone()).or_default();
        *last = Some(now);
        bucket.take(EACH, now).is_ok()
    }

    /// Forgets those that have all theirs back, and half of the others where those are all too many: the ones that were
    /// heard of least recently.
    fn make_room(&mut self, now: Instant) {
        self.used.retain(|_, (bucket, _)| !bucket.is_whole(EACH, now));
        if self.used.len() < MOST {
            return;
        }
        let mut times: Vec<_> = self.used.values().map(|(_, last)| *last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        self.used.retain(|_, (_, last)| *last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: usize) -> Key {
        Key::new("ns", format!("token-{number}"))
    }

    fn zero() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    #[test]
    fn some_at_once_and_then_one_in_five_minutes() {
        let (mut filter, zero) = (SpamFilter::default(), zero());
        let admitted = (0..86_400).filter(|second| filter.admits(&object(1), zero + Duration::from_secs(*second)));
        assert_eq!(admitted.count(), 25 + 86_399 / 300);
        assert!(filter.admits(&object(2), zero), "each has its own");
    }

    #[test]
    fn memory_is_bounded_and_who_made_noise_last_is_remembered() {
        let (mut filter, zero) = (SpamFilter::default(), zero());
        for number in 0..3 * MOST {
            let now = zero + Duration::from_millis(u64::try_from(number).unwrap());
            while number == MOST - 1 && filter.admits(&object(number), now) {}
            filter.admits(&object(number), now);
            assert!(filter.used.len() <= MOST);
            assert!(number != MOST + 5 || !filter.admits(&object(MOST - 1), now), "forgotten too soon");
        }
        filter.admits(&object(0), zero + Duration::from_hours(9));
    }
}
