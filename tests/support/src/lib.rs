//! What tests and the demo stand on: a real control plane ([`control_plane`]) and a fake IBM Cloud IAM ([`fake_iam`]).
#![allow(missing_docs)]

pub mod fake_iam;
pub mod fake_kms;

pub mod control_plane;
pub mod proxy;
