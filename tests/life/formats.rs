//! What the target Secret holds, in every format.

use serde_json::{Value, json};

use crate::harness::World;

fn all() -> Value {
    json!([
        {"key": "token", "format": "AccessToken"},
        {"key": "bearer", "format": "Bearer"},
        {"key": "header", "format": "AuthorizationHeader"},
        {"key": "expiration", "format": "Expiration"},
        {"key": "expires-at", "format": "ExpiresAt"},
        {"key": "token.json", "format": "Json"},
        {"key": ".dockerconfigjson", "format": "DockerConfigJson", "registries": ["us.icr.io", "de.icr.io"]},
    ])
}

fn json_of(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn each_format_is_as_its_consumer_wants_it() {
    let world = World::start().await;
    let key = world.iam.service_id_key("formats");
    world.put_key("hpcs-key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}, "target": {"data": all()}})).await;
    let data = world.ready("hpcs").await;
    let token = data["token"].as_str().unwrap();
    let expires_at = world.status("hpcs").await.expires_at.unwrap().0;
    assert_eq!(data["bearer"], format!("Bearer {token}"));
    assert_eq!(data["header"], format!("Authorization: Bearer {token}\n"));
    assert_eq!(data["expiration"], expires_at.as_second().to_string());
    assert_eq!(data["expires-at"], expires_at.to_string());
    assert_eq!(json_of(&data["token.json"])["access_token"], token);
    let secret = world.secrets().get("hpcs").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
    let auths = &json_of(&data[".dockerconfigjson"])["auths"];
    assert_eq!(auths.as_object().unwrap().keys().collect::<Vec<_>>(), ["de.icr.io", "us.icr.io"]);
    for registry in ["us.icr.io", "de.icr.io"] {
        assert_eq!((&auths[registry]["username"], &auths[registry]["password"]), (&json!("iambearer"), &json!(token)));
    }
}

#[tokio::test]
async fn one_that_only_pulls_images_is_written_anew_without_an_exchange() {
    let world = World::start().await;
    let pull = json!([{"key": ".dockerconfigjson", "format": "DockerConfigJson", "registries": ["icr.io"]}]);
    let key = world.iam.service_id_key("pulls");
    world.put_key("hpcs-key", &key).await;
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}, "target": {"data": pull}})).await;
    let before = world.ready("hpcs").await;
    let more =
        json!([{"key": ".dockerconfigjson", "format": "DockerConfigJson", "registries": ["icr.io", "us.icr.io"]}]);
    world.change_spec("hpcs", &json!({"target": {"data": more}})).await;
    let after = world.changed("hpcs", &before).await;
    let password =
        |data: &Value, registry: &str| json_of(&data[".dockerconfigjson"])["auths"][registry]["password"].clone();
    assert_eq!(password(&before, "icr.io"), password(&after, "us.icr.io"));
    assert_eq!(world.iam.exchanges_of(&key), 1);
}
