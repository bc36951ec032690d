//! When a token is refreshed, and when a failed try is repeated. Everything here is arithmetic on the times given.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A mounted file follows its Secret only with the kubelet's next sync: up to 75 s with the default settings. Twice that
/// is what a refresh must leave.
const KUBELET_LAG: Duration = Duration::from_secs(150);

/// The largest part of a lifetime by which a refresh comes earlier than it must, in percent.
const JITTER_PERCENT: u32 = 5;

/// No timer sleeps longer without looking at the wall clock again: timers stand still while a machine is suspended.
pub const LONGEST_SLEEP: Duration = Duration::from_mins(5);

/// What claims to be so much younger than now was noted by a clock that was wrong.
const CLOCK_DOUBT: Duration = Duration::from_mins(1);

/// How long before expiry a token is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewBefore {
    /// A share of the lifetime, in percent.
    Percent(u32),
    /// A fixed time.
    Span(Duration),
}

/// A token's life as this process measures it: from just before it was asked for, for as long as IAM said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the exchange began, in whole seconds.
    pub since: Timestamp,
    /// `expires_in` of the answer.
    pub lasts: Duration,
}

/// How a failure is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It should pass by itself.
    Soon,
    /// It should pass by itself, and the other side said when: as long from the failure.
    After(Duration),
    /// It may pass, but only slowly and mostly with a person's help.
    Slowly,
    /// It may pass in a moment, or only with a person's help: soon at first, and ever more slowly.
    EverSlower,
    /// It may pass, but not before this long.
    NotWithin(Duration),
    /// It cannot pass until something changes that is watched.
    OnChange,
}

// === impl RenewBefore ===

impl Default for RenewBefore {
    /// A fifth, as IBM's own SDKs do (IBM/go-sdk-core, `core/iam_authenticator.go`).
    fn default() -> Self {
        Self::Percent(20)
    }
}

impl RenewBefore {
    /// `"20%"` or a Go duration such as `"12m"`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().ok().filter(|p| (1..=50).contains(p)).map(Self::Percent);
        }
        parse_span(text).map(Self::Span)
    }
}

/// `1h30m`, `45s`: whole numbers of hours, minutes and seconds, as Go's `time.ParseDuration` reads them.
pub(super) fn parse_span(text: &str) -> Option<Duration> {
    let mut seconds: Option<u64> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(['h', 'm', 's'])?);
        let (unit, tail) = tail.split_at(1);
        let unit = match unit {
            "h" => 3600,
            "m" => 60,
            _ => 1,
        };
        let digits = (1..=6).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let part = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)?;
        seconds = Some(seconds.unwrap_or(0).checked_add(part)?);
        rest = tail;
    }
    seconds.map(Duration::from_secs)
}

// === impl Life ===

impl Life {
    /// The first moment at which the token counts as expired.
    #[must_use]
    pub fn expires_at(self) -> Timestamp {
        later(self.since, self.lasts)
    }

    /// A clock that was wrong says when it began, or the one that is read now is wrong.
    #[must_use]
    pub fn is_from_the_future(self, now: Timestamp) -> bool {
        is_from_the_future(self.since, now)
    }

    /// When a refresh is due: `renew` (but at least 150 s) before expiry, earlier by a jitter of up to 5 % of
    /// the lifetime that `seed` draws, and never before half of the lifetime has passed.
    #[must_use]
    pub fn refresh_at(self, renew: RenewBefore, seed: u16) -> Timestamp {
        let lead = match renew {
            RenewBefore::Percent(percent) => self.lasts * percent / 100,
            RenewBefore::Span(span) => span,
        };
        let jitter = self.lasts * JITTER_PERCENT / 100 * u32::from(seed) / u32::from(u16::MAX);
        let lead = lead.max(KUBELET_LAG).saturating_add(jitter).min(self.lasts / 2);
        later(self.since, self.lasts.saturating_sub(lead))
    }

    /// From when on a token that another `IamToken` of the same credential has just got is taken over, so that both are
    /// refreshed together from then on: half way to the refresh, which makes any two rhythms meet.
    #[must_use]
    pub fn joins_from(self, renew: RenewBefore, seed: u16) -> Timestamp {
        let way = self.refresh_at(renew, seed).duration_since(self.since);
        self.since.saturating_add(way / 2).unwrap_or(Timestamp::MAX)
    }
}

// === retries ===

const SOON_FIRST: Duration = Duration::from_secs(2);
const SOON_LAST: Duration = Duration::from_secs(30);
const SLOWLY_FIRST: Duration = Duration::from_mins(1);
const SLOWLY_LAST: Duration = Duration::from_mins(15);
const SHORTEST: Duration = Duration::from_secs(1);
const SHORTEST_AFTER: Duration = Duration::from_secs(5);

/// When try number `attempts` + 1 may be made, `attempts` ≥ 1 having failed, the last one at `failed_at`; `None` where
/// only a change helps. `expires_at` is when the token now in place dies, if there is one.
///
/// Passing failures never make it wait past a quarter of what is left of that token. What the other side asked for is
/// honoured in full where the token outlives it by a minute, and else cut to that quarter, but at least 5 s.
#[must_use]
pub fn retry_at(
    retry: Retry,
    attempts: u32,
    failed_at: Timestamp,
    expires_at: Option<Timestamp>,
    seed: u16,
) -> Option<Timestamp> {
    let left = expires_at.map(|at| since(at, failed_at)).filter(|left| !left.is_zero());
    let wait = match retry {
        Retry::OnChange => return None,
        Retry::Soon => within_quarter(backoff(SOON_FIRST, SOON_LAST, attempts, seed), left, SHORTEST),
        Retry::After(asked) => {
            let own = within_quarter(backoff(SOON_FIRST, SOON_LAST, attempts, seed), left, SHORTEST);
            let outlived = left.is_some_and(|left| left >= asked.saturating_add(Duration::from_mins(1)));
            let honoured = if outlived { asked } else { asked.min(left.unwrap_or_default() / 4).max(SHORTEST_AFTER) };
            own.max(honoured)
        }
        Retry::Slowly => within_quarter(backoff(SLOWLY_FIRST, SLOWLY_LAST, attempts, seed), left, SLOWLY_FIRST),
        Retry::EverSlower => within_quarter(backoff(SOON_FIRST, SLOWLY_LAST, attempts, seed), left, SHORTEST),
        Retry::NotWithin(least) => least.max(backoff(SLOWLY_FIRST, SLOWLY_LAST, attempts, seed)),
    };
    Some(later(failed_at, wait))
}

/// `first`, doubled with each further attempt up to `last`, and up to a fifth longer, as `seed` draws.
fn backoff(first: Duration, last: Duration, attempts: u32, seed: u16) -> Duration {
    let doubled = first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(last);
    let turn = seed.rotate_left(attempts % 16);
    doubled + doubled / 5 * u32::from(turn) / u32::from(u16::MAX)
}

fn within_quarter(wait: Duration, left: Option<Duration>, shortest: Duration) -> Duration {
    left.map_or(wait, |left| wait.min((left / 4).max(shortest)))
}

// === times ===

/// Noted by a clock that was wrong, or the one that is read now is wrong.
#[must_use]
pub fn is_from_the_future(noted: Timestamp, now: Timestamp) -> bool {
    since(noted, now) > CLOCK_DOUBT
}

/// `at` and as long after it, at most the end of time.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.saturating_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// `at` and as long before it, at least the beginning of time.
#[must_use]
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.saturating_sub(by).ok()).unwrap_or(Timestamp::MIN)
}

/// How long from `earlier` to `at`; zero where that is not later.
#[must_use]
pub fn since(at: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(earlier)).unwrap_or_default()
}

/// Without its fraction of a second.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn life(seconds: u64) -> Life {
        Life { since: at(0), lasts: Duration::from_secs(seconds) }
    }

    #[test]
    fn refreshes_with_a_fifth_left_or_the_kubelets_lag() {
        let table = [
            (3600, 2880),
            (1200, 960),
            (900, 720),
            (600, 450), // 150 s rather than a fifth
            (300, 150),
            (60, 30), // but not before half
            (20, 10),
        ];
        for (lasts, due) in table {
            assert_eq!(life(lasts).refresh_at(RenewBefore::default(), 0), at(due), "{lasts} s");
        }
    }

    #[test]
    fn jitter_is_at_most_a_twentieth_and_never_before_half() {
        let hour = life(3600);
        assert_eq!(hour.refresh_at(RenewBefore::default(), u16::MAX), at(2880 - 180));
        assert_eq!(life(60).refresh_at(RenewBefore::default(), u16::MAX), at(30));
        let early = RenewBefore::Percent(50);
        assert_eq!(hour.refresh_at(early, u16::MAX), at(1800));
    }

    #[test]
    fn no_renew_before_can_make_a_stale_token_or_a_hot_loop() {
        let hour = life(3600);
        assert_eq!(hour.refresh_at(RenewBefore::Span(Duration::ZERO), 0), at(3450));
        assert_eq!(hour.refresh_at(RenewBefore::Span(Duration::from_hours(9)), 0), at(1800));
        assert_eq!(hour.refresh_at(RenewBefore::Span(Duration::from_mins(12)), 0), at(2880));
    }

    #[test]
    fn renew_before_is_read_strictly() {
        assert_eq!(RenewBefore::parse("20%"), Some(RenewBefore::Percent(20)));
        assert_eq!(RenewBefore::parse("1h30m"), Some(RenewBefore::Span(Duration::from_mins(90))));
        for bad in ["", "%", "0%", "51%", "-5m", "12", "soon", "1e3s"] {
            assert_eq!(RenewBefore::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn two_rhythms_meet() {
        let hour = life(3600);
        assert_eq!(hour.joins_from(RenewBefore::default(), 0), at(1440));
    }

    #[test]
    fn passing_failures_stay_within_a_quarter() {
        for (attempts, left, most) in [(1, 720, 3), (9, 720, 180), (9, 100, 25), (9, 2, 1)] {
            let wait = since(retry_at(Retry::Soon, attempts, at(0), Some(at(left)), 9).unwrap(), at(0));
            assert!(wait <= Duration::from_secs(most) && wait >= SHORTEST, "{attempts} {left}: {wait:?}");
        }
        let hopeless = since(retry_at(Retry::Soon, 30, at(0), None, u16::MAX).unwrap(), at(0));
        assert_eq!(hopeless, Duration::from_secs(36));
    }

    #[test]
    fn retry_after_is_honoured_where_the_token_outlives_it() {
        let wait = |asked, left: Option<i64>| {
            let retry = Retry::After(Duration::from_secs(asked));
            since(retry_at(retry, 1, at(0), left.map(at), 0).unwrap(), at(0)).as_secs()
        };
        assert_eq!(wait(300, Some(360)), 300);
        assert_eq!(wait(300, Some(359)), 89); // a quarter
        assert_eq!(wait(300, Some(8)), 5);
        assert_eq!(wait(7, Some(600)), 7);
        assert_eq!(wait(3600, None), 5);
        assert_eq!(wait(0, Some(600)), 2); // our own back-off
    }

    #[test]
    fn a_rejected_credential_is_tried_slowly() {
        let wait = |attempts, left: Option<i64>| {
            since(retry_at(Retry::Slowly, attempts, at(0), left.map(at), 0).unwrap(), at(0)).as_secs()
        };
        assert_eq!([wait(1, None), wait(2, None), wait(9, None)], [60, 120, 900]);
        assert_eq!(wait(9, Some(720)), 180);
        assert_eq!(wait(9, Some(30)), 60);
        let gently = |attempts| since(retry_at(Retry::EverSlower, attempts, at(0), None, 0).unwrap(), at(0)).as_secs();
        assert_eq!([gently(1), gently(2), gently(5), gently(20)], [2, 4, 32, 900]);
        assert_eq!(retry_at(Retry::EverSlower, 20, at(0), Some(at(40)), 0), Some(at(10)));
        assert_eq!(retry_at(Retry::OnChange, 1, at(0), None, 0), None);
        let locked = retry_at(Retry::NotWithin(Duration::from_mins(30)), 1, at(0), Some(at(60)), 0);
        assert_eq!(locked, Some(at(1800)));
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let eternal = Life { since: at(0), lasts: Duration::MAX };
        assert_eq!(eternal.expires_at(), Timestamp::MAX);
    }
}
