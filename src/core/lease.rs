//! Who may act, where several replicas run. Judged by the time that passed here since something was seen, never by the
//! times that another machine wrote.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use super::schedule::{later, since};

/// After so long without a renewal a lease is anybody's: as Kubernetes' own components have it, in seconds.
pub const DURATION: Duration = Duration::from_secs(15);

/// How often the leader renews it.
pub const RENEW_EVERY: Duration = Duration::from_secs(2);

/// How often the others look at it.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A leader that could not renew for so long stops acting.
pub const STEP_DOWN: Duration = Duration::from_secs(10);

/// So long after they last saw it renewed, the others may take it: after the leader has stopped, and soon enough to act
/// within [`DURATION`] after it crashed.
pub const TAKE_OVER: Duration = Duration::from_secs(13);

/// A moment by both clocks: the monotonic one stands still while a machine is suspended, the wall clock may be set.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the monotonic clock.
    pub steady: Instant,
    /// By the wall clock.
    pub wall: Timestamp,
}

/// What the wall clock did beside going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was set ahead, or the machine was suspended.
    Ahead(Duration),
    /// It was set back.
    Back(Duration),
}

/// Clocks are disciplined by less than this all the time.
const SMALLEST_STEP: Duration = Duration::from_secs(2);

/// A lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its resourceVersion.
    pub version: String,
    /// Who holds it, if anybody does.
    pub holder: Option<String>,
}

/// What one replica knows of the lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    me: String,
    seen: Option<(Lease, Moment)>,
    renewed: Option<Moment>,
}

// === impl Moment ===

impl Moment {
    /// How long ago `earlier` was at the least. The monotonic clock never counts time that has not passed.
    #[must_use]
    pub fn least_since(self, earlier: Self) -> Duration {
        self.steady.saturating_duration_since(earlier.steady)
    }

    /// How long ago `earlier` may have been: as long as the clock says that saw more time pass.
    #[must_use]
    pub fn most_since(self, earlier: Self) -> Duration {
        self.least_since(earlier).max(since(self.wall, earlier.wall))
    }

    /// What the wall clock did since `earlier` beside going on, if that is more than a clock does anyway.
    #[must_use]
    pub fn step_since(self, earlier: Self) -> Option<Step> {
        let reckoned = later(earlier.wall, self.least_since(earlier));
        let (ahead, back) = (since(self.wall, reckoned), since(reckoned, self.wall));
        match ahead.max(back) >= SMALLEST_STEP {
            true if back.is_zero() => Some(Step::Ahead(ahead)),
            true => Some(Step::Back(back)),
            false => None,
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(me: String) -> Self {
        Self { me, seen: None, renewed: None }
    }

    /// Its name in the lease.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.me
    }

    /// The lease was read, or there is none. A state that was seen before keeps the moment in which it was first seen. One
    /// that somebody deleted is its last holder's until that one has surely noticed.
    pub fn saw(&mut self, lease: Option<Lease>, now: Moment) {
        let lease = lease.or_else(|| {
            let (last, _) = self.seen.as_ref()?;
            Some(Lease { version: String::new(), holder: last.holder.clone() })
        });
        if lease.as_ref().is_some_and(|lease| lease.holder.as_ref() != Some(&self.me)) {
            self.renewed = None;
        }
        if self.seen.as_ref().map(|(seen, _)| seen) != lease.as_ref() {
            self.seen = lease.map(|lease| (lease, now));
        }
    }

    /// Our own write, begun at `begun`, took effect and left this version.
    pub fn renewed(&mut self, version: String, begun: Moment) {
        self.seen = Some((Lease { version, holder: Some(self.me.clone()) }, begun));
        self.renewed = Some(begun);
    }

    /// Somebody else wrote it, or we gave it up.
    pub fn lost(&mut self) {
        self.renewed = None;
    }

    /// Whether it may act, and for how long yet.
    #[must_use]
    pub fn leads_for(&self, now: Moment) -> Option<Duration> {
        STEP_DOWN.checked_sub(now.most_since(self.renewed?)).filter(|left| !left.is_zero())
    }

    /// Whether it may write its name into the lease.
    #[must_use]
    pub fn may_take(&self, now: Moment) -> bool {
        match &self.seen {
            None => true,
            Some((lease, first)) => match &lease.holder {
                None => true,
                Some(holder) => *holder == self.me || now.least_since(*first) >= TAKE_OVER,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds by the monotonic and by the wall clock.
    fn moment(steady: u64, wall: i64) -> Moment {
        static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let zero = *ZERO.get_or_init(Instant::now);
        Moment {
            steady: zero + Duration::from_secs(steady),
            wall: Timestamp::from_second(1_800_000_000 + wall).unwrap(),
        }
    }

    fn at(second: u64) -> Moment {
        moment(second, i64::try_from(second).unwrap())
    }

    fn held(version: &str, holder: &str) -> Lease {
        Lease { version: version.into(), holder: Some(holder.into()) }
    }

    #[test]
    fn a_leader_stops_before_another_may_start() {
        let (mut leader, mut other) = (Candidate::new("a".into()), Candidate::new("b".into()));
        leader.renewed("1".into(), at(0));
        // At the earliest the other sees it in the moment in which it was written.
        other.saw(Some(held("1", "a")), at(0));
        for second in 0..60 {
            let both = leader.leads_for(at(second)).is_some() && other.may_take(at(second));
            assert!(!both, "two leaders at {second}");
        }
        assert!(leader.leads_for(at(9)).is_some() && leader.leads_for(at(10)).is_none());
        assert!(!other.may_take(at(12)) && other.may_take(at(13)));
    }

    #[test]
    fn each_renewal_that_is_seen_counts_anew() {
        let mut other = Candidate::new("b".into());
        for second in 0..60 {
            other.saw(Some(held(&(second / 2).to_string(), "a")), at(second));
            assert!(!other.may_take(at(second)));
        }
    }

    #[test]
    fn what_nobody_holds_is_anybodys() {
        let mut candidate = Candidate::new("b".into());
        candidate.saw(None, at(0));
        assert!(candidate.may_take(at(0)));
        candidate.saw(Some(Lease { version: "3".into(), holder: None }), at(0));
        assert!(candidate.may_take(at(0)));
    }

    #[test]
    fn a_suspended_machine_and_a_clock_that_is_set_end_a_lead_rather_than_lengthen_it() {
        let mut leader = Candidate::new("a".into());
        leader.renewed("1".into(), at(0));
        assert!(leader.leads_for(moment(1, 3600)).is_none(), "suspended: the monotonic clock stood still");
        assert!(leader.leads_for(moment(11, -3600)).is_none(), "the wall clock was set back");
        assert!(leader.leads_for(moment(1, -3600)).is_some());
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_from_its_going_on() {
        let step = |steady, wall| moment(steady, wall).step_since(moment(0, 0));
        assert_eq!([step(5, 5), step(5, 6), step(5, 4), step(0, 0)], [None; 4]);
        assert_eq!(step(5, 3605), Some(Step::Ahead(Duration::from_hours(1))));
        assert_eq!(step(5, -55), Some(Step::Back(Duration::from_mins(1))));
        assert_eq!(step(3600, 3598), Some(Step::Back(Duration::from_secs(2))));
    }

    #[test]
    fn a_clock_that_is_set_makes_nobody_take_over_early() {
        let mut other = Candidate::new("b".into());
        other.saw(Some(held("1", "a")), at(0));
        assert!(!other.may_take(moment(12, 3600)));
        assert!(other.may_take(moment(13, -3600)));
    }

    #[test]
    fn a_leader_that_sees_another_in_its_place_has_lost() {
        let mut leader = Candidate::new("a".into());
        leader.renewed("1".into(), at(0));
        leader.saw(Some(held("1", "a")), at(1));
        assert!(leader.leads_for(at(1)).is_some());
        leader.saw(Some(held("2", "b")), at(1));
        assert!(leader.leads_for(at(1)).is_none() && !leader.may_take(at(1)));
    }

    #[test]
    fn a_lease_that_was_deleted_is_its_holders_for_a_while() {
        let mut other = Candidate::new("b".into());
        other.saw(Some(held("1", "a")), at(0));
        other.saw(None, at(5));
        other.saw(None, at(6));
        assert!(!other.may_take(at(17)) && other.may_take(at(18)));
    }

    #[test]
    fn who_has_lost_does_not_lead() {
        let mut leader = Candidate::new("a".into());
        assert!(leader.leads_for(at(0)).is_none());
        leader.renewed("1".into(), at(0));
        leader.lost();
        assert!(leader.leads_for(at(1)).is_none());
    }
}
