//! What `--version` tells of the build: the commit and the compiler.
//!
//! `IAM_TOKEN_OPERATOR_COMMIT` names the commit. Without it, a release build asks git. Others say `unknown`: a commit would
//! otherwise link every program and test anew.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

const COMMIT: &str = "IAM_TOKEN_OPERATOR_COMMIT";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let commit = given().or_else(asked).unwrap_or_else(|| "unknown".to_owned());
    if !commit.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        println!("cargo::error={COMMIT} is no commit: write letters, digits, '.', '_' and '-' only");
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=BUILD_RUSTC={}", rustc().unwrap_or_else(|| "unknown".to_owned()));
    ExitCode::SUCCESS
}

fn given() -> Option<String> {
    env::var(COMMIT).ok().filter(|commit| !commit.is_empty())
}

fn asked() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let commit = output("git", &["rev-parse", "HEAD"])?;
    // Git writes a line there whenever HEAD becomes another commit. A file that isn't there would count as changed.
    let moves = output("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&moves).exists() {
        println!("cargo::rerun-if-changed={moves}");
    }
    Some(commit)
}

/// The version alone: of `rustc 1.95.0 (59807616e 2026-04-14)`, the second word.
fn rustc() -> Option<String> {
    let line = output(&env::var("RUSTC").ok()?, &["--version"])?;
    line.split(' ').nth(1).map(str::to_owned)
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
