//! A target that somebody else changes again and again is restored more and more slowly: two that undo each other's work
//! for ever would be a nuisance to the API server.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::schedule::{earlier, later, since};

/// So many repairs in a row are made at once.
const AT_ONCE: u32 = 8;

/// The longest pause between two repairs.
const LONGEST: Duration = Duration::from_mins(5);

/// After so long without one, the next repair is the first again.
const FORGIVEN: Duration = Duration::from_mins(15);

/// How often in a row a target was repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    last: Option<(u32, Timestamp)>,
}

// === impl Pace ===

impl Pace {
    /// A repair was made.
    pub fn note(&mut self, now: Timestamp) {
        let row = self.last.filter(|(_, at)| since(now, *at) < FORGIVEN).map_or(0, |(count, _)| count);
        self.last = Some((row.saturating_add(1), now));
    }

    /// The wall clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        self.last = self.last.map(|(count, at)| (count, earlier(at, by)));
    }

    /// When the next repair may be made, if that is not now.
    #[must_use]
    pub fn holds_until(self, now: Timestamp) -> Option<Timestamp> {
        let (count, at) = self.last?;
        let doubled = count.checked_sub(AT_ONCE)?;
        let pause = Duration::from_secs(1 << doubled.min(16)).min(LONGEST);
        Some(later(at, pause)).filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// How many repairs are made in an hour to somebody who undoes each at once.
    fn repairs_in_an_hour() -> u32 {
        let mut pace = Pace::default();
        let repairs = (0..3600).filter(|second| {
            let free = pace.holds_until(at(*second)).is_none();
            if free {
                pace.note(at(*second));
            }
            free
        });
        u32::try_from(repairs.count()).unwrap()
    }

    #[test]
    fn a_few_repairs_are_made_at_once() {
        let mut pace = Pace::default();
        for _ in 0..AT_ONCE {
            assert_eq!(pace.holds_until(at(0)), None);
            pace.note(at(0));
        }
        assert_eq!(pace.holds_until(at(0)), Some(at(1)));
        assert_eq!(pace.holds_until(at(1)), None);
    }

    #[test]
    fn a_fight_gets_slow() {
        assert!((15..30).contains(&repairs_in_an_hour()), "{}", repairs_in_an_hour());
    }

    #[test]
    fn peace_is_noticed() {
        let mut pace = Pace::default();
        (0..20).for_each(|_| pace.note(at(0)));
        assert_eq!(pace.holds_until(at(299)), Some(at(300)));
        pace.note(at(900));
        assert_eq!(pace.holds_until(at(900)), None);
    }
}
