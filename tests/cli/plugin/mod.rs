//! `kubectl iamtoken` against a real API server, with the operator at work.

mod change;
mod events;
mod explain;
mod kubectl;
mod list;
mod refresh;
mod rights;
mod status;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Call, call_by_name};
use crate::harness::World;

/// The plugin as the admin calls it, for the namespace of the world.
fn plugin(world: &World, args: &[&str]) -> Call {
    plugin_as(&world.plane.kubeconfig_for_admin(), &[args, &["-n", &world.namespace]].concat())
}

/// As somebody else, for the namespace that the kubeconfig or the arguments name.
fn plugin_as(kubeconfig: &Path, args: &[&str]) -> Call {
    call_by_name("kubectl-iamtoken", args).env("KUBECONFIG", kubeconfig.to_str().unwrap())
}

/// The admin's kubeconfig with something changed.
fn kubeconfig(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let text = std::fs::read_to_string(world.plane.kubeconfig_for_admin()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    let path = world.plane.run_folder().join(format!("{name}-{}", world.namespace));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Whether a time of about an hour is told: a new token has that left.
fn tells_an_hour(text: &str) -> bool {
    text.contains("60m") || text.contains("59m")
}

/// The line that begins with this.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("no {start}:\n{text}"))
}
