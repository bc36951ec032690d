//! The commands, as their users call them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod command;
mod endpoints;
mod help;
mod run;
mod token_errors;
mod token_output;
