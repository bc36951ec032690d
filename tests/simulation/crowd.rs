//! Many tokens at once.

use std::time::Duration;

use crate::sim::Break;
use crate::sim::crowd::{exchanges_after_a_gap, most_at_once, reasons_after_a_minute, recovery};
use crate::sim::hostile::churned;
use crate::sim::iam::Mood;

#[test]
fn tokens_of_different_keys_that_began_together_are_not_refreshed_together() {
    let (spread, together) = (most_at_once(60, None), most_at_once(60, Some(Break::Jitter)));
    assert!(spread < 0.5, "{spread}");
    assert!(together > 0.9, "{together}: without jitter this test must see it");
}

/// kube touches what a list holds before its store does: whoever looks between two pages finds a new one missing, and an
/// old one as it was.
#[test]
fn what_a_watch_missed_is_found_by_the_next_list_of_several_pages() {
    assert_eq!(exchanges_after_a_gap(600), 2);
}

#[test]
fn every_wait_shows_in_the_status() {
    let slow = reasons_after_a_minute(30, Mood::Slow);
    assert!(slow["Queued"] > 15, "{slow:?}");
    let down = reasons_after_a_minute(30, Mood::Refusing);
    assert_eq!(down["IamUnreachable"], 30, "{down:?}");
}

#[test]
fn after_an_hours_outage_they_recover_in_the_order_of_their_expiry() {
    let recovery = recovery(1000);
    assert!(recovery.fetched > 300 && recovery.expired > 100, "{recovery:?}");
    assert!(recovery.in_order > 0.97, "{recovery:?}");
    // Single probes, at most one in five seconds once the pauses have grown, and the few before the breaker opened.
    assert!(recovery.calls_while_down < 800, "{recovery:?}");
    assert!(recovery.waited < Duration::from_secs(6), "{recovery:?}");
}

#[test]
fn a_hostile_namespace_gets_its_budget_and_others_keep_their_promise() {
    const PER_MINUTE: u32 = 30;
    let (bounded, unbounded) = (churned(PER_MINUTE), churned(0));
    for churned in [&bounded, &unbounded] {
        assert_eq!(churned.stale, 0, "{churned:?}");
        assert!(churned.neighbours >= 5 * 2, "each is refreshed: {churned:?}");
    }
    // Ten minutes' worth at once, half an hour's worth; two lives of 20 tokens, with at most four refreshes each that are routine.
    let most = PER_MINUTE as usize * (10 + 31) + 20 * 3 * 4;
    assert!(bounded.exchanges <= most && bounded.targets <= most, "{most}: {bounded:?}");
    assert!(unbounded.exchanges > 3 * most, "without a budget this test must see it: {unbounded:?}");
}
