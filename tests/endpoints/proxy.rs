//! The environment's proxy: for IAM, and for nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam_token_operator::api::{CONDITION_RECONCILING, REFRESH_REQUESTED};
use testkit::connect_proxy::{Admits, ConnectProxy};
use testkit::fake_iam::FakeIam;

use crate::harness::{World, eventually};
use crate::path;

const PASSWORD: &str = "FAKE-password";

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn iam_is_asked_by_the_proxy_and_what_is_wrong_with_that_is_told() {
    let (iam, proxy) = (FakeIam::start_tls(), ConnectProxy::start().await.unwrap());
    let ca = path("ca.pem");
    std::fs::write(&ca, iam.ca_pem().unwrap()).unwrap();
    let (address, endpoints) = (proxy.address(), [iam.url()]);
    let variables = [("HTTPS_PROXY", &*format!("http://user:{PASSWORD}@{address}"))];
    let flag = format!("--iam-ca-file={}", ca.display());
    proxy.set(Admits::Only(format!("Basic {}", STANDARD.encode(format!("user:{PASSWORD}")))));
    // The kubeconfig has no proxy of its own: the API server is asked directly, or nothing below would come about.
    let world = World::begin_in(&variables, iam, &endpoints, "trace,h2=info,hyper=info", &[&flag]).await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let target = world.iam.address().to_string();
    assert_eq!(proxy.connects(), [target.as_str()]);
    assert_eq!(world.iam.exchanges_of(&key), 1);
    for secret in [&key, data["token"].as_str().unwrap()] {
        assert!(!contains(&proxy.bytes(), secret), "the proxy sees a secret");
    }

    let by = format!("IAM at {} (by the proxy http://{address}): ", endpoints[0]);
    for (admits, says) in [
        // No two that follow each other say the same: each must be told anew.
        (Admits::Nobody, "the proxy does not connect to it"),
        (Admits::Only("Basic other".into()), "the proxy wants a user name and a password"),
        (Admits::Silence, "the proxy does not connect to it"),
    ] {
        proxy.set(admits);
        told(&world, &by, says).await;
    }
    drop(proxy);
    told(&world, &by, "the proxy cannot be reached").await;
    let log = world.operator.log();
    for secret in [PASSWORD, &STANDARD.encode(format!("user:{PASSWORD}")), &key] {
        assert!(!log.contains(secret), "the log shows a secret that begins {secret:.8}");
    }
    assert_eq!(world.data("hpcs").await.unwrap(), data, "the token in place is left");
    std::fs::remove_file(&ca).unwrap();
}

/// Waits until the status says so, of a refresh that is requested now.
async fn told(world: &World, by: &str, says: &str) {
    world.annotate("hpcs", REFRESH_REQUESTED, &format!("{says}, at {:?}", std::time::Instant::now())).await;
    eventually(says, async || {
        let told = world.condition("hpcs", CONDITION_RECONCILING, "IamUnreachable").await;
        let right = told.message.contains(&format!("{by}{says}")) && told.message.contains("tried again by itself");
        if right { Ok(()) } else { Err(told.message) }
    })
    .await;
}
