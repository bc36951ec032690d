//! What a tenant does who means harm: nothing of it reaches others, and the operator does no more for it than its budget.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod budget;
mod size;
