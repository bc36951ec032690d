//! The test of the test: what is broken on purpose is found, by seeds that are known to find it.

use crate::run;
use crate::sim::{Break, Scenario};

fn finds(broken: Break, seed: u64, what: &str) {
    let report = run(&Scenario { broken: Some(broken), ..Scenario::draw(seed) });
    let violation = report.violation.unwrap_or_else(|| panic!("seed {seed} does not find {broken:?}"));
    assert!(violation.contains(what), "{violation}");
    assert_eq!(run(&Scenario::draw(seed)).violation, None, "it is what was broken that is found");
}

#[test]
fn two_who_act_without_the_lease() {
    finds(Break::Lease, 31, "holds the lease");
}

#[test]
fn a_retry_after_that_is_lost() {
    finds(Break::RetryAfter, 13, "as IAM asked");
}

#[test]
fn a_clock_that_sees_no_step() {
    finds(Break::WallClock, 37, "expired");
}

#[test]
fn a_status_without_its_secret() {
    finds(Break::StatusFirst, 39, "");
}

#[test]
fn a_write_without_preconditions() {
    finds(Break::Preconditions, 98, "somebody else's");
}

#[test]
fn a_watch_that_is_deaf() {
    finds(Break::SecretEvents, 39, "nothing stands in its way");
}
