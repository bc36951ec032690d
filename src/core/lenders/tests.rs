use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::Reason;
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::failure::{Cause, Failure, Kind, Verdict};
use crate::core::key_health::KeyHealth;
use crate::core::ownership::Owned;

const LOCKED: &str = "iam-keys";

fn endpoint() -> Endpoint {
    Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()
}

fn defaults() -> Defaults {
    Endpoints::new(vec![endpoint()]).unwrap().into()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn user(namespace: &str) -> Key {
    Key::new(namespace, "hpcs")
}

fn secret() -> Key {
    Key::new(LOCKED, "payments")
}

fn credential(generation: i64, changes: &Value) -> ListedCredential {
    let mut spec = json!({
        "apiKeySecretRef": {"namespace": LOCKED, "name": "payments"},
        "allowedNamespaces": {"names": ["payments"]},
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let metadata = json!({"name": "shared", "uid": "u", "generation": generation, "resourceVersion": "7"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// All lists are complete, and hold this credential and this namespace.
fn lenders(changes: &Value) -> Lenders {
    let mut lenders = Lenders::new([LOCKED.to_owned()], &defaults());
    lenders.relist();
    lenders.put(&credential(1, changes));
    lenders.relisted();
    lenders.relist_namespaces();
    lenders.put_namespace("payments", &Labels::from([("team".into(), "a".into())]));
    lenders.relisted_namespaces();
    lenders
}

fn reason(lenders: &Lenders, namespace: &str) -> Option<Reason> {
    lenders.lend("shared", namespace).err().map(|problem| problem.reason())
}

fn facts(version: &str) -> Facts {
    let mark = Mark { uid: "s".into(), version: version.into() };
    Facts { mark, controller: None, record: None, owned: Owned::default() }
}

fn failed(kind: Kind) -> Problem {
    Problem::Iam(Failure::unanswered(kind, &endpoint()))
}

/// Type, reason and message of each condition.
fn said(lenders: &mut Lenders) -> Vec<(String, String, String)> {
    for credential in lenders.credentials.values_mut() {
        credential.said.clear();
    }
    let news = lenders.news(at(0));
    let conditions = news.into_iter().flat_map(|news| news.status.conditions);
    let of = |truth: &str| if truth == "True" { "" } else { "not " };
    conditions.map(|it| (format!("{}{}", of(&it.status), it.type_), it.reason, it.message)).collect()
}

#[test]
fn without_namespaces_to_lend_from_nothing_is_lent() {
    assert_eq!(Lenders::default().lend("shared", "payments"), Err(Problem::NothingIsLent));
}

#[test]
fn before_the_lists_are_complete_nothing_is_known() {
    let mut lenders = Lenders::new([LOCKED.to_owned()], &defaults());
    lenders.used_by(&user("payments"), Some("shared"));
    assert_eq!(lenders.lend("shared", "payments"), Err(Problem::LendersUnknown));
    lenders.relist();
    lenders.put(&credential(1, &json!({"allowedNamespaces": {"selector": {}}})));
    assert_eq!(lenders.lend("shared", "payments"), Err(Problem::LendersUnknown));
    assert_eq!(lenders.relisted(), [user("payments")], "whoever waited is called");
    assert_eq!(lenders.lend("shared", "payments"), Err(Problem::LendersUnknown), "its labels are not known yet");
    lenders.put_namespace("payments", &Labels::new());
    assert_eq!(lenders.relisted_namespaces(), [user("payments")]);
    assert!(lenders.lend("shared", "payments").is_ok());
}

#[test]
fn a_namespace_is_admitted_by_name_or_by_label_and_by_nothing_else() {
    let by = |allowed: Value| lenders(&json!({"allowedNamespaces": allowed}));
    let expression = |operator: &str, values: Value| json!({"selector": {"matchExpressions": [{"key": "team", "operator": operator, "values": values}]}});
    for allowed in [
        json!({"names": ["other", "payments"]}),
        json!({"selector": {"matchLabels": {"team": "a"}}}),
        json!({"selector": {}}),
        json!({"names": ["other"], "selector": {"matchLabels": {"team": "a"}}}),
        expression("In", json!(["a", "b"])),
        expression("NotIn", json!(["b"])),
        expression("Exists", json!(null)),
    ] {
        assert_eq!(reason(&by(allowed.clone()), "payments"), None, "{allowed}");
    }
    for allowed in [
        json!(null),
        json!({}),
        json!({"names": []}),
        json!({"names": ["payment", "paymentss", "*"]}),
        json!({"selector": {"matchLabels": {"team": "a", "stage": "prod"}}}),
        expression("NotIn", json!(["a"])),
        expression("DoesNotExist", json!(null)),
        expression("Resembles", json!(["a"])),
    ] {
        assert_eq!(reason(&by(allowed.clone()), "payments"), Some(Reason::NamespaceNotAdmitted), "{allowed}");
    }
    assert_eq!(reason(&by(json!({"selector": {}})), "gone"), Some(Reason::NamespaceNotAdmitted));
}

#[test]
fn what_is_lent_names_its_lender_and_its_namespace() {
    let lenders = lenders(&json!({"accountId": "0123"}));
    let lent = lenders.lend("shared", "payments").unwrap();
    assert_eq!((lent.secret("payments"), lent.namespace("payments")), (Some(secret()), LOCKED));
    assert_eq!(lent.account_id.as_deref(), Some("0123"));
    let lender = lent.lender.as_ref().unwrap();
    assert_eq!((lender.name.as_str(), lender.generation), ("shared", 1));
}

#[test]
fn changes_call_for_those_who_use_it_and_for_nobody_else() {
    let mut lenders = lenders(&json!({}));
    lenders.used_by(&user("payments"), Some("shared"));
    lenders.used_by(&user("other"), Some("another"));
    assert!(lenders.put(&credential(1, &json!({}))).is_empty(), "the echo of its status");
    assert_eq!(lenders.put(&credential(2, &json!({"allowedNamespaces": {}}))), [user("payments")]);
    assert_eq!(reason(&lenders, "payments"), Some(Reason::NamespaceNotAdmitted));
    assert_eq!(lenders.remove("shared"), [user("payments")]);
    assert_eq!(reason(&lenders, "payments"), Some(Reason::CredentialNotFound));
    assert_eq!(lenders.put(&credential(1, &json!({}))), [user("payments")]);
    lenders.used_by(&user("payments"), None);
    assert!(lenders.remove("shared").is_empty());
}

#[test]
fn another_label_calls_for_the_namespace() {
    let mut lenders = lenders(&json!({"allowedNamespaces": {"selector": {"matchLabels": {"team": "a"}}}}));
    lenders.used_by(&user("payments"), Some("shared"));
    let labels = |team: &str| Labels::from([("team".into(), team.into())]);
    assert!(lenders.put_namespace("payments", &labels("a")).is_empty());
    assert_eq!(lenders.put_namespace("payments", &labels("b")), [user("payments")]);
    assert_eq!(reason(&lenders, "payments"), Some(Reason::NamespaceNotAdmitted));
}

#[test]
fn only_secrets_that_a_credential_names_are_kept() {
    let mut lenders = lenders(&json!({}));
    lenders.used_by(&user("payments"), Some("shared"));
    assert_eq!(lenders.unknown(), [secret()]);
    let other = secret().sibling("other");
    assert!(lenders.present(&other, || Some(facts("1"))).is_empty());
    assert_eq!(lenders.seen(&other), Seen::Unknown);
    assert_eq!(lenders.present(&secret(), || Some(facts("1"))), [user("payments")]);
    assert!(lenders.present(&secret(), || Some(facts("1"))).is_empty(), "an echo");
    assert!(lenders.unknown().is_empty());
    assert_eq!(lenders.absent(&secret()), [user("payments")]);
    lenders.remove("shared");
    assert!(lenders.secrets.is_empty());
}

#[test]
fn a_look_counts_only_where_no_watch_has_answered_meanwhile() {
    let mut lenders = lenders(&json!({}));
    lenders.used_by(&user("payments"), Some("shared"));
    lenders.present(&secret(), || Some(facts("1")));
    assert!(lenders.looked(&secret(), Seen::Absent).is_empty(), "it was asked before the Secret came");
    assert!(lenders.seen(&secret()).facts().is_some());
    lenders.remove("shared");
    lenders.put(&credential(2, &json!({})));
    assert_eq!(lenders.looked(&secret(), Seen::Absent), [user("payments")]);
}

/// What a process finds that has just begun: the status as another one left it.
fn left_behind(conditions: &Value) -> Lenders {
    let mut lenders = Lenders::new([LOCKED.to_owned()], &defaults());
    let mut listed = credential(1, &json!({}));
    listed.status = serde_json::from_value(json!({"observedGeneration": 1, "conditions": conditions})).unwrap();
    lenders.put(&listed);
    lenders.relisted();
    lenders.relisted_namespaces();
    lenders
}

fn left(type_: &str, truth: &str, reason: &str) -> Value {
    json!({"type": type_, "status": truth, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-25T00:00:00Z"})
}

#[test]
fn a_new_process_leaves_what_was_said_of_tries_until_one_is_made() {
    let rejected = json!([left("Ready", "False", "CredentialRejected"), left("Stalled", "True", "CredentialRejected")]);
    let mut lenders = left_behind(&rejected);
    lenders.present(&secret(), || Some(facts("1")));
    assert!(lenders.news(at(0)).is_empty(), "nobody has tried it since");
    assert!(lenders.report("shared", 1, None));
    assert_eq!(lenders.news(at(1)).remove(0).status.conditions[0].reason, "CredentialUsable");

    let mut lenders =
        left_behind(&json!([left("Ready", "False", "SourceNotFound"), left("Stalled", "True", "SourceNotFound")]));
    lenders.present(&secret(), || Some(facts("1")));
    assert_eq!(lenders.news(at(0)).remove(0).status.conditions[0].reason, "CredentialUsable", "that can be seen");

    let mut lenders = left_behind(&rejected);
    lenders.present(&secret(), || Some(facts("1")));
    lenders.present(&secret(), || Some(facts("2")));
    assert_eq!(lenders.news(at(0)).remove(0).status.conditions[0].reason, "CredentialUsable", "another key");
}

#[test]
fn a_new_process_leaves_what_was_said_of_the_key_until_iam_is_asked_again() {
    let at_risk = json!([left("Ready", "True", "CredentialUsable"), left("ApiKeyAtRisk", "True", "ApiKeyExpiring")]);
    let mut lenders = left_behind(&at_risk);
    lenders.report("shared", 1, Some(failed(Kind::Unreachable(Cause::Dns))));
    let conditions = lenders.news(at(0)).remove(0).status.conditions;
    assert_eq!(conditions.last().unwrap().reason, "ApiKeyExpiring");
    assert!(lenders.told_of_key("shared", 1, Known::Told(KeyHealth::default())));
    let conditions = lenders.news(at(1)).remove(0).status.conditions;
    assert!(conditions.iter().all(|it| it.type_ != "ApiKeyAtRisk"));
}

#[test]
fn a_selector_that_makes_no_sense_is_told_to_its_admin() {
    let senseless = json!({"matchExpressions": [{"key": "team", "operator": "in", "values": ["a"]}]});
    let mut lenders = lenders(&json!({"allowedNamespaces": {"names": ["payments"], "selector": senseless}}));
    assert_eq!(reason(&lenders, "other"), Some(Reason::NamespaceNotAdmitted));
    assert_eq!(reason(&lenders, "payments"), Some(Reason::CredentialNotReady));
    let (_, reason, message) = said(&mut lenders).remove(1);
    assert!(reason == "InvalidSpec" && message.contains("spec.allowedNamespaces.selector"), "{message}");
}

#[test]
fn what_a_list_no_longer_holds_is_gone() {
    let mut lenders = lenders(&json!({}));
    lenders.used_by(&user("payments"), Some("shared"));
    lenders.present(&secret(), || Some(facts("1")));
    lenders.relist_secrets("elsewhere");
    assert!(lenders.relisted_secrets("elsewhere").is_empty());
    lenders.relist_secrets(LOCKED);
    lenders.present(&secret(), || Some(facts("1")));
    assert!(lenders.relisted_secrets(LOCKED).is_empty());
    lenders.relist_secrets(LOCKED);
    assert_eq!(lenders.relisted_secrets(LOCKED), [user("payments")]);
    assert_eq!(lenders.seen(&secret()), Seen::Absent);
    lenders.relist();
    assert_eq!(lenders.relisted(), [user("payments")]);
    lenders.relist_namespaces();
    lenders.relisted_namespaces();
    assert!(lenders.namespaces.is_empty());
}

#[test]
fn a_credential_that_makes_no_sense_is_its_admins_to_mend() {
    let unlocked = json!({"apiKeySecretRef": {"namespace": "elsewhere", "name": "k"}});
    for (changes, told) in [
        (json!({"apiKeySecretRef": null}), Reason::InvalidSpec),
        (json!({"endpoint": "https://evil.example"}), Reason::EndpointNotAllowed),
        (json!({"trustedProfile": {"name": "n"}}), Reason::InvalidSpec),
        (unlocked.clone(), Reason::InvalidSpec),
    ] {
        let mut lenders = lenders(&changes);
        assert_eq!(reason(&lenders, "payments"), Some(Reason::CredentialNotReady), "{changes}");
        assert_eq!(reason(&lenders, "other"), Some(Reason::NamespaceNotAdmitted), "who may not use it is told no more");
        let said = said(&mut lenders);
        let types: Vec<&str> = said.iter().map(|(type_, ..)| type_.as_str()).collect();
        assert_eq!(types, ["not Ready", "Stalled"]);
        assert!(said.iter().all(|(_, reason, _)| reason == told.as_str()), "{said:?}");
    }
    let (_, _, message) = said(&mut lenders(&unlocked)).remove(0);
    assert!(message.contains("elsewhere") && message.contains(LOCKED), "{message}");
}

#[test]
fn the_status_says_what_the_last_try_came_to() {
    let mut lenders = lenders(&json!({}));
    lenders.present(&secret(), || Some(facts("1")));
    assert_eq!(said(&mut lenders)[0].1, "CredentialUsable");
    assert!(lenders.report("shared", 1, Some(failed(Kind::Rejected(Verdict::Disabled)))));
    assert!(!lenders.report("shared", 1, Some(failed(Kind::Rejected(Verdict::Disabled)))), "no news");
    let (type_, reason, message) = said(&mut lenders).remove(1);
    assert_eq!((type_.as_str(), reason.as_str()), ("Stalled", "CredentialRejected"));
    assert!(message.contains("In namespace iam-keys: IAM at https://iam.cloud.ibm.com"), "{message}");
    assert!(!lenders.report("shared", 9, None), "of another generation");
    lenders.report("shared", 1, Some(failed(Kind::Unreachable(Cause::Dns))));
    assert_eq!(said(&mut lenders)[1].0, "Reconciling");
    lenders.report("shared", 1, Some(failed(Kind::Rejected(Verdict::Disabled))));
    lenders.present(&secret(), || Some(facts("2")));
    assert_eq!(said(&mut lenders)[0].1, "CredentialUsable", "the Secret has changed: it is tried anew");
    lenders.absent(&secret());
    assert_eq!(said(&mut lenders)[0].1, "SourceNotFound");
}

#[test]
fn a_key_that_expires_is_told_to_its_admin_before_it_does() {
    let mut lenders = lenders(&json!({}));
    let known = Known::Told(KeyHealth { expires_at: Some(at(20 * 86_400)), ..KeyHealth::default() });
    assert!(lenders.told_of_key("shared", 1, known) && !lenders.told_of_key("shared", 1, known));
    assert!(!lenders.told_of_key("shared", 1, Known::NotYet), "who has not asked yet knows no better");
    assert_eq!(lenders.news(at(0)).remove(0).status.conditions.len(), 1);
    assert!(lenders.news(at(5 * 86_400)).is_empty());
    let conditions = lenders.news(at(6 * 86_400)).remove(0).status.conditions;
    assert_eq!((conditions[1].type_.as_str(), conditions[1].reason.as_str()), ("ApiKeyAtRisk", "ApiKeyExpiring"));
    assert!(conditions[1].message.starts_with("In namespace iam-keys: The API key at key apikey of Secret payments"));
}

#[test]
fn a_status_that_says_so_already_is_no_news() {
    let mut lenders = lenders(&json!({}));
    let news = lenders.news(at(0)).remove(0);
    assert_eq!((news.name.as_str(), news.mark.version.number()), ("shared", Some(7)));
    assert!(lenders.news(at(0)).is_empty(), "it is under way");
    lenders.unsaid(&news);
    assert_eq!(lenders.news(at(0)).len(), 1, "it was not written");
    let mut written = credential(1, &json!({}));
    written.status = Some(news.status.clone());
    lenders.put(&written);
    assert!(lenders.news(at(60)).is_empty());
    lenders.unsaid(&news);
    assert!(lenders.news(at(60)).is_empty(), "a new process finds it said");
}

#[test]
fn two_operators_do_not_fight_over_a_status() {
    let mut lenders = lenders(&json!({}));
    let _ = lenders.news(at(0));
    let mut others = credential(1, &json!({}));
    others.status = Some(ClusterIamCredentialStatus { observed_generation: Some(1), conditions: vec![] });
    lenders.put(&others);
    assert!(lenders.news(at(1)).is_empty(), "nothing new is known here");
    let elsewhere = json!({"apiKeySecretRef": {"namespace": "elsewhere", "name": "k"}});
    let mut anothers = credential(2, &elsewhere);
    lenders.put(&anothers);
    assert_eq!(lenders.news(at(2)).len(), 1, "nobody has spoken of it");
    anothers.metadata.generation = Some(3);
    anothers.status = Some(ClusterIamCredentialStatus { observed_generation: Some(3), conditions: vec![] });
    lenders.put(&anothers);
    assert!(lenders.news(at(3)).is_empty(), "the one that lends it has");
}

#[test]
fn users_are_told_no_more_than_they_need() {
    let why = Box::new(failed(Kind::Rejected(Verdict::NotFound)));
    let message = Problem::Lent { name: "shared".into(), why }.message();
    assert!(
        message.contains("shared") && !message.contains("iam.cloud.ibm.com") && !message.contains("key"),
        "{message}"
    );
    let why = Box::new(failed(Kind::Unreachable(Cause::Dns)));
    let passing = Problem::Lent { name: "shared".into(), why };
    assert_eq!(passing.reason(), Reason::IamUnreachable);
    assert!(!passing.needs_a_person() && !passing.message().contains("iam.cloud.ibm.com"));
}
