//! The fakes are what tests of the operator stand on, so they are tested themselves.
// The fake is the world outside, where real time runs.
#![allow(clippy::disallowed_methods)]

mod answers;
mod checks;
mod details;
mod faults;
mod http;
mod kms;
mod running;
