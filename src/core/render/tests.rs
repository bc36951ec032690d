use super::*;
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::record::{Mark, Owner as RecordOwner};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

const UID: &str = "uid-1";
const TOKEN: &str = "FAKE.access.token-0";
const EXACTLY: (&str, &str) = ("secret-uid", "77");

fn plan(target: &Value) -> Plan {
    let spec = json!({"apiKeySecretRef": {"name": "key"}, "target": target});
    let endpoints = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    let key = crate::core::view::Key::new("payments", "hpcs");
    Plan::new(&key, &serde_json::from_value(spec).unwrap(), &endpoints.into(), |_| {
        Err(crate::core::problem::Problem::NothingIsLent)
    })
    .unwrap()
}

fn record(plan: &Plan, token: &str) -> Record {
    Record {
        owner: RecordOwner { namespace: "payments".into(), name: "hpcs".into(), uid: UID.into() },
        refreshed_at: Timestamp::from_second(1_800_000_000).unwrap(),
        lifetime: 1200,
        jitter: 9,
        source: Mark { uid: "source-uid".into(), version: "3".into() },
        credential: "c".into(),
        token: digest::of_secret(UID, token),
        ask: plan.ask.clone(),
        shape: plan.shape.clone(),
        refresh_requested: None,
        identity: None,
        skew: 0,
        server_ahead: None,
    }
}

fn rendered(target: &Value, expect: &Expect) -> Secret {
    let plan = plan(target);
    secret(&plan, &record(&plan, TOKEN), &SecretString::from(TOKEN), expect).unwrap()
}

fn exactly() -> Expect {
    Expect::Exactly { uid: EXACTLY.0.into(), version: EXACTLY.1.into() }
}

fn data(secret: &Secret) -> Vec<(&str, &str)> {
    let data = secret.data.as_ref().unwrap().iter();
    data.map(|(key, value)| (key.as_str(), std::str::from_utf8(&value.0).unwrap())).collect()
}

#[test]
fn by_default_there_are_three_keys() {
    let secret = rendered(&json!({}), &exactly());
    let expected = [("authorization", "Bearer FAKE.access.token-0"), ("expiration", "1800001200"), ("token", TOKEN)];
    assert_eq!(data(&secret), expected);
    assert_eq!((secret.type_.as_deref(), secret.immutable, &secret.string_data), (Some("Opaque"), None, &None));
    let metadata = &secret.metadata;
    assert_eq!((metadata.name.as_deref(), metadata.namespace.as_deref()), (Some("hpcs"), Some("payments")));
    assert!(metadata.managed_fields.is_none() && metadata.finalizers.is_none());
}

#[test]
fn each_format_is_written_byte_for_byte() {
    for (format, expected) in [
        ("AccessToken", TOKEN.to_owned()),
        ("Bearer", format!("Bearer {TOKEN}")),
        ("AuthorizationHeader", format!("Authorization: Bearer {TOKEN}\n")),
        ("Expiration", "1800001200".into()),
        ("ExpiresAt", "2027-01-15T08:20:00Z".into()),
    ] {
        let secret = rendered(&json!({"data": [{"key": "k", "format": format}]}), &exactly());
        assert_eq!(data(&secret), [("k", expected.as_str())], "{format}");
    }
}

#[test]
fn json_is_what_iam_answers_without_the_refresh_token() {
    let secret = rendered(&json!({"data": [{"key": "token.json", "format": "Json"}]}), &exactly());
    let [("token.json", text)] = data(&secret)[..] else { panic!("{:?}", data(&secret)) };
    let expected =
        json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 1200, "expiration": 1_800_001_200});
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
    assert!(text.starts_with('{') && text.ends_with('}') && !text.contains([' ', '\n']), "{text}");
}

#[test]
fn a_docker_config_logs_in_to_each_registry() {
    let entry = json!({"key": "config.json", "format": "DockerConfigJson", "registries": ["us.icr.io", "r:5000"]});
    let secret = rendered(&json!({"data": [entry]}), &exactly());
    // echo -n iambearer:FAKE.access.token-0 | base64
    let login = json!({"username": "iambearer", "password": TOKEN, "auth": "aWFtYmVhcmVyOkZBS0UuYWNjZXNzLnRva2VuLTA="});
    let expected = json!({"auths": {"us.icr.io": login, "r:5000": login}});
    assert_eq!(serde_json::from_str::<Value>(data(&secret)[0].1).unwrap(), expected);
}

#[test]
fn labels_and_annotations_stand_beside_the_operators_own() {
    let secret = rendered(&json!({"labels": {"team": "a"}, "annotations": {"note": "b"}}), &exactly());
    let labels = secret.metadata.labels.unwrap();
    let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [(MANAGED, "true"), ("team", "a")]);
    let annotations = secret.metadata.annotations.unwrap();
    assert_eq!((annotations.len(), annotations["note"].as_str()), (2, "b"));
    assert_eq!(
        Record::parse(&annotations[RECORD]),
        Some(record(&plan(&json!({"labels": {"team": "a"}, "annotations": {"note": "b"}})), TOKEN))
    );
}

#[test]
fn no_label_or_annotation_of_the_spec_can_displace_the_operators_own() {
    let secret = rendered(&json!({"labels": {MANAGED: "false"}, "annotations": {RECORD: "{}"}}), &exactly());
    assert_eq!(secret.metadata.labels.unwrap()[MANAGED], "true");
    assert!(Record::parse(&secret.metadata.annotations.unwrap()[RECORD]).is_some());
}

#[test]
fn the_secret_goes_with_its_iamtoken_unless_it_is_to_stay() {
    let owners = rendered(&json!({}), &exactly()).metadata.owner_references.unwrap();
    let [owner] = &owners[..] else { panic!("{owners:?}") };
    assert_eq!((owner.api_version.as_str(), owner.kind.as_str()), ("iamtoken.dev/v1alpha1", "IamToken"));
    assert_eq!((owner.name.as_str(), owner.uid.as_str(), owner.controller), ("hpcs", UID, Some(true)));
    assert_eq!(owner.block_owner_deletion, None, "nobody need be allowed to change the IamToken's finalizers");
    assert_eq!(rendered(&json!({"deletionPolicy": "Retain"}), &exactly()).metadata.owner_references, None);
}

#[test]
fn a_write_names_the_state_that_it_expects() {
    let expected = rendered(&json!({}), &exactly()).metadata;
    assert_eq!((expected.uid.as_deref(), expected.resource_version.as_deref()), (Some(EXACTLY.0), Some(EXACTLY.1)));
    let absent = rendered(&json!({}), &Expect::Absent).metadata;
    assert_eq!((absent.uid, absent.resource_version.as_deref()), (None, Some("1")));
}

#[test]
fn nothing_but_the_data_holds_the_token() {
    let mut secret = rendered(&json!({}), &exactly());
    secret.data = None;
    assert!(!serde_json::to_string(&secret).unwrap().contains(TOKEN));
}

fn recovered(data: &[(&str, &str)]) -> Option<String> {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), SecretString::from(*value))).collect();
    recover(UID, &record(&plan(&json!({})), TOKEN), &data).map(|token| token.expose_secret().to_owned())
}

#[test]
fn the_token_is_recovered_from_any_format_that_has_it() {
    for target in [
        json!({}),
        json!({"data": [{"key": "a", "format": "AccessToken"}]}),
        json!({"data": [{"key": "a", "format": "Bearer"}]}),
        json!({"data": [{"key": "a", "format": "Json"}]}),
        json!({"data": [{"key": "a", "format": "Expiration"}, {"key": "b", "format": "Json"}]}),
        json!({"data": [{"key": "a", "format": "AuthorizationHeader"}]}),
        json!({"data": [{"key": "a", "format": "DockerConfigJson", "registries": ["us.icr.io"]}]}),
        json!({"data": [{"key": "a", "template": "TOKEN={{ access_token }}\nEXPIRES={{ expiration }}\n"}]}),
        json!({"data": [{"key": "a", "template": "{\"long.er.words\": 1, \"t\": {{ access_token | tojson }}}"}]}),
        json!({"data": [{"key": "a", "template": "The token is {{ access_token }}. Good luck..."}]}),
    ] {
        let secret = rendered(&target, &exactly());
        assert_eq!(recovered(&data(&secret)).as_deref(), Some(TOKEN), "{target}");
    }
    let beside = [("a", "theirs"), ("b", "{"), ("c", "{\"access_token\": 5}"), ("d", TOKEN), ("e", "Bearer theirs")];
    assert_eq!(recovered(&beside).as_deref(), Some(TOKEN), "others' keys are passed over");
}

#[test]
fn no_other_token_is_taken_for_it() {
    let json = r#"{"access_token":"FAKE.other.token"}"#;
    for data in [&[][..], &[("expiration", "1800001200")], &[("token", "FAKE.other.token")], &[("j", json)]] {
        assert_eq!(recovered(data), None, "{data:?}");
    }
    let encoded = json!({"data": [{"key": "a", "template": "{{ access_token | b64encode }}"}]});
    assert_eq!(recovered(&data(&rendered(&encoded, &exactly()))), None, "what is encoded is not looked for");
    let many = "FAKE.other-and-longer.token ".repeat(MOST_WORDS) + TOKEN;
    assert_eq!(recovered(&[("token", &many)]), None, "nor is all of a long text");
}

#[test]
fn a_template_is_filled_in() {
    let env = json!({"key": "hpcs.env", "template": "TOKEN={{ access_token }}\nEXPIRES={{ expiration }}\n"});
    let who = json!({"key": "who", "template": "{{ iamtoken.namespace }}/{{ iamtoken.name }} {{ expires_at }}"});
    let secret = rendered(&json!({"data": [env, who, {"key": "t", "format": "AccessToken"}]}), &exactly());
    let env = format!("TOKEN={TOKEN}\nEXPIRES=1800001200\n");
    let expected = [("hpcs.env", env.as_str()), ("t", TOKEN), ("who", "payments/hpcs 2027-01-15T08:20:00Z")];
    assert_eq!(data(&secret), expected);
}

#[test]
fn a_template_that_does_not_suit_the_token_is_named() {
    let plan =
        plan(&json!({"data": [{"key": "a", "format": "Json"}, {"key": "b", "template": "\n{{ claims.mine }}"}]}));
    let refused = secret(&plan, &record(&plan, TOKEN), &SecretString::from(TOKEN), &exactly()).map(|_| ());
    let Err(Problem::TemplateFailed { key, fault }) = refused else { panic!("{refused:?}") };
    assert_eq!((key.as_str(), fault.line), ("b", Some(2)));
}

#[test]
fn all_that_the_secret_holds_is_a_mebibyte_at_the_most() {
    let entry = |key: &str| json!({"key": key, "template": "{{ access_token }}".repeat(64)});
    let token = "t".repeat(1 << 13);
    let rendered = |data: &[Value]| {
        let plan = plan(&json!({"data": data}));
        secret(&plan, &record(&plan, &token), &SecretString::from(token.as_str()), &exactly()).map(|_| ())
    };
    assert_eq!(rendered(&[entry("a"), entry("b")]), Ok(()), "exactly a mebibyte");
    let over = rendered(&[entry("a"), entry("b"), json!({"key": "c", "format": "Expiration"})]);
    let Err(Problem::TemplateFailed { key, .. }) = &over else { panic!("{over:?}") };
    assert_eq!(key, "b", "other formats need little, and come first");
}

#[test]
fn the_token_of_another_iamtoken_is_not_recovered() {
    let data = [("token".to_owned(), SecretString::from(TOKEN))].into();
    assert!(recover("uid-2", &record(&plan(&json!({})), TOKEN), &data).is_none());
}
