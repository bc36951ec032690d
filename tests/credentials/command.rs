//! `iam-token-operator token`, where it becomes a trusted profile.

use std::process::{Command, Output};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use testkit::fake_iam::{DEFAULT_ACCOUNT, claims_unverified};

use crate::harness::World;
use crate::setup::{PROFILE, put_profile, put_service_account, world};

fn token(world: &World, arguments: &[&str]) -> Output {
    let url = world.iam.url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_iam-token-operator"));
    command.args(["token", "--endpoint", &url, "--allow-insecure-http", "--output", "raw"]).args(arguments);
    command.env_clear().output().unwrap()
}

/// Whose token was printed, or what was said.
fn subject(output: &Output) -> Result<String, String> {
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr.clone()).unwrap());
    }
    let claims = claims_unverified(std::str::from_utf8(&output.stdout).unwrap().trim()).unwrap();
    Ok(claims["iam_id"].as_str().unwrap().to_owned())
}

fn file(world: &World, name: &str, content: &str) -> String {
    let path = format!("{}/{}-{name}", env!("CARGO_TARGET_TMPDIR"), world.namespace);
    std::fs::write(&path, content).unwrap();
    path
}

#[tokio::test]
async fn a_file_of_a_service_account_or_of_an_api_key_becomes_a_profile() {
    let world = world().await;
    put_service_account(&world, "client").await;
    let key = world.iam.service_id_key("command");
    put_profile(&world, &["client"], &[&key]);
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let request = json!({"spec": {"audiences": ["iam"], "expirationSeconds": 3600}});
    let request: TokenRequest = serde_json::from_value(request).unwrap();
    let made: TokenRequest =
        accounts.create_subresource("token", "client", &PostParams::default(), &request).await.unwrap();
    let projected = file(&world, "projected", &format!("{}\n", made.status.unwrap().token.unwrap()));
    let key = file(&world, "key", &key);
    let (at_key, expected) = (format!("@{key}"), Ok(format!("iam-{PROFILE}")));
    for arguments in [
        vec!["--cr-token-file", &projected, "--trusted-profile", PROFILE],
        vec!["--cr-token-file", &projected, "--trusted-profile", "payments"],
        vec!["--apikey-file", &key, "--trusted-profile", PROFILE],
        vec!["--apikey", &at_key, "--trusted-profile", "payments", "--account-id", DEFAULT_ACCOUNT],
    ] {
        assert_eq!(subject(&token(&world, &arguments)), expected, "{arguments:?}");
    }
    for (arguments, says) in [
        (vec!["--cr-token-file", &projected], "--trusted-profile"),
        (vec!["--cr-token-file", &projected, "--trusted-profile", "Profile-other"], "BXNIM0398E"),
        (vec!["--cr-token-file", "/dev/null", "--trusted-profile", PROFILE], "no token of a ServiceAccount"),
        (vec!["--cr-token-file", &key, "--trusted-profile", PROFILE], "BXNIM0401E"),
        (vec!["--apikey-file", &key, "--trusted-profile", "payments"], "--account-id"),
        (vec!["--apikey", "FAKE-key-as-an-argument", "--trusted-profile", PROFILE], "--apikey takes @FILE"),
    ] {
        let said = subject(&token(&world, &arguments)).unwrap_err();
        assert!(said.contains(says) && !said.contains("FAKE-key"), "{arguments:?}: {said}");
    }
}
