//! What users, other controllers and clusters do wrong: each of it is named in a condition that says what to do, loses
//! nothing, costs nothing while it lasts, and is over at once when its cause is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod checks;
mod cluster;
mod moving;
mod restart;
mod source;
mod spec;
mod target;
mod template;
