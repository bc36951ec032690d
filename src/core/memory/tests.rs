//! Times that other clocks noted.

use super::*;
use crate::core::observed::Facts;
use crate::core::ownership::Owned;
use crate::core::record::{Owner, Record};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A target whose token `token` was noted at second 0 by a clock that the API server's was so many seconds ahead of.
fn target(token: &str, server_ahead: impl Into<Option<i64>>) -> Seen {
    let record = Record {
        owner: Owner { namespace: "ns".into(), name: "it".into(), uid: "u".into() },
        refreshed_at: at(0),
        lifetime: 3600,
        jitter: 0,
        source: Mark { uid: "s".into(), version: "1".into() },
        credential: "c".into(),
        token: token.into(),
        ask: "a".into(),
        shape: "s".into(),
        refresh_requested: None,
        identity: None,
        skew: -600,
        server_ahead: server_ahead.into(),
    };
    let mark = Mark { uid: "t".into(), version: "1".into() };
    Seen::Present(Box::new(Facts { mark, controller: None, record: Some(Box::new(record)), owned: Owned::default() }))
}

/// When the token counts as asked for, and the difference of clocks that is left.
fn read(memory: &mut Memory, mut seen: Seen, server_ahead: Option<i64>) -> (Timestamp, i64) {
    memory.correct(&mut seen, server_ahead);
    let record = seen.facts().unwrap().record.as_ref().unwrap();
    (record.refreshed_at, record.skew)
}

#[test]
fn a_token_is_as_old_as_its_writer_said_where_the_clocks_agree_or_ours_is_ahead() {
    for (theirs, ours) in [(Some(0), Some(0)), (Some(-4), Some(1)), (Some(600), Some(600)), (Some(600), Some(0))] {
        assert_eq!(read(&mut Memory::default(), target("t", theirs), ours), (at(0), -600), "{theirs:?} {ours:?}");
    }
    assert_eq!(read(&mut Memory::default(), target("t", None), Some(900)), (at(0), -600), "nobody noted it");
    assert_eq!(read(&mut Memory::default(), target("t", -900), None), (at(0), -600), "no answer has told yet");
}

#[test]
fn a_token_is_no_younger_than_by_the_api_servers_clock_whoever_has_the_wrong_one() {
    let mut writer_was_ahead = Memory::default();
    assert_eq!(read(&mut writer_was_ahead, target("t", -600), Some(0)), (at(-600), 0));
    assert_eq!(read(&mut writer_was_ahead, target("t", -600), Some(0)), (at(-600), 0), "each time the same");
    assert_eq!(read(&mut Memory::default(), target("t", 0), Some(600)), (at(-600), 0), "ours is behind");
    let mut writer = Memory::default();
    writer.wrote(&"t".into());
    assert_eq!(read(&mut writer, target("t", -600), Some(0)), (at(0), -600), "by its own clock");
}

#[test]
fn a_clock_that_was_set_back_makes_no_token_younger_and_no_wait_longer() {
    let mut memory = Memory::default();
    memory.wrote(&"t".into());
    memory.note_request(Some("now"), at(10));
    memory.set_back(Duration::from_mins(30));
    assert_eq!(read(&mut memory, target("t", None), None).0, at(-1800));
    memory.set_back(Duration::from_mins(1));
    assert_eq!(read(&mut memory, target("t", None), None).0, at(-1860));
    assert_eq!(memory.request, Some(Box::new(("now".into(), at(10 - 1860)))));
    assert_eq!(read(&mut memory, target("another", None), None).0, at(0), "written since, by the clock as it is");
}

#[test]
fn no_noted_difference_of_clocks_leads_before_1970() {
    let mut memory = Memory::default();
    assert_eq!(read(&mut memory, target("t", i64::MIN), Some(i64::MAX)).0, Timestamp::UNIX_EPOCH);
}
