use super::*;
use crate::core::asker::{Profile, Source};
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::lenders::Lenders;
use crate::core::target::{Content, target_name};
use serde_json::Value;
use std::time::Duration;

const DEFAULT: &str = "https://iam.cloud.ibm.com";
const PRIVATE: &str = "https://private.iam.cloud.ibm.com";

fn new(name: &str, spec: &Value) -> Result<Plan, Problem> {
    let endpoints = [DEFAULT, PRIVATE].map(|text| Endpoint::parse(text, false).unwrap());
    let endpoints = Endpoints::new(endpoints.to_vec()).unwrap();
    let key = Key::new("payments", name);
    Plan::new(&key, &serde_json::from_value(spec.clone()).unwrap(), &endpoints.into(), |_| Err(Problem::NothingIsLent))
}

/// A spec with `changes` to the smallest one there is.
fn spec(changes: &Value) -> Value {
    let mut spec = json!({"apiKeySecretRef": {"name": "key"}});
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

fn plan(changes: &Value) -> Plan {
    new("hpcs", &spec(changes)).unwrap()
}

#[test]
fn the_smallest_spec_gets_every_default() {
    let plan = plan(&json!({}));
    assert_eq!(plan.asker.source, Source::ApiKey { name: "key".into(), key: "apikey".into() });
    assert_eq!(plan.asker.endpoint.as_str(), DEFAULT);
    assert_eq!((plan.asker.account_id, plan.renew_before, plan.suspend), (None, RenewBefore::Percent(20), false));
    let target = plan.target;
    assert_eq!((target.name.as_str(), target.type_.as_str()), ("hpcs", "Opaque"));
    assert!(target.labels.is_empty() && target.annotations.is_empty() && !target.adopt && !target.retain);
    let data = target.data.iter().map(|(key, format)| (key.as_str(), format.clone())).collect::<Vec<_>>();
    assert_eq!(
        data,
        [("token", Content::AccessToken), ("authorization", Content::Bearer), ("expiration", Content::Expiration)]
    );
}

#[test]
fn everything_given_is_taken() {
    let plan = plan(&json!({
        "apiKeySecretRef": {"name": "key", "key": "k"},
        "endpoint": "https://PRIVATE.iam.cloud.ibm.com/identity/token",
        "accountId": "0123",
        "renewBefore": "12m",
        "suspend": true,
        "target": {
            "name": "t", "type": "x/y", "labels": {"l": "1"}, "annotations": {"a": "2"}, "adopt": true,
            "deletionPolicy": "Retain", "data": [{"key": "j", "format": "Json"}],
        },
    }));
    assert_eq!(
        (plan.asker.source, plan.asker.endpoint.as_str()),
        (Source::ApiKey { name: "key".into(), key: "k".into() }, PRIVATE)
    );
    assert_eq!((plan.asker.account_id.as_deref(), plan.suspend), (Some("0123"), true));
    assert_eq!(plan.renew_before, RenewBefore::Span(Duration::from_mins(12)));
    let target = plan.target;
    assert_eq!((target.name.as_str(), target.type_.as_str(), target.adopt, target.retain), ("t", "x/y", true, true));
    assert_eq!((target.labels["l"].as_str(), target.annotations["a"].as_str()), ("1", "2"));
    assert_eq!(target.data, [("j".to_owned(), Content::Json)]);
}

#[test]
fn what_the_crd_should_have_refused_is_refused_here() {
    let data = |entries: Value| json!({"target": {"data": entries}});
    for (changes, expected) in [
        (json!({"apiKeySecretRef": null}), "spec"),
        (json!({"serviceAccountRef": {"name": "sa"}}), "spec"),
        (json!({"credentialRef": {"name": "c"}}), "spec"),
        (json!({"apiKeySecretRef": null, "serviceAccountRef": {"name": "sa"}, "credentialRef": {"name": "c"}}), "spec"),
        (json!({"renewBefore": "51%"}), "spec.renewBefore"),
        (json!({"renewBefore": "soon"}), "spec.renewBefore"),
        (json!({"renewBefore": ""}), "spec.renewBefore"),
        (json!({"renewBefore": "-12m"}), "spec.renewBefore"),
        (json!({"target": {"name": "key"}}), "spec.target.name"),
        (data(json!([])), "spec.target.data"),
    ] {
        let problem = new("hpcs", &spec(&changes)).unwrap_err();
        assert!(matches!(problem, Problem::InvalidField { field, .. } if field == expected), "{changes}: {problem:?}");
    }
    assert!(new("key", &spec(&json!({}))).is_err(), "the target's default name is the source's");
}

#[test]
fn a_credential_that_is_not_supported_is_named() {
    let changes = json!({"apiKeySecretRef": null, "credentialRef": {"name": "c"}});
    assert_eq!(new("hpcs", &spec(&changes)), Err(Problem::NothingIsLent));
    for field in ["trustedProfile", "endpoint", "accountId"] {
        let value = if field == "trustedProfile" { json!({"id": "p"}) } else { json!("https://iam.cloud.ibm.com") };
        let problem =
            new("hpcs", &spec(&json!({"apiKeySecretRef": null, "credentialRef": {"name": "c"}, field: value})));
        assert!(matches!(problem, Err(Problem::InvalidField { field: "spec.credentialRef", .. })), "{problem:?}");
    }
}

/// A `ClusterIamCredential` called `shared` with `changes`, as an IamToken of this namespace and name plans with it.
fn lent(namespace: &str, name: &str, changes: &Value) -> Result<Plan, Problem> {
    let endpoints = [DEFAULT, PRIVATE].map(|text| Endpoint::parse(text, false).unwrap());
    let defaults = Endpoints::new(endpoints.to_vec()).unwrap().into();
    let mut spec = json!({
        "apiKeySecretRef": {"namespace": "iam-keys", "name": "key"}, "allowedNamespaces": {"names": [namespace]},
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let mut lenders = Lenders::new(["iam-keys".to_owned(), "more-keys".to_owned()], &defaults);
    lenders
        .put(&serde_json::from_value(json!({"metadata": {"name": "shared", "generation": 1}, "spec": spec})).unwrap());
    lenders.relisted();
    let key = Key::new(namespace, name);
    let token = serde_json::from_value(json!({"credentialRef": {"name": "shared"}})).unwrap();
    Plan::new(&key, &token, &defaults, |name| lenders.lend(name, namespace).cloned())
}

#[test]
fn whatever_the_lender_changes_is_another_ask() {
    let key = |namespace: &str, name: &str| json!({"apiKeySecretRef": {"namespace": namespace, "name": name}});
    let all = [
        json!({}),
        key("more-keys", "key"),
        key("iam-keys", "other"),
        json!({"endpoint": PRIVATE}),
        json!({"accountId": "0123"}),
        json!({"trustedProfile": {"id": "p"}}),
        json!({
            "apiKeySecretRef": null, "serviceAccountRef": {"namespace": "iam-keys", "name": "key"},
            "trustedProfile": {"id": "p"},
        }),
    ];
    let asks: std::collections::BTreeSet<_> =
        all.iter().map(|changes| lent("payments", "hpcs", changes).unwrap().ask).collect();
    assert_eq!(asks.len(), all.len());
    assert!(!asks.contains(&plan(&json!({})).ask), "a Secret of the same name in the own namespace is another");
}

#[test]
fn the_lenders_secret_is_nobodys_target() {
    assert!(lent("payments", "key", &json!({})).is_ok(), "another namespace");
    let refused = lent("iam-keys", "key", &json!({}));
    assert!(matches!(refused, Err(Problem::InvalidField { field: "spec.target.name", .. })), "{refused:?}");
}

#[test]
fn a_service_account_becomes_a_profile() {
    let sa = |profile: Value| json!({"apiKeySecretRef": null, "serviceAccountRef": {"name": "sa"}, "trustedProfile": profile});
    let plan = plan(&sa(json!({"name": "n"})));
    assert_eq!(plan.asker.source, Source::ServiceAccount { name: "sa".into() });
    assert_eq!(plan.asker.profile, Some(Profile::Name("n".into())));
    for (changes, field) in [
        (sa(json!(null)), "spec.trustedProfile"),
        (sa(json!({})), "spec.trustedProfile"),
        (sa(json!({"id": "p", "crn": "c"})), "spec.trustedProfile"),
        (json!({"trustedProfile": {"name": "n"}}), "spec.trustedProfile.name"),
    ] {
        let refused = new("hpcs", &spec(&changes));
        assert!(matches!(refused, Err(Problem::InvalidField { field: named, .. }) if named == field), "{changes}");
    }
    assert!(new("hpcs", &spec(&json!({"trustedProfile": {"name": "n"}, "accountId": "a"}))).is_ok());
}

#[test]
fn another_credential_or_profile_is_another_ask() {
    let id = |id: &str| json!({"trustedProfile": {"id": id}});
    let sa = |name: &str| json!({"apiKeySecretRef": null, "serviceAccountRef": {"name": name}, "trustedProfile": {"id": "a"}});
    let specs = [json!({}), id("a"), id("b"), json!({"trustedProfile": {"crn": "a"}}), sa("key"), sa("other")];
    let asks: std::collections::BTreeSet<_> = specs.iter().map(|changes| plan(changes).ask).collect();
    assert_eq!(asks.len(), specs.len());
}

#[test]
fn a_renew_before_beyond_all_reason_is_refused_and_ends_nothing() {
    for text in ["99999999999999999999h", "18446744073709551615s", "99999999999999999999%"] {
        let problem = new("hpcs", &spec(&json!({"renewBefore": text})));
        assert!(matches!(problem, Err(Problem::InvalidField { field: "spec.renewBefore", .. })), "{text}: {problem:?}");
    }
}

#[test]
fn an_endpoint_that_is_not_allowed_is_named_beside_those_that_are() {
    for endpoint in
        ["https://iam.test.cloud.ibm.com", "http://iam.cloud.ibm.com", "https://iam.cloud.ibm.com@evil", "x"]
    {
        let problem = new("hpcs", &spec(&json!({"endpoint": endpoint}))).unwrap_err();
        let allowed = format!("{DEFAULT}, {PRIVATE}");
        assert_eq!(problem, Problem::EndpointNotAllowed { endpoint: endpoint.into(), allowed });
    }
}

#[test]
fn the_digests_change_with_what_they_are_of_and_with_nothing_else() {
    const NEITHER: (bool, bool) = (false, false);
    const ASK: (bool, bool) = (true, false);
    const SHAPE: (bool, bool) = (false, true);
    let data = |entries: Value| json!({"target": {"data": entries}});
    let defaults = json!([
        {"key": "token", "format": "AccessToken"},
        {"key": "authorization", "format": "Bearer"},
        {"key": "expiration", "format": "Expiration"},
    ]);
    let before = plan(&json!({}));
    for (changes, expected) in [
        (json!({}), NEITHER),
        (json!({"renewBefore": "30%"}), NEITHER),
        (json!({"suspend": true}), NEITHER),
        (json!({"target": {}}), NEITHER),
        (json!({"target": {"adopt": true}}), NEITHER),
        (json!({"target": {"name": "other"}}), NEITHER),
        (json!({"target": {"name": "hpcs", "type": "Opaque", "labels": {}, "deletionPolicy": "Delete"}}), NEITHER),
        (data(defaults), NEITHER),
        (json!({"apiKeySecretRef": {"name": "key", "key": "apikey"}}), NEITHER),
        (json!({"endpoint": DEFAULT}), NEITHER),
        (json!({"endpoint": "HTTPS://iam.cloud.ibm.com/identity/token/"}), NEITHER),
        (json!({"endpoint": PRIVATE}), ASK),
        (json!({"apiKeySecretRef": {"name": "key2"}}), ASK),
        (json!({"apiKeySecretRef": {"name": "key", "key": "k"}}), ASK),
        (json!({"accountId": "0123"}), ASK),
        (json!({"target": {"type": "other"}}), SHAPE),
        (json!({"target": {"labels": {"a": "1"}}}), SHAPE),
        (json!({"target": {"annotations": {"a": "1"}}}), SHAPE),
        (json!({"target": {"deletionPolicy": "Retain"}}), SHAPE),
        (data(json!([{"key": "token", "format": "AccessToken"}])), SHAPE),
        (data(json!([{"key": "token", "template": "{{ access_token }}"}])), SHAPE),
        (json!({"accountId": "0123", "target": {"type": "other"}}), (true, true)),
    ] {
        let after = plan(&changes);
        assert_eq!((after.ask != before.ask, after.shape != before.shape), expected, "{changes}");
    }
}

#[test]
fn the_name_of_the_iamtoken_is_in_no_digest() {
    let (one, other) = (plan(&json!({})), new("other", &spec(&json!({}))).unwrap());
    assert_eq!((one.ask, one.shape), (other.ask, other.shape));
}

#[test]
fn labels_and_annotations_are_not_taken_for_each_other() {
    let shape = |field: &str, value: Value| plan(&json!({"target": {field: value}})).shape;
    assert_ne!(shape("labels", json!({"a": "1"})), shape("annotations", json!({"a": "1"})));
    assert_ne!(shape("labels", json!({"a": "1"})), shape("labels", json!({"a": "2"})));
    assert_eq!(shape("labels", json!({"a": "1", "b": "2"})), shape("labels", json!({"b": "2", "a": "1"})));
}

#[test]
fn what_must_be_managed_is_told_by_keys_and_owner() {
    let uid = "uid-1";
    let before = plan(&json!({})).owned(uid);
    let after = |target: Value| plan(&json!({"target": target})).owned(uid);
    assert_eq!(after(json!({"adopt": true, "name": "t", "type": "x"})), before);
    assert_ne!(plan(&json!({})).owned("uid-2").metadata, before.metadata);
    for target in
        [json!({"labels": {"a": "1"}}), json!({"annotations": {"a": "1"}}), json!({"deletionPolicy": "Retain"})]
    {
        let owned = after(target.clone());
        assert!(owned.metadata != before.metadata && owned.data == before.data, "{target}");
    }
    let other = after(json!({"data": [{"key": "token", "format": "Json"}]}));
    assert!(other.metadata == before.metadata && other.data != before.data);
    let kept = json!({"deletionPolicy": "Retain"});
    assert_eq!(after(kept.clone()), plan(&json!({"target": kept})).owned("uid-2"), "it has no owner");
}

#[test]
fn the_target_of_a_spec_that_makes_no_sense_still_has_a_name() {
    let spec = |value: Value| serde_json::from_value::<IamTokenSpec>(value).unwrap();
    assert_eq!(target_name("hpcs", &spec(json!({}))), "hpcs");
    assert_eq!(target_name("hpcs", &spec(json!({"target": {"name": "t", "data": []}}))), "t");
}

fn with(defaults: &Defaults, changes: &Value) -> Plan {
    let key = Key::new("payments", "hpcs");
    Plan::new(&key, &serde_json::from_value(spec(changes)).unwrap(), defaults, |_| Err(Problem::NothingIsLent)).unwrap()
}

fn defaults() -> Defaults {
    let endpoints = [DEFAULT, PRIVATE].map(|text| Endpoint::parse(text, false).unwrap());
    Endpoints::new(endpoints.to_vec()).unwrap().into()
}

#[test]
fn what_the_admin_sets_holds_where_the_spec_says_nothing() {
    let (renew_before, account_id) = (RenewBefore::Percent(30), Some("of-all".to_owned()));
    let set = Defaults { renew_before, account_id: account_id.clone(), ..defaults() };
    let plan = with(&set, &json!({}));
    assert_eq!((plan.renew_before, plan.asker.account_id), (renew_before, account_id));
    let plan = with(&set, &json!({"renewBefore": "12m", "accountId": "its-own"}));
    assert_eq!(plan.renew_before, RenewBefore::Span(Duration::from_mins(12)));
    assert_eq!(plan.asker.account_id.as_deref(), Some("its-own"));
}

#[test]
fn a_default_account_decides_which_token_is_wanted_as_one_of_the_spec_does() {
    let set = Defaults { account_id: Some("0123".into()), ..defaults() };
    let own = json!({"accountId": "0123"});
    assert_eq!(with(&set, &json!({})).ask, with(&defaults(), &own).ask);
    assert_eq!(with(&set, &own).ask, with(&defaults(), &own).ask);
    assert_ne!(with(&set, &json!({})).ask, with(&defaults(), &json!({})).ask);
}

#[test]
fn a_default_account_will_do_for_the_name_of_a_profile() {
    let profile = json!({"trustedProfile": {"name": "reader"}});
    assert!(new("hpcs", &spec(&profile)).is_err());
    let set = Defaults { account_id: Some("0123".into()), ..defaults() };
    assert_eq!(with(&set, &profile).asker.account_id.as_deref(), Some("0123"));
}

#[test]
fn only_an_endpoint_that_the_spec_does_not_name_has_others_in_its_place() {
    let private = Endpoint::parse(PRIVATE, false).unwrap();
    let endpoints = defaults().endpoints.with_failover(vec![private.clone()]).unwrap();
    let set = Defaults { endpoints, ..defaults() };
    assert_eq!(with(&set, &json!({})).asker.failover, [private]);
    for named in [DEFAULT, PRIVATE] {
        assert_eq!(with(&set, &json!({"endpoint": named})).asker.failover, []);
    }
    assert_eq!(with(&set, &json!({})).ask, with(&defaults(), &json!({})).ask, "nobody needs another token for it");
}

/// The digest of the smallest spec, so that no change here has every token fetched anew.
#[test]
fn an_operator_without_defaults_wants_the_same_tokens_as_before_there_were_any() {
    assert_eq!(plan(&json!({})).ask, digest::of_json(&json!(["key", "apikey", DEFAULT, null])));
}
