//! The processes of a control plane.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Error, reaper::LAUNCH};

/// How long a process may take to stop when asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How many lines of a log an error quotes.
const TAIL_LINES: usize = 30;

/// One of the processes of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// The store.
    Etcd,
    /// `kube-apiserver`.
    ApiServer,
}

impl Process {
    /// The name of its program.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
        }
    }
}

/// A process that can be killed and started again with the same arguments.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Process,
    port: u16,
    run: PathBuf,
    program: PathBuf,
    arguments: Vec<OsString>,
    child: Mutex<Option<Child>>,
}

impl Daemon {
    /// Not started yet; it will listen on `port`. One of `arguments` must name the run folder: it is how the watchman knows the process.
    pub(super) fn new(process: Process, port: u16, run: &Path, binaries: &Path, arguments: Vec<OsString>) -> Self {
        Self {
            process,
            port,
            run: run.to_owned(),
            program: binaries.join(process.program()),
            arguments,
            child: Mutex::new(None),
        }
    }

    /// Starts the process in a process group of its own; its output is appended to its log.
    pub(super) fn start(&self) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let child = Command::new("sh")
            .args(["-c", LAUNCH])
            .arg(self.run.join(format!("{}.pid", self.process.program())))
            .arg(self.record())
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|e| Error::new(format!("cannot start {}: {e}", self.program.display())))?;
        *self.child() = Some(child);
        Ok(())
    }

    /// The pid, while it was started and not killed or stopped.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// The loopback port it listens on.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Fails while nothing listens on its port.
    pub(super) fn connect(&self) -> Result<(), Error> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        Ok(())
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub(super) fn kill(&self) {
        let mut child = self.child();
        if let Some(mut gone) = child.take() {
            let _ = gone.kill();
            let _ = gone.wait();
            let _ = fs::remove_file(self.record());
        }
    }

    /// Asks it to stop with SIGTERM, waits until it is gone, and kills it where that takes too long.
    pub(super) async fn stop(&self) {
        if let Some(pid) = self.pid() {
            let _ = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status();
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline && !self.has_exited() {
                sleep(Duration::from_millis(10)).await;
            }
        }
        self.kill();
    }

    /// Fails with the end of the log where the process ended by itself.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.has_exited() { Err(self.error("ended by itself")) } else { Ok(()) }
    }

    /// An error about this process, with the end of its log.
    pub(super) fn error(&self, what: &str) -> Error {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        Error::new(format!("{} {what}; its log ends with:\n{tail}", self.process.program()))
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.run.join(format!("{}.log", self.process.program()))
    }

    fn has_exited(&self) -> bool {
        self.child().as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn record(&self) -> PathBuf {
        self.run.join("pids").join(self.process.program())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
