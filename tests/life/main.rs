//! The operator's whole life, as a process under its own ServiceAccount and role, against a real API server and a fake
//! IAM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod api_key;
mod change;
mod cost;
mod formats;
mod guard;
mod heap;
mod leak;
mod life;
mod log_level;
mod namespaces;
mod probes;
mod replicas;
mod restarts;
mod seam;
mod spoiler;
mod stop;
