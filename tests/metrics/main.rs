//! What the operator's process answers at `/metrics`, read as Prometheus reads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]
#![allow(clippy::float_cmp, reason = "counts are whole numbers")]

#[path = "../harness/mod.rs"]
mod harness;

mod documented;
mod limit;
mod replicas;
mod scrape;
mod trouble;
mod values;

use self::harness::{Operator, Start, World, allow_operator, kubeconfig, new_namespace, prepared};
use testkit::fake_iam::FakeIam;

/// A world whose operator answers scrapes.
async fn world() -> World {
    world_with(&[]).await
}

/// With more arguments.
async fn world_with(more: &[&str]) -> World {
    let plane = prepared().await;
    let client = plane.admin();
    let namespace = new_namespace(&client).await;
    allow_operator(&client, &namespace).await;
    let iam = FakeIam::start();
    let operator = Operator::start(&Start {
        kubeconfig: &kubeconfig(plane).await,
        namespaces: std::slice::from_ref(&namespace),
        endpoints: &[iam.url()],
        log_level: "info",
        more: &[&["--metrics-bind-address", "127.0.0.1:0"], more].concat(),
    });
    World { plane, client, namespace, iam, operator }
}
