//! What tests and the demo stand on: a real control plane ([`control_plane`]) and a fake IBM Cloud IAM ([`fake_iam`]).
#![allow(missing_docs)]

pub mod fake_collector;
pub mod fake_iam;
pub mod fake_kms;
pub mod fake_services;

pub mod certificate;
pub mod connect_proxy;
pub mod control_plane;
pub mod proxy;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the first SIGINT or SIGTERM.
pub async fn interrupted() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
