//! What GitOps tools make of the resource: its health as Argo CD and Flux see it, no drift, nothing that hangs, and the
//! examples in docs/examples/gitops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "../harness/mod.rs"]
mod harness;

mod deletion;
mod drift;
mod examples;
mod health;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::control_plane::ControlPlane;

/// A file or folder of the repository.
fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs it with this on its standard input.
fn run(mut command: Command, input: &[u8]) -> Output {
    let what = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writing.join().unwrap();
    output
}

/// What it prints; it must end well.
fn text_of(command: Command, input: &[u8]) -> String {
    let what = format!("{command:?}");
    let output = run(command, input);
    assert!(output.status.success(), "{what}\n{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An admin's kubectl in this namespace.
fn kubectl(plane: &ControlPlane, namespace: &str, arguments: &[&str]) -> Command {
    plane.kubectl_cmd(["--namespace", namespace].iter().chain(arguments))
}

/// The object as the API server has it.
fn object(plane: &ControlPlane, namespace: &str, kind: &str, name: &str) -> Value {
    let get = ["get", kind, name, "-o", "json", "--show-managed-fields"];
    serde_json::from_str(&text_of(kubectl(plane, namespace, &get), b"")).unwrap()
}
