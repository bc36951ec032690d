use super::*;
use crate::core::failure::{Cause, Kind};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::advance;

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_nearest_deadline_is_called_next() {
    let (call, mut calls) = unbounded_channel();
    let order = Order::new(1);
    let first = order.admit(&key("first"), vec![], at(9), &call).unwrap();
    assert!(order.admit(&key("late"), vec![], at(3), &call).is_none());
    assert!(order.admit(&key("soon"), vec![], at(2), &call).is_none());
    assert!(order.admit(&key("never had one"), vec![], Timestamp::MIN, &call).is_none());
    drop(first);
    for name in ["never had one", "soon", "late"] {
        assert_eq!(calls.try_recv().unwrap(), key(name));
        drop(order.admit(&key(name), vec![], at(9), &call).unwrap());
    }
    assert!(calls.try_recv().is_err());
}

#[test]
fn a_place_is_kept_for_the_one_called() {
    let (call, mut calls) = unbounded_channel();
    let order = Order::new(1);
    let first = order.admit(&key("a"), vec![], at(1), &call).unwrap();
    assert!(order.admit(&key("b"), vec![], at(1), &call).is_none());
    drop(first);
    assert!(order.admit(&key("c"), vec![], at(0), &call).is_none());
    assert_eq!(calls.try_recv().unwrap(), key("b"));
    assert!(order.admit(&key("b"), vec![], at(1), &call).is_some());
}

#[test]
fn the_forgotten_leave_no_gap() {
    let (call, mut calls) = unbounded_channel();
    let order = Order::new(1);
    let first = order.admit(&key("a"), vec![], at(1), &call).unwrap();
    assert!(order.admit(&key("b"), vec![], at(1), &call).is_none());
    assert!(order.admit(&key("c"), vec![], at(2), &call).is_none());
    drop(first);
    order.forget(&key("b"));
    assert_eq!([calls.try_recv().unwrap(), calls.try_recv().unwrap()], [key("b"), key("c")]);
    order.forget(&key("c"));
    assert!(order.admit(&key("d"), vec![], at(1), &call).is_some());
}

#[test]
fn coming_again_moves_the_place_in_line() {
    let (call, _calls) = unbounded_channel();
    let order = Order::new(1);
    let _first = order.admit(&key("a"), vec![], at(1), &call).unwrap();
    assert!(order.admit(&key("b"), vec![], at(5), &call).is_none());
    assert!(order.admit(&key("b"), vec![], at(1), &call).is_none());
    assert_eq!(order.waiting(), 1);
}

fn lane(host: &str) -> Lane {
    vec![Endpoint::parse(&format!("https://{host}"), false).unwrap()]
}

fn failure() -> Failure {
    let kind = Kind::Unreachable(Cause::Refused);
    Failure { kind, endpoint: "https://down".into(), status: None, code: None, request_id: None }
}

/// An order whose endpoint `down` has just failed so often that it is asked by one at a time.
fn with_an_endpoint_down(call: &UnboundedSender<Key>) -> Order {
    let order = Order::new(8);
    let permit = order.admit(&key("first"), lane("down"), at(0), call).unwrap();
    (0..5).for_each(|_| permit.failed(failure()));
    order
}

#[tokio::test(start_paused = true)]
async fn while_an_endpoint_fails_one_at_a_time_goes_through_by_deadline_and_no_other_lane_is_held_up() {
    let (call, mut calls) = unbounded_channel();
    let order = with_an_endpoint_down(&call);
    assert!(order.admit(&key("b"), lane("down"), at(2), &call).is_none());
    assert!(order.admit(&key("a"), lane("down"), at(1), &call).is_none());
    assert!(order.admit(&key("other"), lane("up"), at(3), &call).is_some());
    assert!(order.admit(&key("repair"), vec![], at(3), &call).is_some());
    assert_eq!(order.trouble(&lane("down")), Some(failure()));
    assert!(calls.try_recv().is_err());
    advance(Duration::from_millis(1001)).await;
    assert_eq!(calls.recv().await.unwrap(), key("a"));
    let probe = order.called(&key("a")).unwrap();
    advance(Duration::from_mins(1)).await;
    assert!(calls.try_recv().is_err(), "one at a time");
    probe.failed(failure());
    drop(probe);
    advance(Duration::from_millis(2001)).await;
    assert_eq!(calls.recv().await.unwrap(), key("b"));
    assert_eq!(order.waited(&key("b")), None, "it is its turn");
}

#[tokio::test(start_paused = true)]
async fn once_it_answers_all_go_in_the_order_of_their_deadlines() {
    let (call, mut calls) = unbounded_channel();
    let order = with_an_endpoint_down(&call);
    for number in (0..20).rev() {
        assert!(order.admit(&key(&format!("{number:02}")), lane("down"), at(number), &call).is_none());
    }
    advance(Duration::from_millis(1001)).await;
    let mut working = vec![];
    for number in 0..20 {
        let next = calls.recv().await.unwrap();
        assert_eq!(next, key(&format!("{number:02}")));
        let permit = order.called(&next).unwrap();
        permit.answered();
        working.push(permit);
        if working.len() == 8 {
            assert!(calls.try_recv().is_err() || number < 8, "no more than there are places");
            working.remove(0);
        }
    }
    assert_eq!(order.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_asked_nothing_is_made_by_the_next() {
    let (call, mut calls) = unbounded_channel();
    let order = with_an_endpoint_down(&call);
    assert!(order.admit(&key("a"), lane("down"), at(1), &call).is_none());
    assert!(order.admit(&key("b"), lane("down"), at(2), &call).is_none());
    advance(Duration::from_millis(1001)).await;
    assert_eq!(calls.recv().await.unwrap(), key("a"));
    drop(order.called(&key("a")).unwrap());
    assert_eq!(calls.recv().await.unwrap(), key("b"));
    order.forget(&key("b"));
    assert!(order.admit(&key("c"), lane("down"), at(3), &call).is_some());
}

#[test]
fn a_call_to_one_lane_is_none_to_another() {
    let (call, mut calls) = unbounded_channel();
    let order = Order::new(1);
    let first = order.admit(&key("a"), vec![], at(1), &call).unwrap();
    assert!(order.admit(&key("b"), lane("one"), at(1), &call).is_none());
    drop(first);
    assert_eq!(calls.try_recv().unwrap(), key("b"));
    let permit = order.admit(&key("b"), lane("two"), at(1), &call).unwrap();
    assert!(permit.is_in(&lane("two")) && !permit.is_in(&lane("one")) && permit.is_in(&vec![]));
}
