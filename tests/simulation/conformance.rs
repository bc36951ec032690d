//! The simulated API server against the real one: the same requests, and the same answers.

#[path = "../harness/mod.rs"]
mod harness;
mod leases;
mod random;
mod reads;
mod secrets;
mod server;
mod tokens;

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use self::harness::{new_namespace, prepared};
use self::server::Server;
use crate::sim::cluster::{Calm, Cluster, client};

/// Runs a script on both, and compares all that it saw.
async fn same(script: impl AsyncFn(&mut Server)) {
    let plane = prepared().await;
    let namespace = new_namespace(&plane.admin()).await;
    let cluster = Cluster::new(Arc::new(Timestamp::now));
    let mut simulated = Server::new(client(&cluster, "test", Arc::new(Calm)), &namespace);
    script(&mut simulated).await;
    let mut real = Server::new(plane.admin(), &namespace);
    script(&mut real).await;
    let mut differences = 0;
    for (simulated, real) in simulated.seen.iter().zip(&real.seen) {
        if simulated != real {
            differences += 1;
            eprintln!("--- simulated: {simulated}\n--- real: {real}\n");
        }
    }
    assert_eq!(differences, 0, "see above");
    assert_eq!(simulated.seen.len(), real.seen.len());
}
