//! Keeps IBM Cloud IAM tokens alive on Kubernetes.
//!
//! The folders are the way the data goes:
//!
//! ```text
//!                    IamTokens                     metadata of Secrets
//!                        │                                 │
//!                        ▼           controller/           ▼
//!   api/ ── spec ──► core::plan                    core::view (who names which Secret)
//!                        │                                 │
//!                        └───────────┐         ┌───────────┘
//!                                    ▼         ▼
//!                                  core::decide ◄── the clock, what this process remembers
//!                                       │
//!                 ┌─────────────────────┼──────────────────────┐
//!                 ▼                     ▼                      ▼
//!        cluster::source ──► iam::share, iam::client ──► core::render ──► cluster::target
//!          (the API key)        (the access token)                         (the Secret)
//!                                                                              │
//!   api/ ◄─ status ─ cluster::status ◄── core::status ◄────────────────────────┘
//! ```
//!
//! - [`api`]: the resource as users see it. Data only.
//! - [`core`]: pure. Every decision, with the time as an argument.
//! - [`iam`]: the exchange. Talks to IAM only.
//! - [`cluster`]: the edges to Kubernetes. Talks to the API server only.
//! - [`controller`]: sequences the others; decides nothing itself.
//! - [`clock`], [`telemetry`], [`cli`]: time, logs and probes, and the commands.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod core;
pub mod iam;
pub mod telemetry;
