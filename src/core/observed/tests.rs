use super::*;
use crate::api::{FIELD_MANAGER, MANAGED};
use crate::core::endpoint::{Endpoint, Endpoints};
use serde_json::{Value, json};

const UID: &str = "uid-1";

fn plan(target: &Value) -> Plan {
    let spec = json!({"apiKeySecretRef": {"name": "key"}, "target": target});
    let endpoints = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    let key = crate::core::view::Key::new("payments", "hpcs");
    Plan::new(&key, &serde_json::from_value(spec).unwrap(), &endpoints.into(), |_| {
        Err(crate::core::problem::Problem::NothingIsLent)
    })
    .unwrap()
}

fn record(name: &str, uid: &str, shape: &str) -> Value {
    json!({
        "owner": {"namespace": "payments", "name": name, "uid": uid}, "refreshedAt": "2027-01-15T08:00:00Z", "lifetime": 3600, "jitter": 0,
        "source": {"uid": "s", "version": "1"}, "credential": "c", "token": "t", "ask": "a", "shape": shape,
    })
}

/// Secrets as the API server has them; `owner` is the uid of an `IamToken`.
fn seen(record: Option<&Value>, owner: Option<(&str, bool)>) -> Seen {
    let owners = owner.map(|(uid, controller)| {
        json!([{"apiVersion": "iamtoken.dev/v1alpha1", "kind": "IamToken", "name": "it", "uid": uid, "controller": controller}])
    });
    let annotations = record.map(|record| json!({RECORD: record.to_string()}));
    present(
        &json!({"namespace": "payments", "uid": "t", "resourceVersion": "5", "annotations": annotations, "ownerReferences": owners}),
    )
}

fn present(metadata: &Value) -> Seen {
    let metadata: ObjectMeta = serde_json::from_value(metadata.clone()).unwrap();
    Seen::Present(Box::new(Facts::of(&metadata).unwrap()))
}

fn is_ours(seen: &Seen) -> bool {
    matches!(Standing::of(seen, "hpcs", UID), Standing::Ours(_))
}

#[test]
fn what_is_not_known_or_not_there_is_nobodys() {
    assert_eq!(Standing::of(&Seen::Unknown, "hpcs", UID), Standing::Unknown);
    assert_eq!(Standing::of(&Seen::Absent, "hpcs", UID), Standing::Absent);
    assert_eq!((Seen::Unknown.facts(), Seen::Absent.facts()), (None, None));
    assert_eq!(Seen::default(), Seen::Unknown);
}

#[test]
fn ours_is_told_by_controller_then_by_record() {
    let (mine, namesake, other) = (record("hpcs", UID, ""), record("hpcs", "old-uid", ""), record("b", "uid-2", ""));
    let renamed = record("b", UID, "");
    let mut copy = record("hpcs", "old-uid", "");
    copy["owner"]["namespace"] = json!("elsewhere");
    let table = [
        ("our controller", None, Some((UID, true)), true),
        ("our controller, another's record", Some(&other), Some((UID, true)), true),
        ("no controller, our record", Some(&mine), None, true),
        ("no controller, a record with our uid alone", Some(&renamed), None, true),
        ("no controller, the record of a deleted namesake", Some(&namesake), None, true),
        ("an owner of another uid that is no controller", Some(&mine), Some(("uid-2", false)), true),
        ("another's controller", None, Some(("uid-2", true)), false),
        ("another's controller, our record", Some(&mine), Some(("uid-2", true)), false),
        ("our deleted namesake's controller", Some(&namesake), Some(("old-uid", true)), false),
        ("no controller, another's record", Some(&other), None, false),
        ("a copy from another namespace", Some(&copy), None, false),
        ("neither controller nor record", None, None, false),
        ("an owner of our uid that is no controller", None, Some((UID, false)), false),
    ];
    for (name, record, owner, expected) in table {
        assert_eq!(is_ours(&seen(record, owner)), expected, "{name}");
    }
}

#[test]
fn a_foreign_controller_is_named() {
    let seen = seen(None, Some(("uid-2", true)));
    let expected = Controller { uid: "uid-2".into(), name: "IamToken/it".into() };
    assert_eq!(Standing::of(&seen, "hpcs", UID), Standing::Foreign(Some(&expected)));
}

#[test]
fn only_a_secret_of_ours_has_a_record() {
    let mine = record("hpcs", UID, "");
    let (ours, foreign) = (seen(Some(&mine), None), seen(Some(&mine), Some(("uid-2", true))));
    assert!(Standing::of(&ours, "hpcs", UID).record().unwrap().owner.uid == *UID);
    for nobody in [&foreign, &Seen::Unknown, &Seen::Absent] {
        assert_eq!(Standing::of(nobody, "hpcs", UID).record(), None);
    }
}

#[test]
fn a_target_is_held_by_the_one_that_controls_it_or_wrote_it_last() {
    let (mine, namesake) = (record("hpcs", UID, ""), record("hpcs", "old-uid", ""));
    for (name, record, owner, expected) in [
        ("ours", Some(&mine), Some((UID, true)), true),
        ("ours, without a controller", Some(&mine), None, true),
        ("a namesake's that was kept", Some(&namesake), None, false),
        ("ours, last written by a namesake", Some(&namesake), Some((UID, true)), true),
        ("ours, nothing noted", None, Some((UID, true)), true),
        ("taken away from us", Some(&mine), Some(("uid-2", true)), false),
    ] {
        assert_eq!(Standing::of(&seen(record, owner), "hpcs", UID).is_held_by(UID), expected, "{name}");
    }
    assert!(!Standing::Absent.is_held_by(UID) && !Standing::Unknown.is_held_by(UID));
}

#[test]
fn a_record_that_cannot_be_read_is_none_and_the_controller_still_counts() {
    let owners = json!([{"apiVersion": "v1", "kind": "IamToken", "name": "hpcs", "uid": UID, "controller": true}]);
    let broken = present(&json!({
        "namespace": "payments", "uid": "t", "resourceVersion": "5", "annotations": {RECORD: "{"}, "ownerReferences": owners,
    }));
    assert!(is_ours(&broken));
    assert_eq!(Standing::of(&broken, "hpcs", UID).record(), None);
}

#[test]
fn facts_need_uid_and_version() {
    for metadata in [json!({}), json!({"uid": "t"}), json!({"resourceVersion": "5"})] {
        assert_eq!(Facts::of(&serde_json::from_value(metadata.clone()).unwrap()), None, "{metadata}");
    }
}

/// The facts of the Secret that `plan` is applied to, and what others then did to its managed fields.
fn applied(plan: &Plan, shape: &Short, change: impl FnOnce(&mut Value)) -> Facts {
    let mut fields = json!({
        "f:data": {"f:token": {}, "f:authorization": {}, "f:expiration": {}},
        "f:metadata": {
            "f:labels": {format!("f:{MANAGED}"): {}, "f:team": {}},
            "f:annotations": {format!("f:{RECORD}"): {}},
            "f:ownerReferences": {format!("k:{{\"uid\":\"{UID}\"}}"): {}},
        },
        "f:type": {},
    });
    if plan.target.retain {
        fields["f:metadata"].as_object_mut().unwrap().remove("f:ownerReferences");
    }
    change(&mut fields);
    let metadata = json!({
        "namespace": "payments",
        "uid": "t",
        "resourceVersion": "5",
        "annotations": {RECORD: record("hpcs", UID, &shape.to_string()).to_string()},
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:x": {}}}},
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields},
        ],
    });
    Facts::of(&serde_json::from_value(metadata).unwrap()).unwrap()
}

fn drop_field(part: &str, field: &str) -> impl FnOnce(&mut Value) {
    move |fields| {
        fields.pointer_mut(part).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    }
}

#[test]
fn a_target_is_as_planned_until_somebody_touches_a_field_of_ours() {
    let plan = plan(&json!({"labels": {"team": "payments"}}));
    let facts = applied(&plan, &plan.shape, |_| {});
    assert!(facts.is_as_planned(&plan, UID) && facts.data_is_intact(&plan, UID));
    for (part, field, intact) in [
        ("/f:data", "f:token".to_owned(), false),
        ("/f:data", "f:expiration".to_owned(), false),
        ("/f:metadata/f:labels", "f:team".to_owned(), true),
        ("/f:metadata/f:labels", format!("f:{MANAGED}"), true),
        ("/f:metadata/f:annotations", format!("f:{RECORD}"), true),
        ("/f:metadata/f:ownerReferences", format!("k:{{\"uid\":\"{UID}\"}}"), true),
    ] {
        let facts = applied(&plan, &plan.shape, drop_field(part, &field));
        assert!(!facts.is_as_planned(&plan, UID), "{field}");
        assert_eq!(facts.data_is_intact(&plan, UID), intact, "{field}");
    }
}

#[test]
fn a_target_of_another_shape_is_not_as_planned_and_its_data_counts_as_intact() {
    let (old, new) = (plan(&json!({"labels": {"team": "payments"}})), plan(&json!({"type": "other"})));
    let facts = applied(&old, &old.shape, |_| {});
    assert!(!facts.is_as_planned(&new, UID));
    assert!(facts.data_is_intact(&new, UID));
}

#[test]
fn a_target_written_for_a_namesake_is_not_as_planned_but_where_it_is_kept() {
    let deleted = plan(&json!({"labels": {"team": "payments"}}));
    assert!(!applied(&deleted, &deleted.shape, |_| {}).is_as_planned(&deleted, "uid-2"), "its owner is another");
    let kept = plan(&json!({"labels": {"team": "payments"}, "deletionPolicy": "Retain"}));
    assert!(applied(&kept, &kept.shape, |_| {}).is_as_planned(&kept, "uid-2"), "it has no owner");
}

#[test]
fn a_target_without_a_record_is_never_as_planned() {
    let plan = plan(&json!({"labels": {"team": "payments"}}));
    let facts = Facts { record: None, ..applied(&plan, &plan.shape, |_| {}) };
    assert!(!facts.is_as_planned(&plan, UID));
}
