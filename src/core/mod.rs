//! Pure: what is observed -> what to do next. Time is an argument; nothing here reads a clock, a socket or a file.
//!
//! [`plan`] fills in a spec, [`view`] knows who names which Secret, [`decide`](mod@decide) picks the next step,
//! [`schedule`] knows when, [`render`] writes the Secret, [`status`] says what happened.

pub mod asker;
pub mod breaker;
pub mod bucket;
pub mod budget;
pub mod credential;
pub mod decide;
pub mod defaults;
pub mod digest;
pub mod endpoint;
pub mod failover;
pub mod failure;
pub mod jwt;
pub mod kept;
pub mod key_health;
pub mod lease;
pub mod lenders;
pub mod memory;
pub mod observed;
pub mod ownership;
pub mod pace;
pub mod packed;
pub mod plan;
pub mod problem;
pub mod rate;
pub mod readiness;
pub mod record;
pub mod render;
pub mod restart;
pub mod schedule;
pub mod scrapers;
pub mod series;
pub mod short;
pub mod spam;
pub mod status;
pub mod target;
pub mod template;
pub mod view;
pub mod watchdog;

pub use record::Record;
