//! What the target Secret holds, in every format.

use serde_json::{Value, json};

use crate::harness::{World, eventually};

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
async fn a_template_is_filled_in_and_written_anew_without_an_exchange() {
    let world = World::start().await;
    let key = world.iam.service_id_key("templates");
    world.put_key("hpcs-key", &key).await;
    let env = "TOKEN={{ access_token }}\nEXPIRES={{ expiration }}\nWHO={{ claims.sub_type }} {{ iamtoken.name }}\n";
    let data = json!([{"key": "hpcs.env", "template": env}]);
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}, "target": {"data": data}})).await;
    let before = world.ready("hpcs").await;
    let lines: Vec<&str> = before["hpcs.env"].as_str().unwrap().lines().collect();
    let [token, expires, who] = lines[..] else { panic!("{lines:?}") };
    world.iam.verify(token.strip_prefix("TOKEN=").unwrap()).expect("a valid token");
    let expires_at = world.status("hpcs").await.expires_at.unwrap().0.as_second();
    assert_eq!((expires, who), (format!("EXPIRES={expires_at}").as_str(), "WHO=ServiceId hpcs"));
    // Labels are written with the same data.
    world.change_spec("hpcs", &json!({"target": {"labels": {"team": "a"}}})).await;
    eventually("the label", async || {
        let secret = world.secrets().get("hpcs").await.unwrap();
        secret.metadata.labels.unwrap_or_default().contains_key("team").then_some(()).ok_or("no label")
    })
    .await;
    assert_eq!(world.data("hpcs").await.as_ref(), Some(&before), "not a byte has changed");
    let other = json!([{"key": "hpcs.env", "template": "export TOKEN='{{ access_token }}'\n"}]);
    world.change_spec("hpcs", &json!({"target": {"data": other}})).await;
    let after = world.changed("hpcs", &before).await;
    assert_eq!(after["hpcs.env"], format!("export {}'\n", token.replace("TOKEN=", "TOKEN='")));
    assert_eq!(world.iam.exchanges_of(&key), 1);
}

/// The token can't be read back from there.
#[tokio::test]
async fn a_target_that_holds_the_token_only_encoded_is_written_anew_with_one_exchange() {
    let world = World::start().await;
    let key = world.iam.service_id_key("encoded");
    world.put_key("hpcs-key", &key).await;
    let data = json!([{"key": "auth", "template": "{{ ('iambearer:' ~ access_token) | b64encode }}"}]);
    world.put_token("hpcs", &json!({"apiKeySecretRef": {"name": "hpcs-key"}, "target": {"data": data}})).await;
    let before = world.ready("hpcs").await;
    world.change_spec("hpcs", &json!({"target": {"labels": {"team": "a"}}})).await;
    world.changed("hpcs", &before).await;
    let secret = world.secrets().get("hpcs").await.unwrap();
    assert!(secret.metadata.labels.unwrap().contains_key("team"));
    assert_eq!(world.iam.exchanges_of(&key), 2);
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
