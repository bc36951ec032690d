//! What the operator's process answers at `/metrics`, read as Prometheus reads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]
#![allow(clippy::float_cmp, reason = "counts are whole numbers")]

#[path = "../harness/mod.rs"]
mod harness;

mod authentication;
mod documented;
mod limit;
mod replicas;
mod scrape;
mod tls;
mod trouble;
mod values;

use self::harness::World;

/// Has the operator answer scrapes.
const SCRAPED: [&str; 2] = ["--metrics-bind-address", "127.0.0.1:0"];

/// A world whose operator answers scrapes.
async fn world() -> World {
    world_with(&[]).await
}

/// With more arguments.
async fn world_with(more: &[&str]) -> World {
    World::start_more(&[&SCRAPED, more].concat()).await
}
