use serde_json::{Value, json};

use super::*;
use crate::api::Delivered;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn token(name: &str, spec: &Value, status: &Value) -> Arc<Kept> {
    let object = json!({"metadata": {"namespace": "team-a", "name": name}, "spec": spec, "status": status});
    Arc::new(serde_json::from_value::<Delivered>(object).unwrap().into())
}

fn condition(type_: &str, status: &str) -> Value {
    let at = at(0).to_string();
    json!({"type": type_, "status": status, "reason": "Any", "message": "", "lastTransitionTime": at})
}

/// Ready, and good for an hour from `begin` on.
fn good(name: &str, begin: i64) -> Arc<Kept> {
    let times = [begin, begin + 2700, begin + 3600].map(|second| at(second).to_string());
    let status = json!({"refreshedAt": times[0], "refreshAt": times[1], "expiresAt": times[2],
        "conditions": [condition("Ready", "True")]});
    token(name, &json!({"apiKeySecretRef": {"name": "k"}}), &status)
}

/// Has never had a token.
fn bad(name: &str) -> Arc<Kept> {
    let conditions = json!([condition("Ready", "False"), condition("Stalled", "True")]);
    token(name, &json!({"apiKeySecretRef": {"name": "k"}}), &json!({"conditions": conditions}))
}

fn suspended(mut token: Arc<Kept>) -> Arc<Kept> {
    Arc::make_mut(&mut token).glance.suspended = true;
    token
}

fn states(token: &Kept, now: Timestamp) -> Vec<&'static str> {
    let token = Token::of(token, now);
    State::ALL.iter().filter(|state| token.is(**state)).map(|state| state.as_str()).collect()
}

fn shown(list: &List, limit: usize, now: Timestamp) -> Vec<String> {
    Tally::of(list, limit, now).shown.iter().map(|token| token.name.to_owned()).collect()
}

#[test]
fn a_state_is_as_the_status_says() {
    assert_eq!(states(&good("t", 0), at(0)), ["ready"]);
    assert_eq!(states(&bad("t"), at(0)), ["not_ready", "stalled"]);
    assert_eq!(states(&token("t", &json!({}), &Value::Null), at(0)), ["not_ready"]);
    let failing = json!({"expiresAt": at(9).to_string(),
        "conditions": [condition("Ready", "True"), condition("Reconciling", "True")]});
    assert_eq!(states(&token("t", &json!({}), &failing), at(0)), ["ready", "reconciling"]);
}

#[test]
fn an_expired_token_is_not_ready_whatever_the_status_says() {
    assert_eq!(states(&good("t", 0), at(3599)), ["ready", "overdue"]);
    assert_eq!(states(&good("t", 0), at(3600)), ["not_ready", "overdue"]);
}

#[test]
fn a_refresh_is_overdue_a_minute_after_it_was_due_unless_suspended() {
    assert_eq!(states(&good("t", 0), at(2760)), ["ready"]);
    assert_eq!(states(&good("t", 0), at(2761)), ["ready", "overdue"]);
    assert_eq!(states(&suspended(good("t", 0)), at(2761)), ["ready", "suspended"]);
}

#[test]
fn all_are_counted_in_their_states() {
    let list = vec![good("a", 0), good("b", -1000), bad("c"), suspended(bad("d")), suspended(good("e", -2000))];
    let tally = Tally::of(&list, 0, at(0));
    let count = |state| tally.counts[state as usize];
    assert_eq!(
        (count(State::Ready), count(State::NotReady), count(State::Suspended), count(State::Stalled)),
        (3, 2, 2, 2)
    );
    assert_eq!(tally.earliest_expiry, Some(at(2600)), "the suspended one may expire");
}

#[test]
fn up_to_the_limit_all_are_shown() {
    let list = vec![good("b", 0), bad("c"), good("a", 0)];
    assert_eq!(shown(&list, 3, at(0)), ["a", "b", "c"]);
    assert_eq!(Tally::of(&list, 3, at(0)).omitted, 0);
}

#[test]
fn over_the_limit_those_are_shown_that_something_is_wrong_with() {
    let list = vec![good("b", 0), bad("c"), good("a", 0), suspended(bad("d"))];
    assert_eq!(shown(&list, 3, at(0)), ["c"]);
    assert_eq!(Tally::of(&list, 3, at(0)).omitted, 3);
    assert_eq!(shown(&list, 3, at(2761)), ["a", "b", "c"]);
}

#[test]
fn of_too_many_with_trouble_those_are_shown_that_expire_first() {
    let list = vec![good("late", 100), good("early", 0), bad("never")];
    assert_eq!(shown(&list, 2, at(3600)), ["early", "never"]);
    assert_eq!(shown(&list, 1, at(3600)), ["never"]);
}

#[test]
fn a_limit_of_0_shows_none() {
    let list = vec![good("a", 0), bad("b")];
    assert_eq!(shown(&list, 0, at(0)), Vec::<String>::new());
    assert_eq!(Tally::of(&list, 0, at(0)).omitted, 2);
}
