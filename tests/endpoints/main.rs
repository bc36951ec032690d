//! How the operator gets to IAM, as the admin decides: a CA of their own, a proxy, other endpoints where one fails; and what
//! they decide for IamTokens that don't.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod ca;
mod defaults;
mod failover;
mod proxy;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A path that no other test has.
fn path(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("endpoints-{}-{number}-{name}", std::process::id()))
}
