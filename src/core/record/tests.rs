use super::*;
use serde_json::{Value, json};

fn full() -> Value {
    json!({
        "owner": {"namespace": "payments", "name": "hpcs", "uid": "uid-1"},
        "refreshedAt": "2027-01-15T08:00:00Z",
        "lifetime": 3600,
        "jitter": 65535,
        "source": {"uid": "source-uid", "version": "7"},
        "credential": "c0",
        "token": "70",
        "ask": "a5",
        "shape": "54",
        "refreshRequested": "today",
        "identity": {"iamId": "iam-ServiceId-1", "subjectType": "ServiceId", "accountId": "0123"},
        "skew": -31,
    })
}

fn parse(value: &Value) -> Option<Record> {
    Record::parse(&value.to_string())
}

#[test]
fn what_was_written_is_read_back() {
    let record = parse(&full()).unwrap();
    assert_eq!(serde_json::to_value(&record).unwrap(), full());
    assert_eq!(Record::parse(&serde_json::to_string(&record).unwrap()), Some(record));
}

#[test]
fn what_is_not_known_takes_no_room() {
    let mut value = full();
    for optional in ["refreshRequested", "identity", "skew"] {
        value.as_object_mut().unwrap().remove(optional);
    }
    let record = parse(&value).unwrap();
    assert_eq!((&record.refresh_requested, &record.identity, record.skew), (&None, &None, 0));
    assert_eq!(serde_json::to_value(&record).unwrap(), value);
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    let mut value = full();
    value["later"] = json!({"deep": [1]});
    value["owner"]["kind"] = json!("IamToken");
    value["source"]["kind"] = json!("Secret");
    assert_eq!(parse(&value), parse(&full()));
}

#[test]
fn anything_else_is_no_record() {
    for text in ["", " ", "null", "{}", "[]", "7", "\"text\"", "{\"owner\":", "\u{0}", "true-ish"] {
        assert_eq!(Record::parse(text), None, "{text:?}");
    }
    for field in ["owner", "refreshedAt", "lifetime", "jitter", "source", "credential", "token", "ask", "shape"] {
        let mut without = full();
        without.as_object_mut().unwrap().remove(field);
        assert_eq!(parse(&without), None, "without {field}");
        let mut wrong = full();
        wrong[field] = json!(["wrong"]);
        assert_eq!(parse(&wrong), None, "with a wrong {field}");
    }
    for (field, value) in [
        ("lifetime", json!(-1)),
        ("lifetime", json!(1_u64 << 32)),
        ("lifetime", json!(0.5)),
        ("jitter", json!(65536)),
        ("refreshedAt", json!("yesterday")),
        ("refreshedAt", json!("-009999-01-02T01:59:59Z")),
        ("refreshedAt", json!("1969-12-31T23:59:59Z")),
        ("refreshedAt", json!(1_800_000_000)),
    ] {
        let mut record = full();
        record[field] = value;
        assert_eq!(parse(&record), None, "{field}: {}", record[field]);
    }
}

#[test]
fn a_life_is_as_long_as_noted() {
    let life = parse(&full()).unwrap().life();
    assert_eq!(life.since.to_string(), "2027-01-15T08:00:00Z");
    assert_eq!(life.expires_at().to_string(), "2027-01-15T09:00:00Z");
}
