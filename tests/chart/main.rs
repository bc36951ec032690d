//! The chart as the real helm renders and installs it, and `config/`, which is made from it.
//!
//! `values/` holds the matrix: each file is rendered, compared with the file of the same name in `snapshots/`
//! (`UPDATE=1` writes those anew) and held against the schemas of Kubernetes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod config;
mod documents;
mod helm;
mod monitoring;
mod objects;
mod refused;
mod release;
mod rendered;
mod rights;
mod schemas;
