//! Every kind of credential, on a real API server and against a fake IAM that checks each grant as the real one does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod command;
mod lender;
mod lent;
mod profile;
mod refused;
mod setup;
