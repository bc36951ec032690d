//! The operator as a child process, which never outlives this one.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, Result};

/// How often it is looked whether the operator still runs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until its standard input ends, which it does when this process ends in whatever way, then kills the operator.
const WATCH: &str = r#"trap '' HUP INT TERM; read -r _; kill -KILL "$0" 2>/dev/null"#;

/// A running operator. Dropping it ends it.
pub struct Operator {
    child: Mutex<Child>,
    watchman: Child,
    pid: u32,
    log: Arc<Mutex<Vec<String>>>,
}

// === impl Operator ===

impl Operator {
    pub fn start(program: &Path, kubeconfig: &Path, endpoint: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["run", "--allowed-endpoints", endpoint, "--allow-insecure-http"])
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Out of reach of a Ctrl-C, which goes to the process group of the terminal.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let pid = child.id();
        let log = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            follow(BufReader::new(stderr), Arc::clone(&log));
        }
        match watch(pid) {
            Ok(watchman) => Ok(Self { child: Mutex::new(child), watchman, pid, log }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// All that it logged.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its resident memory in MiB, where the system tells.
    pub fn resident_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib / 1024.0)
    }

    /// Returns when it has ended by itself.
    pub async fn ended(&self) -> Error {
        loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match ended {
                Ok(None) => tokio::time::sleep(LOOK_EVERY).await,
                Ok(Some(status)) => return format!("the operator ended by itself: {status}").into(),
                Err(error) => return error.into(),
            }
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.watchman.stdin.take());
        let _ = self.watchman.wait();
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

fn watch(pid: u32) -> Result<Child> {
    Command::new("sh")
        .args(["-c", WATCH, &pid.to_string()])
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start sh: {error}").into())
}

fn follow(stderr: impl BufRead + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(std::result::Result::ok) {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
