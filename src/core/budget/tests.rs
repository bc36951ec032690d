use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::api::{IamTokenStatus, Reason};
use crate::core::schedule::{Life, RenewBefore, later, since};

const DEFAULT: u32 = 300;

fn zero() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    Instant::now()
}

fn wall(second: u64) -> Timestamp {
    later(Timestamp::from_second(1_800_000_000).unwrap(), Duration::from_secs(second))
}

/// One act, paid for and done at once, if it may be.
fn acts(budget: &mut Budget, namespace: &str, now: Instant) -> bool {
    budget.pay(namespace, &mut Dues::Owed, now) == Answer::Now
}

#[test]
fn two_thousand_tokens_at_once_are_not_held_up_and_neither_is_a_restored_backup() {
    let (mut budget, now) = (Budget::new(DEFAULT), zero());
    assert!((0..3000).all(|_| acts(&mut budget, "payments", now)));
    assert!(!acts(&mut budget, "payments", now));
    assert_eq!(budget.over(), 1);
}

#[test]
fn who_churns_gets_ten_minutes_at_once_and_then_so_many_a_minute() {
    let (mut budget, begin) = (Budget::new(DEFAULT), zero());
    let mut done = 0;
    let mut dues = vec![Dues::Owed; 1000];
    for tick in 0..36_000 {
        let now = begin + Duration::from_millis(100) * tick;
        for dues in &mut dues {
            if budget.pay("hostile", dues, now) == Answer::Now {
                (*dues, done) = (Dues::Owed, done + 1);
            }
        }
    }
    assert!((20_990..=21_001).contains(&done), "{done} in an hour: 3,000 and 60 times 300");
}

#[test]
fn neighbours_are_not_held_up() {
    let (mut budget, now) = (Budget::new(1), zero());
    while acts(&mut budget, "hostile", now) {}
    assert!(acts(&mut budget, "payments", now));
}

#[test]
fn a_crowd_that_waits_asks_once_each() {
    let (mut budget, now) = (Budget::new(60), zero());
    let mut turns = vec![];
    for _ in 0..600 + 100 {
        let mut dues = Dues::Owed;
        if let Answer::At { turn, .. } = budget.pay("payments", &mut dues, now) {
            assert_eq!(
                budget.pay("payments", &mut dues, turn.checked_sub(Duration::from_millis(1)).unwrap()),
                Answer::At { turn, begins: false }
            );
            assert_eq!(budget.pay("payments", &mut dues, turn), Answer::Now);
            turns.push(turn);
        }
    }
    let gaps = turns.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(turns.len() == 100 && gaps.min() > Some(Duration::from_millis(999)));
}

#[test]
fn nobody_is_promised_a_turn_that_is_far_away_and_none_comes_without_one() {
    let (mut budget, now) = (Budget::new(60), zero());
    let mut all: Vec<Dues> = vec![Dues::Owed; 5000];
    let mut promised = |now: Instant| {
        all.iter_mut().map(|dues| usize::from(budget.pay("payments", dues, now) != Answer::Now)).sum::<usize>()
    };
    assert_eq!(promised(now), 4400);
    assert_eq!(promised(now + LONGEST_WAIT), 4400 - 600, "those without a turn go on waiting");
}

#[test]
fn what_is_paid_for_is_not_paid_for_twice() {
    let (mut budget, now) = (Budget::new(1), zero());
    let mut dues = Dues::Owed;
    assert!((0..1000).all(|_| budget.pay("payments", &mut dues, now) == Answer::Now));
    assert!(acts(&mut budget, "payments", now), "only one of ten was used");
}

#[test]
fn nothing_is_no_limit() {
    let (mut budget, now) = (Budget::new(0), zero());
    assert!((0..100_000).all(|_| acts(&mut budget, "payments", now)));
    assert_eq!((budget.over(), budget.spent.len()), (0, 0));
}

#[test]
fn begin_and_end_are_told_once_and_who_has_all_back_is_forgotten() {
    let (mut budget, begin) = (Budget::new(60), zero());
    let (mut begins, mut ends) = (0, 0);
    for second in 0..1200 {
        let now = begin + Duration::from_secs(second);
        for _ in 0..50 {
            let answer = budget.pay("hostile", &mut Dues::Owed, now);
            begins += u32::from(matches!(answer, Answer::At { begins: true, .. }));
        }
        ends += budget.sweep(now).len();
    }
    assert_eq!((begins, ends, budget.over()), (1, 0, 1));
    let calm = begin + Duration::from_hours(1);
    assert_eq!(budget.sweep(calm), ["hostile"]);
    assert_eq!((budget.over(), budget.spent.len()), (0, 0), "memory does not grow with namespaces");
}

// === what is routine ===

/// From when on the next try is routine for somebody who got a token of this life.
fn free_after(life: Life, old: bool) -> Option<Timestamp> {
    let mut routine = Routine::default();
    routine.granted(life);
    routine.tried(life.since);
    routine.free_from(old)
}

#[test]
fn a_refresh_that_is_due_or_shared_never_waits_for_the_budget_whatever_the_spec_says() {
    let spans = ["0s", "1s", "12m", "30m", "9h"].map(|text| RenewBefore::parse(text).unwrap());
    let shares = [1, 20, 50].map(RenewBefore::Percent);
    for lasts in [2, 20, 60, 300, 900, 3600, 7200] {
        let life = Life { since: wall(0), lasts: Duration::from_secs(lasts) };
        for renew in spans.into_iter().chain(shares) {
            for jitter in [0, u16::MAX / 2, u16::MAX] {
                let (due, joins) = (life.refresh_at(renew, jitter), life.joins_from(renew, jitter));
                assert!(since(due, life.since) >= life.lasts / 2, "{lasts} {renew:?}: at most two in a life");
                assert!(
                    free_after(life, false).is_some_and(|at| at <= joins && at <= due),
                    "{lasts} {renew:?} {jitter}"
                );
                assert!(since(free_after(life, true).unwrap(), life.since) >= life.lasts / 4, "at most four in a life");
            }
        }
    }
}

#[test]
fn the_first_token_is_no_routine_but_for_those_who_were_there_before() {
    assert_eq!(Routine::default().free_from(false), None);
    assert_eq!(Routine::default().free_from(true), Some(Timestamp::MIN));
}

#[test]
fn tries_are_no_routine_when_they_follow_fast() {
    let mut routine = Routine::default();
    routine.granted(Life { since: wall(0), lasts: Duration::from_hours(1) });
    routine.tried(wall(3000));
    assert_eq!(routine.free_from(false), Some(wall(3015)));
    routine.set_back(Duration::from_mins(10));
    assert_eq!(routine.free_from(false), Some(wall(2415)));
}

// === statuses ===

fn status(ready: &str, reason: Reason) -> IamTokenStatus {
    let condition = |type_: &str, status: &str, reason: Reason| Condition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.as_str().into(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(wall(0)),
    };
    let conditions = vec![condition("Ready", ready, reason), condition("Stalled", "True", reason)];
    IamTokenStatus { observed_generation: Some(1), conditions, ..IamTokenStatus::default() }
}

#[test]
fn a_status_waits_only_where_it_tells_of_no_token_and_no_change_of_the_spec() {
    let before = status("True", Reason::RefreshFailing);
    assert!(may_wait(&before, &status("True", Reason::SourceNotFound)));
    assert!(!may_wait(&before, &status("False", Reason::SourceNotFound)));
    assert!(!may_wait(&before, &status("True", Reason::NamespaceOverBudget)));
    let token = IamTokenStatus { expires_at: Some(Time(wall(3600))), ..before.clone() };
    assert!(!may_wait(&before, &token));
    let spec = IamTokenStatus { observed_generation: Some(2), ..before.clone() };
    assert!(!may_wait(&before, &spec));
}
