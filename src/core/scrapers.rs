//! Who may scrape, as the API server said, and when it is asked again. Whoever comes with made-up tokens can neither fill
//! memory nor have the API server asked for each of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::rate::Rate;

/// How long a verdict holds: a right that is withdrawn ends within this.
pub const HOLDS: Duration = Duration::from_secs(30);

/// Who was let in is asked about ahead of strangers for so long. A ServiceAccount's token is renewed once an hour at most.
const KNOWN: Duration = Duration::from_hours(2);

/// So many verdicts are kept.
const MOST: usize = 256;

/// What the API server says of whoever sent a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is nobody's, or has expired.
    Unknown,
    /// It is somebody's who has no right to scrape.
    Forbidden,
    /// They may.
    Allowed,
}

/// What to do with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This was said of it a moment ago.
    Said(Verdict),
    /// The API server is to be asked.
    Ask,
    /// Too many strangers came: not before this has passed.
    Wait(Duration),
}

/// What was said of tokens, by their digests. Its times are monotonic.
#[derive(Debug, Default)]
pub struct Scrapers {
    said: HashMap<[u8; 32], (Verdict, Instant)>,
    strangers: Rate,
}

// === impl Scrapers ===

impl Scrapers {
    /// Somebody comes with the token of this digest.
    pub fn comes(&mut self, token: &[u8; 32], now: Instant) -> Step {
        match self.said.get(token) {
            Some((verdict, at)) if now.saturating_duration_since(*at) < HOLDS => Step::Said(*verdict),
            Some((Verdict::Allowed, _)) => Step::Ask,
            _ => self.strangers.take(now).map_or_else(Step::Wait, |()| Step::Ask),
        }
    }

    /// The API server said this of it.
    pub fn said(&mut self, token: [u8; 32], verdict: Verdict, now: Instant) {
        self.said.retain(|_, (verdict, at)| {
            now.saturating_duration_since(*at) < if *verdict == Verdict::Allowed { KNOWN } else { HOLDS }
        });
        if self.said.len() >= MOST {
            let oldest = self.said.iter().min_by_key(|(_, (verdict, at))| (*verdict == Verdict::Allowed, *at));
            if let Some(oldest) = oldest.map(|(token, _)| *token) {
                self.said.remove(&oldest);
            }
        }
        self.said.insert(token, (verdict, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn zero() -> Instant {
        Instant::now()
    }

    fn token(number: u16) -> [u8; 32] {
        let mut token = [0; 32];
        token[..2].copy_from_slice(&number.to_be_bytes());
        token
    }

    #[test]
    fn a_verdict_holds_for_a_while_and_is_then_asked_for_again() {
        let (zero, mut scrapers) = (zero(), Scrapers::default());
        for (number, verdict) in [Verdict::Unknown, Verdict::Forbidden, Verdict::Allowed].into_iter().enumerate() {
            let token = token(u16::try_from(number).unwrap());
            assert_eq!(scrapers.comes(&token, zero), Step::Ask);
            scrapers.said(token, verdict, zero);
            assert_eq!(scrapers.comes(&token, zero + HOLDS / 2), Step::Said(verdict));
            assert_eq!(scrapers.comes(&token, zero + HOLDS), Step::Ask);
        }
    }

    #[test]
    fn strangers_are_asked_about_a_few_at_a_time_and_never_in_the_way_of_who_is_known() {
        let (zero, mut scrapers) = (zero(), Scrapers::default());
        assert_eq!(scrapers.comes(&token(0), zero), Step::Ask);
        scrapers.said(token(0), Verdict::Allowed, zero);
        let asked = (1..1000).filter(|number| scrapers.comes(&token(*number), zero) == Step::Ask).count();
        assert!(asked < 12, "{asked}");
        assert!(matches!(scrapers.comes(&token(1), zero), Step::Wait(_)));
        assert_eq!(scrapers.comes(&token(0), zero + HOLDS), Step::Ask);
        assert_eq!(scrapers.comes(&token(0), zero + 100 * HOLDS), Step::Ask);
    }

    #[test]
    fn no_more_is_kept_than_fits_and_those_who_may_scrape_stay() {
        let (zero, mut scrapers) = (zero(), Scrapers::default());
        scrapers.said(token(0), Verdict::Allowed, zero);
        for number in 1..1000 {
            scrapers.said(token(number), Verdict::Unknown, zero + Duration::from_millis(number.into()));
        }
        assert_eq!(scrapers.said.len(), MOST);
        assert_eq!(scrapers.comes(&token(0), zero), Step::Said(Verdict::Allowed));
        scrapers.said(token(1), Verdict::Unknown, zero + KNOWN);
        assert_eq!(scrapers.said.len(), 1);
    }
}
