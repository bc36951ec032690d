//! The same controller runs in any world: here with a clock of its own and an exchange that is no IAM.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use iam_token_operator::api::Identity;
use iam_token_operator::clock::{Clock, SystemClock};
use iam_token_operator::controller::{self, Settings, World};
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::failure::Failure;
use iam_token_operator::core::schedule::{Life, later, since, whole_seconds};
use iam_token_operator::iam::{Ask, Exchange, Grant};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use serde_json::json;

use crate::harness::{
    OPERATOR_NAMESPACE, allow_operator, data_of, eventually, new_namespace, prepared, put_secret, put_token,
};

const AHEAD: Duration = Duration::from_hours(240);
const LIFETIME: Duration = Duration::from_hours(1);

/// Ten days ahead.
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        later(SystemClock.now(), AHEAD)
    }
}

/// Numbers its tokens.
#[derive(Default)]
struct Numbered(AtomicUsize);

impl Exchange for Numbered {
    fn exchange(&self, _: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let life = Life { since: whole_seconds(Ahead.now()), lasts: LIFETIME };
        let token = format!("FAKE-token-{number}").into();
        async move { Ok(Grant { token, life, skew: 0, identity: Identity::default() }) }.boxed()
    }
}

#[tokio::test]
async fn clock_and_exchange_are_arguments() {
    let plane = prepared().await;
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    let exchange = Arc::new(Numbered::default());
    let world = World {
        client: plane.client_for_service_account(OPERATOR_NAMESPACE, "iam-token-operator").await,
        exchange: exchange.clone(),
        clock: Arc::new(Ahead),
    };
    let endpoint = Endpoint::parse("https://iam.invalid", false).unwrap();
    let settings = Settings {
        namespaces: vec![namespace.clone()],
        credential_namespaces: vec![],
        defaults: Endpoints::new(vec![endpoint]).unwrap().into(),
        concurrency: 4,
        namespace_budget: 300,
        lease: None,
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(controller::run(settings, world, stopped.map(|_| ()).boxed().shared()));

    put_secret(&client, &namespace, "key", &json!({"apikey": "FAKE-key"})).await;
    put_token(&client, &namespace, "token", &json!({"apiKeySecretRef": {"name": "key"}})).await;
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let secret = eventually("a token", async || secrets.get_opt("token").await.unwrap().ok_or(())).await;
    let data = data_of(&secret);
    assert_eq!(data["token"], "FAKE-token-1");
    let expiration = Timestamp::from_second(data["expiration"].as_str().unwrap().parse().unwrap()).unwrap();
    let ahead = since(expiration, SystemClock.now());
    assert!(ahead.abs_diff(AHEAD + LIFETIME) < Duration::from_secs(30), "{ahead:?}");

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("an end in time").unwrap();
    assert_eq!(exchange.0.load(Ordering::Relaxed), 1);
}
