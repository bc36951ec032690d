use super::*;
use crate::api::{CONDITION_READY, CONDITION_STALLED};
use crate::core::failure::{Failure, Kind, Verdict};
use crate::core::problem::Problem;
use crate::core::schedule::{RenewBefore, later};
use crate::core::status;

const DAY: i64 = 86_400;
const GENERATION: i64 = 3;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn source() -> Source {
    Source::ApiKey { name: "hpcs-api-key".into(), key: "apikey".into() }
}

fn expiring(second: i64) -> KeyHealth {
    KeyHealth { expires_at: Some(at(second)), ..KeyHealth::default() }
}

fn disabled() -> KeyHealth {
    KeyHealth { disabled: true, ..KeyHealth::default() }
}

fn situation(source: &Source, known: Known) -> Situation<'_> {
    Situation {
        generation: GENERATION,
        target: None,
        record: None,
        unknown: false,
        intact: false,
        renew_before: RenewBefore::default(),
        suspended: false,
        problem: None,
        api_key: ApiKey::of(source, known),
    }
}

fn next(before: &IamTokenStatus, known: Known, now: Timestamp) -> IamTokenStatus {
    status::next(before, &situation(&source(), known), now)
}

fn first(known: Known, second: i64) -> IamTokenStatus {
    next(&IamTokenStatus::default(), known, at(second))
}

/// Reason and message.
fn risk(status: &IamTokenStatus) -> Option<(&str, &str)> {
    find(status, CONDITION_API_KEY_AT_RISK).map(|it| (it.reason.as_str(), it.message.as_str()))
}

fn reason(health: KeyHealth, second: i64) -> Option<&'static str> {
    health.reason(at(second)).map(Reason::as_str)
}

#[test]
fn fourteen_days_before_it_expires_a_key_is_at_risk() {
    let table = [
        (15 * DAY, None),
        (14 * DAY + 1, None),
        (14 * DAY, Some("ApiKeyExpiring")),
        (1, Some("ApiKeyExpiring")),
        (0, Some("ApiKeyExpired")),
        (-DAY, Some("ApiKeyExpired")),
    ];
    for (left, expected) in table {
        assert_eq!(reason(expiring(left), 0), expected, "{left} s left");
    }
    assert_eq!(reason(KeyHealth::default(), 0), None);
    assert_eq!(reason(KeyHealth { locked: true, ..KeyHealth::default() }, 0), None, "locked is no danger");
    assert_eq!(reason(disabled(), 0), Some("ApiKeyDisabled"));
    assert_eq!(reason(KeyHealth { disabled: true, ..expiring(-1) }, 0), Some("ApiKeyDisabled"));
}

#[test]
fn absurd_times_do_no_harm() {
    for at in [Timestamp::MIN, Timestamp::MAX] {
        let health = KeyHealth { expires_at: Some(at), ..KeyHealth::default() };
        let status = first(Known::Told(health), 0);
        assert!(status.api_key_expires_at.is_some());
        assert_eq!(risk(&status).is_some(), at == Timestamp::MIN);
        let source = source();
        let key = ApiKey::of(&source, Known::Told(health)).unwrap();
        assert_eq!(key.changes_at(self::at(0)).is_some(), at == Timestamp::MAX);
    }
}

#[test]
fn the_message_names_secret_key_date_and_what_to_do() {
    let status = first(Known::Told(expiring(DAY)), 0);
    let expected = "The API key at key apikey of Secret hpcs-api-key expires at 2027-01-16T08:00:00Z: from then on IAM \
        gives no tokens for it. Before that, create a new one and put it into the Secret; it is taken at once.";
    assert_eq!(risk(&status), Some(("ApiKeyExpiring", expected)));
    assert_eq!(status.api_key_expires_at, Some(Time(at(DAY))));
    let locked = first(Known::Told(KeyHealth { locked: true, ..expiring(DAY) }), 0);
    assert!(risk(&locked).unwrap().1.ends_with(" It is locked: its expiry can be moved only once it is unlocked."));
    let expired = first(Known::Told(expiring(0)), 0);
    assert!(risk(&expired).unwrap().1.contains("expired at 2027-01-15T08:00:00Z: IAM gives no more tokens for it."));
    let disabled = first(Known::Told(disabled()), 0);
    assert!(
        risk(&disabled)
            .unwrap()
            .1
            .ends_with("Enable it, or create a new one and put it into the Secret; it is taken at once.")
    );
}

#[test]
fn a_healthy_key_has_no_condition_but_perhaps_a_date() {
    let status = first(Known::Told(expiring(20 * DAY)), 0);
    assert_eq!(risk(&status), None);
    assert_eq!(status.api_key_expires_at, Some(Time(at(20 * DAY))));
    let eternal = first(Known::Told(KeyHealth::default()), 0);
    assert_eq!((risk(&eternal), &eternal.api_key_expires_at), (None, &None));
}

#[test]
fn nothing_is_said_of_what_is_no_api_key() {
    let source = Source::ServiceAccount { name: "hpcs-client".into() };
    assert!(ApiKey::of(&source, Known::Told(disabled())).is_none());
    let before = first(Known::Told(expiring(DAY)), 0);
    let status = status::next(&before, &situation(&source, Known::NotYet), at(1));
    assert_eq!((risk(&status), &status.api_key_expires_at), (None, &None));
}

#[test]
fn until_iam_was_asked_what_was_said_before_stands() {
    let before = first(Known::Told(expiring(DAY)), 0);
    assert_eq!(next(&before, Known::NotYet, at(60)), before);
    let other = IamTokenStatus { observed_generation: Some(GENERATION - 1), ..before.clone() };
    assert_eq!(risk(&next(&other, Known::NotYet, at(60))), None, "of another spec, perhaps of another key");
    let untold = next(&before, Known::Untold, at(60));
    assert_eq!((risk(&untold), &untold.api_key_expires_at), (None, &None));
    assert_eq!(risk(&next(&before, Known::Told(expiring(90 * DAY)), at(60))), None);
}

#[test]
fn the_condition_changes_only_with_what_it_says() {
    let before = first(Known::Told(expiring(DAY)), 0);
    assert_eq!(next(&before, Known::Told(expiring(DAY)), at(3600)), before);
    let expired = next(&before, Known::Told(expiring(DAY)), at(DAY));
    let since = |status: &IamTokenStatus| find(status, CONDITION_API_KEY_AT_RISK).unwrap().last_transition_time.clone();
    assert_eq!(since(&expired), since(&before), "it was True and still is");
    assert_eq!(risk(&expired).unwrap().0, "ApiKeyExpired");
}

#[test]
fn ready_and_stalled_are_what_they_were() {
    let failure = |endpoint: &str| Failure {
        kind: Kind::Rejected(Verdict::NotFound),
        endpoint: endpoint.into(),
        status: Some(400),
        code: None,
        request_id: None,
    };
    let problem = Problem::Iam(failure("https://iam.cloud.ibm.com"));
    let source = source();
    let of = |known| {
        let s = Situation { problem: Some(&problem), ..situation(&source, known) };
        let mut status = status::next(&IamTokenStatus::default(), &s, at(0));
        status.conditions.retain(|condition| condition.type_ != CONDITION_API_KEY_AT_RISK);
        status.api_key_expires_at = None;
        status
    };
    let (with, without) = (of(Known::Told(expiring(0))), of(Known::Untold));
    assert_eq!(with, without);
    assert!(find(&with, CONDITION_READY).is_some() && find(&with, CONDITION_STALLED).is_some());
}

#[test]
fn one_event_for_each_step_for_the_worse() {
    let healthy = first(Known::Told(expiring(20 * DAY)), 0);
    let soon = next(&healthy, Known::Told(expiring(20 * DAY)), at(6 * DAY));
    let over = next(&soon, Known::Told(expiring(20 * DAY)), at(20 * DAY));
    let steps = [(&healthy, &healthy, None), (&healthy, &soon, Some("ApiKeyExpiring")), (&soon, &soon, None)];
    let more = [(&soon, &over, Some("ApiKeyExpired")), (&over, &over, None), (&over, &healthy, None)];
    for (before, after, expected) in steps.into_iter().chain(more) {
        let note = transition(before, after);
        assert_eq!(note.as_ref().map(|note| note.reason.as_str()), expected);
        assert!(note.is_none_or(|note| note.warning && note.text == risk(after).unwrap().1));
    }
}

#[test]
fn the_next_look_is_when_something_else_is_to_be_said() {
    let source = source();
    let changes = |health, second| ApiKey::of(&source, Known::Told(health)).unwrap().changes_at(at(second));
    assert_eq!(changes(expiring(20 * DAY), 0), Some(at(6 * DAY)));
    assert_eq!(changes(expiring(20 * DAY), 6 * DAY), Some(at(20 * DAY)));
    assert_eq!(changes(expiring(20 * DAY), 20 * DAY), None);
    assert_eq!(changes(KeyHealth::default(), 0), None);
    assert_eq!(changes(KeyHealth { disabled: true, ..expiring(DAY) }, 0), None);
    assert_eq!(ApiKey::of(&source, Known::NotYet).unwrap().changes_at(at(0)), None);
    // At that time the reason is another one.
    for (health, from) in [(expiring(20 * DAY), 0), (expiring(20 * DAY), 7 * DAY)] {
        let then = changes(health, from).unwrap();
        assert_ne!(health.reason(at(from)), health.reason(then));
        assert_eq!(health.reason(at(from)), health.reason(earlier(then, Duration::from_secs(1))));
    }
}

#[test]
fn a_key_is_asked_about_every_six_hours_and_sooner_at_risk() {
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    let zero = Instant::now();
    let due = |known: Known, minutes: u64| known.is_due(zero, zero + Duration::from_mins(minutes), at(0));
    for known in [Known::Untold, Known::NotYet, Known::Told(KeyHealth::default()), Known::Told(expiring(20 * DAY))] {
        assert_eq!([due(known, 359), due(known, 360)], [false, true], "{known:?}");
    }
    for known in [Known::Told(expiring(DAY)), Known::Told(expiring(-DAY)), Known::Told(disabled())] {
        assert_eq!([due(known, 4), due(known, 5)], [false, true], "{known:?}");
    }
    assert!(!Known::Untold.is_due(later_instant(zero), zero, at(0)), "an instant from the future overflows nothing");
}

fn later_instant(at: Instant) -> Instant {
    at + Duration::from_hours(1)
}

#[test]
fn what_iam_told_is_believed_while_it_can_be_true() {
    let now = at(0);
    for before in [Known::NotYet, Known::Untold, Known::Told(disabled())] {
        assert_eq!(before.after(None, now), Known::Untold, "{before:?}");
        assert_eq!(before.after(Some(expiring(1)), now), Known::Told(expiring(1)), "{before:?}");
    }
    let told = Known::Told(expiring(DAY));
    assert_eq!(told.after(None, now), told);
    assert_eq!(told.after(None, at(DAY)), Known::Untold, "it was exchanged a moment ago: the date is not the key's");
    assert_eq!(told.after(None, later(at(DAY), Duration::from_secs(1))), Known::Untold);
}
