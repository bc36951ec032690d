//! The commands, as their users call them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod command;
mod completion;
mod endpoints;
mod explain;
mod help;
mod plugin;
mod run;
mod token_errors;
mod token_output;
