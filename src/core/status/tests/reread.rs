//! A status has whole seconds. With others, each look would find that it says something else, and write it.

use super::*;
use crate::api::{Workload, WorkloadKind, WorkloadStatus};
use crate::core::restart::Restarts;

/// As another process noted it, or this one after its clock was set back by a part of a second.
fn odd() -> Record {
    Record { refreshed_at: "2027-01-15T08:00:00.5Z".parse().unwrap(), ..record(0) }
}

#[test]
fn what_is_read_again_is_what_was_written() {
    let odd = odd();
    let written = fresh(&of(Some(&odd), None), 0);
    let read: IamTokenStatus = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
    assert_eq!(next(&read, &of(Some(&odd), None), at(1)), read);
    assert!(written.conditions[0].message.contains(EXPIRES), "{}", written.conditions[0].message);
}

#[test]
fn so_is_a_restart() {
    let mut restarts = Restarts::default();
    restarts.restarted(&Workload { kind: WorkloadKind::Deployment, name: "web".into() }, &odd(), at(0));
    let read: Vec<WorkloadStatus> = serde_json::from_value(serde_json::to_value(&restarts.done).unwrap()).unwrap();
    assert_eq!(restarts.done, read);
}
