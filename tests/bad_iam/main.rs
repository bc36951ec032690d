//! One misbehaviour of IAM after the other, over real sockets, against the operator's process and a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod account;
mod answers;
mod history;
mod network;
mod request;
mod retries;
mod rows;
mod scene;
mod secrecy;
mod sharing;
mod skew;
