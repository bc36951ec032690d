use serde_json::{Value, json};

use super::plugin;
use crate::command::call;
use crate::harness::{World, put_secret};

/// The last part of the token in the Secret.
async fn signature(world: &World, name: &str) -> String {
    let data = world.data(name).await.unwrap();
    data["token"].as_str().unwrap().rsplit('.').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_token_of_an_iamtoken_is_explained_without_its_signature() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let kubeconfig = world.plane.kubeconfig_for_admin();
    let own = |args: &[&str]| {
        let args = [&["explain", "-n", &world.namespace], args].concat();
        call(&args).env("KUBECONFIG", kubeconfig.to_str().unwrap()).run().succeeded()
    };
    let json = plugin(&world, &["explain", "hpcs", "-o", "json"]).run().succeeded();
    let texts = [
        plugin(&world, &["explain", "hpcs"]).run().succeeded(),
        own(&["hpcs"]),
        own(&["--secret", "hpcs"]),
        own(&["--secret", "hpcs", "--key", "authorization"]),
    ];
    let signature = signature(&world, "hpcs").await;
    for text in texts.iter().chain([&json]) {
        assert!(text.contains("iam-ServiceId-") && !text.contains(&signature), "{text}");
    }
    assert!(texts.iter().all(|text| text.contains("(ServiceId)\n") && text.contains("m of 60m\n")), "{texts:?}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["claims", "header"]);
}

#[tokio::test]
async fn what_holds_no_token_is_named_and_not_shown() {
    let world = World::start().await;
    put_secret(&world.client, &world.namespace, "key", &json!({"apikey": "FAKE-key"})).await;
    for (args, expected) in [
        (&["explain", "--secret", "key"][..], "holds no token. It holds: apikey."),
        (&["explain", "--secret", "key", "--key", "apikey"], "key apikey of Secret key in namespace"),
        (&["explain", "--secret", "key", "--key", "token"], "has no key token. It holds: apikey."),
        (&["explain", "--secret", "none"], "Secret none does not exist"),
        (&["explain", "none"], "IamToken none does not exist"),
    ] {
        let err = plugin(&world, args).run().complained();
        assert!(err.contains(expected) && !err.contains("FAKE"), "{err}");
    }
}
