//! Which step from one status to the next is worth which event.

use super::*;

/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// The events on the way through these situations, as `Warning Reason` or `Normal Reason`.
fn events(way: &[(Situation<'_>, i64)]) -> Vec<String> {
    let mut status = IamTokenStatus::default();
    let mut events = vec![];
    for (s, second) in way {
        let after = next(&status, s, at(*second));
        if let Some(note) = transition(&status, &after) {
            events.push(format!("{} {}", if note.warning { "Warning" } else { "Normal" }, note.reason));
        }
        status = after;
    }
    events
}

#[test]
fn the_first_token_is_told_and_a_routine_refresh_is_not() {
    let (first, second, third) = (record(0), record(DUE), record(2 * DUE));
    let way = [
        (of(None, None), 0),
        (of(Some(&first), None), 1),
        (of(Some(&second), None), DUE),
        (of(Some(&third), None), 2 * DUE),
    ];
    assert_eq!(events(&way), ["Normal TokenValid"]);
}

#[test]
fn nothing_new_is_no_event() {
    let (token, problem) = (record(0), rejected());
    for s in
        [of(Some(&token), None), of(Some(&token), Some(&problem)), of(None, Some(&problem)), suspended(Some(&token))]
    {
        for second in [0, DUE, EXPIRED] {
            let status = fresh(&s, second);
            assert_eq!(transition(&status, &status), None);
        }
    }
}

#[test]
fn a_failing_refresh_warns_once_and_its_recovery_is_told() {
    let (token, new) = (record(0), record(DUE + 60));
    let (first, again) = (iam(Kind::Unavailable(None), Some("r-1")), iam(Kind::Unavailable(None), Some("r-2")));
    let way = [
        (of(Some(&token), None), 0),
        (of(Some(&token), Some(&first)), DUE),
        (of(Some(&token), Some(&again)), DUE + 9),
        (of(Some(&new), None), DUE + 60),
    ];
    assert_eq!(events(&way), ["Normal TokenValid", "Warning IamUnavailable", "Normal TokenValid"]);
}

#[test]
fn another_problem_warns_again() {
    let (token, passes, person) = (record(0), unreachable(), rejected());
    let way = [
        (of(Some(&token), None), 0),
        (of(Some(&token), Some(&passes)), DUE),
        (of(Some(&token), Some(&person)), DUE + 9),
    ];
    assert_eq!(events(&way)[1..], ["Warning IamUnreachable", "Warning CredentialRejected"]);
}

#[test]
fn an_expiry_under_a_known_problem_warns_once_more_and_says_that_it_expired() {
    let (token, problem, new) = (record(0), unreachable(), record(EXPIRED + 60));
    let way = [
        (of(Some(&token), None), 0),
        (of(Some(&token), Some(&problem)), DUE),
        (of(Some(&token), Some(&problem)), EXPIRED),
        (of(Some(&token), Some(&problem)), EXPIRED + 30),
        (of(Some(&new), None), EXPIRED + 60),
    ];
    assert_eq!(events(&way)[1..], ["Warning IamUnreachable", "Warning IamUnreachable", "Normal TokenValid"]);
    let (before, after) = (fresh(&way[1].0, DUE), fresh(&way[2].0, EXPIRED));
    let note = transition(&before, &after).unwrap();
    assert!(note.text.starts_with(&format!("The token expired at {EXPIRES}. ")), "{}", note.text);
}

#[test]
fn an_expiry_without_a_known_problem_warns() {
    let (token, new) = (record(0), record(EXPIRED + 60));
    let way = [(of(Some(&token), None), 0), (of(Some(&token), None), EXPIRED), (of(Some(&new), None), EXPIRED + 60)];
    assert_eq!(events(&way), ["Normal TokenValid", "Warning Refreshing", "Normal TokenValid"]);
}

#[test]
fn a_token_that_never_was_warns_once() {
    let (problem, token) = (rejected(), record(60));
    let way = [
        (of(None, None), 0),
        (of(None, Some(&problem)), 1),
        (of(None, Some(&problem)), 30),
        (of(Some(&token), None), 60),
    ];
    assert_eq!(events(&way), ["Warning CredentialRejected", "Normal TokenValid"]);
}

#[test]
fn suspending_and_resuming_are_told() {
    let (token, new) = (record(0), record(EXPIRED + 9));
    let way = [
        (of(Some(&token), None), 0),
        (suspended(Some(&token)), 1),
        (of(Some(&token), None), 2),
        (suspended(Some(&token)), 3),
        (suspended(Some(&token)), EXPIRED),
        (of(Some(&new), None), EXPIRED + 9),
    ];
    let expected =
        ["Normal TokenValid", "Normal Suspended", "Normal TokenValid", "Normal Suspended", "Warning Suspended"];
    assert_eq!(events(&way)[..5], expected);
    assert_eq!(events(&way)[5..], ["Normal TokenValid"]);
}

#[test]
fn a_problem_that_a_suspension_hides_is_no_news() {
    let (token, problem) = (record(0), rejected());
    let way = [(of(Some(&token), Some(&problem)), DUE), (suspended(Some(&token)), DUE + 1)];
    assert_eq!(events(&way), ["Warning CredentialRejected", "Normal Suspended"]);
}

#[test]
fn every_note_fits_into_an_event_and_says_what_the_conditions_say() {
    let token = record(0);
    for problem in problems() {
        let valid = fresh(&of(Some(&token), None), 0);
        for (before, s, second) in [
            (&IamTokenStatus::default(), of(None, Some(&problem)), 0),
            (&valid, of(Some(&token), Some(&problem)), DUE),
            (&valid, of(Some(&token), Some(&problem)), EXPIRED),
        ] {
            let after = next(before, &s, at(second));
            let note = transition(before, &after).unwrap();
            assert!(note.warning && note.reason == problem.reason(), "{note:?}");
            assert!(note.text.ends_with(&problem.message()), "{note:?}");
            assert!(note.text.len() <= LONGEST_NOTE, "{} bytes: {note:?}", note.text.len());
        }
    }
}

#[test]
fn a_status_without_conditions_is_worth_no_event() {
    let token = record(0);
    let after = fresh(&of(Some(&token), None), 0);
    assert_eq!(transition(&after, &IamTokenStatus::default()), None);
    let unknown = IamTokenStatus {
        conditions: vec![Condition { reason: "FromAnotherVersion".into(), ..ready(&after).clone() }],
        ..IamTokenStatus::default()
    };
    assert_eq!(transition(&IamTokenStatus::default(), &unknown), None, "its reason is not in the list");
}
