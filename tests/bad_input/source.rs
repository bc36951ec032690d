//! The Secret that holds the API key.

use serde_json::json;

use crate::checks::{
    calm, patch_secret, put_bytes, put_good_key, ready_at_once, requests, spec_of, stalled_and_not_ready,
    stalled_but_ready,
};
use crate::harness::{World, eventually, put_secret};

/// What the value may be instead of a key: a name for the case, the value, and the words that tell.
fn bad_values() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("empty", vec![], "is empty"),
        ("blank", b" \n\t\n".to_vec(), "is empty"),
        ("bytes", b"\xff\xfe\x00secret".to_vec(), "is not UTF-8 text"),
        ("json", br#"{"name":"hidden-value"}"#.to_vec(), "without an \"apikey\""),
        ("number", br#"{"apikey":5,"name":"hidden-value"}"#.to_vec(), "without an \"apikey\""),
        ("cut", br#"{"apikey":"hidden-value"#.to_vec(), "looks like JSON"),
        ("large", vec![b'k'; 4097], "over 4 KiB"),
        ("env", b"IBMCLOUD_AUTHTYPE=iam\nIBMCLOUD_PROFILEID=hidden-value\n".to_vec(), "ibm-credentials.env"),
        ("words", b"hidden-value and more".to_vec(), "characters"),
    ]
}

#[tokio::test]
async fn an_absent_secret_is_named_and_awaited() {
    let world = World::start().await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    stalled_and_not_ready(&world, "hpcs", "SourceNotFound", &["Secret hpcs-key", "Create it"]).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
    put_good_key(&world, "hpcs").await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn a_secret_that_is_deleted_later_costs_no_token() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    world.delete_secret("hpcs-key").await;
    let words = ["Secret hpcs-key", "does not exist", "Create it"];
    stalled_but_ready(&world, "hpcs", "SourceNotFound", &words, ("hpcs", &data)).await;
    calm(&world).await;
    world.put_key("hpcs-key", &key).await;
    ready_at_once(&world, "hpcs").await;
    assert_eq!(world.iam.exchanges_of(&key), 1, "the same key came back: its token is still good");
    assert_eq!(world.data("hpcs").await, Some(data));
}

#[tokio::test]
async fn an_absent_key_is_named_and_awaited() {
    let world = World::start().await;
    put_secret(&world.client, &world.namespace, "hpcs-key", &json!({"api-key": "somewhere else"})).await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    let words = ["Secret hpcs-key", "no key apikey", "spec.apiKeySecretRef.key"];
    stalled_and_not_ready(&world, "hpcs", "SourceKeyNotFound", &words).await;
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0);
    put_good_key(&world, "hpcs").await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn a_key_that_is_removed_later_costs_no_token() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    patch_secret(&world, "hpcs-key", &json!({"data": {"apikey": null}})).await;
    let words = ["Secret hpcs-key", "no key apikey"];
    stalled_but_ready(&world, "hpcs", "SourceKeyNotFound", &words, ("hpcs", &data)).await;
    calm(&world).await;
    world.put_key("hpcs-key", &key).await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn another_key_of_the_secret_may_be_named_instead() {
    let world = World::start().await;
    let key = world.iam.service_id_key("elsewhere");
    put_secret(&world.client, &world.namespace, "hpcs-key", &json!({"api-key": key})).await;
    world.put_token("hpcs", &spec_of("hpcs")).await;
    stalled_and_not_ready(&world, "hpcs", "SourceKeyNotFound", &[]).await;
    world.change_spec("hpcs", &json!({"apiKeySecretRef": {"key": "api-key"}})).await;
    ready_at_once(&world, "hpcs").await;
}

#[tokio::test]
async fn a_value_that_is_no_key_is_described() {
    let world = World::start().await;
    for (name, value, _) in &bad_values() {
        put_bytes(&world, &format!("{name}-key"), "apikey", value).await;
        world.put_token(name, &spec_of(name)).await;
    }
    for (name, _, words) in &bad_values() {
        let secret = format!("Secret {name}-key");
        let words = [*words, &secret, "key apikey", "Put an IBM Cloud API key there"];
        stalled_and_not_ready(&world, name, "SourceInvalid", &words).await;
    }
    calm(&world).await;
    assert_eq!(world.iam.calls().len(), 0, "none of these went to IAM");
    assert_hidden(&world).await;
    for (name, ..) in &bad_values() {
        put_bytes(&world, &format!("{name}-key"), "apikey", world.iam.service_id_key(name).as_bytes()).await;
    }
    for (name, ..) in &bad_values() {
        ready_at_once(&world, name).await;
    }
}

#[tokio::test]
async fn a_value_that_is_spoilt_later_costs_no_token() {
    let world = World::start().await;
    let keys: Vec<String> = bad_values().iter().map(|(name, ..)| world.iam.service_id_key(name)).collect();
    let mut before = vec![];
    for ((name, ..), key) in bad_values().iter().zip(&keys) {
        put_bytes(&world, &format!("{name}-key"), "apikey", key.as_bytes()).await;
        world.put_token(name, &spec_of(name)).await;
        before.push(world.ready(name).await);
    }
    for (name, value, _) in &bad_values() {
        put_bytes(&world, &format!("{name}-key"), "apikey", value).await;
    }
    for ((name, _, words), data) in bad_values().iter().zip(&before) {
        stalled_but_ready(&world, name, "SourceInvalid", &[words], (name, data)).await;
    }
    calm(&world).await;
    for ((name, ..), key) in bad_values().iter().zip(&keys) {
        put_bytes(&world, &format!("{name}-key"), "apikey", key.as_bytes()).await;
        ready_at_once(&world, name).await;
        assert_eq!(world.iam.exchanges_of(key), 1, "{name}: the same key came back");
    }
}

#[tokio::test]
async fn every_form_of_a_key_works() {
    let world = World::start().await;
    let key = |name: &str| world.iam.service_id_key(name);
    let cli = json!({"name": "k", "description": "", "apikey": key("cli"), "createdAt": "2026-01-01T00:00+0000",
        "locked": false, "uuid": "ApiKey-1"});
    let service = json!({"apikey": key("service"), "iam_apikey_name": "n", "iam_role_crn": "crn:v1:bluemix",
        "iam_serviceid_crn": "crn:v1:bluemix", "guid": "g"});
    let forms = [
        ("raw", format!("{}\r\n", key("raw"))),
        ("cli", serde_json::to_string_pretty(&cli).unwrap()),
        ("service", service.to_string()),
        ("env", format!("IBMCLOUD_AUTHTYPE=iam\nIBMCLOUD_APIKEY={}\n", key("env"))),
        ("sdk", format!("# an SDK's\nHPCS_AUTH_TYPE=iam\nHPCS_APIKEY={}\n", key("sdk"))),
    ];
    for (name, value) in &forms {
        world.put_key(&format!("{name}-key"), value).await;
        world.put_token(name, &spec_of(name)).await;
    }
    for (name, _) in &forms {
        let identity = ready_at_once(&world, name).await.identity.unwrap();
        assert_eq!(identity.iam_id, world.iam.identity_of(&key(name)).map(|it| it.iam_id), "{name}");
    }
}

#[tokio::test]
async fn only_a_change_of_the_value_is_exchanged() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    calm(&world).await;
    let harmless = [
        ("a label", json!({"metadata": {"labels": {"rotated": "no"}}})),
        ("another key", json!({"stringData": {"note": "of no interest"}})),
        ("another form of the same key", json!({"stringData": {"apikey": json!({"apikey": key}).to_string()}})),
    ];
    for (what, change) in harmless {
        let mark = world.plane.audit_mark().await;
        patch_secret(&world, "hpcs-key", &change).await;
        eventually(&format!("{what} was looked at"), async || {
            let seen = requests(&world, mark).await;
            if seen.iter().any(|request| request == "get secrets/hpcs-key 200") { Ok(()) } else { Err(seen) }
        })
        .await;
        calm(&world).await;
        assert_eq!(world.iam.calls().len(), 1, "{what} was exchanged");
        assert_eq!(world.data("hpcs").await.as_ref(), Some(&data), "{what} changed the target");
    }
    let other = world.iam.service_id_key("rotated");
    world.put_key("hpcs-key", &other).await;
    world.changed("hpcs", &data).await;
    assert_eq!((world.iam.exchanges_of(&key), world.iam.exchanges_of(&other)), (1, 1));
    let identity = ready_at_once(&world, "hpcs").await.identity.unwrap();
    assert_eq!(identity.iam_id, world.iam.identity_of(&other).map(|it| it.iam_id));
}

/// Neither a status nor the log quotes a bad value.
async fn assert_hidden(world: &World) {
    for (name, ..) in &bad_values() {
        let status = serde_json::to_string(&world.status(name).await).unwrap();
        assert!(!status.contains("hidden-value"), "{name}: {status}");
    }
    assert!(!world.operator.log().contains("hidden-value"), "the log quotes a value");
}
