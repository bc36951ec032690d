//! What the operator sends.

use serde_json::json;
use testkit::fake_iam::{ApiKey, fake_api_key};

use crate::harness::World;

const GRANT: &str = "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey";

#[tokio::test]
async fn it_is_the_documented_form_and_no_more() {
    let world = World::start().await;
    world.iam.record_bodies(true);
    let plain = world.put_pair("plain").await;
    let base = fake_api_key("special");
    let special = format!("{base}+/&%~");
    let identity = world.iam.identity_of(&plain).unwrap();
    world.iam.add_key(&special, ApiKey::new("special", identity.iam_id));
    world.put_key("special-key", &special).await;
    world.put_token("special", &json!({"apiKeySecretRef": {"name": "special-key"}})).await;
    for (name, key, escaped) in
        [("plain", &plain, plain.clone()), ("special", &special, format!("{base}%2B%2F%26%25%7E"))]
    {
        world.ready(name).await;
        let calls = world.iam.calls_of(key);
        assert_eq!(calls.len(), 1, "{name}");
        let call = &calls[0];
        assert_eq!(call.content_type.as_deref(), Some("application/x-www-form-urlencoded"));
        assert_eq!(call.accept.as_deref(), Some("application/json"));
        let agent = concat!("iam-token-operator/", env!("CARGO_PKG_VERSION"));
        assert_eq!(call.user_agent.as_deref(), Some(agent));
        assert_eq!(call.tenant, None);
        assert!(call.body.as_deref() == Some(format!("{GRANT}&apikey={escaped}").as_bytes()), "{name}: another body");
    }
}
