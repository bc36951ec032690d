//! The operator as a process, and what it answers at its own ports.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::eventually;

/// A running operator. Dropping it ends it.
pub struct Operator {
    child: Child,
    log: Arc<Mutex<String>>,
}

/// How an operator is started.
pub struct Start<'a> {
    pub kubeconfig: &'a Path,
    /// All namespaces where empty.
    pub namespaces: &'a [String],
    pub endpoints: &'a [String],
    pub log_level: &'a str,
    pub more: &'a [&'a str],
}

// === impl Operator ===

impl Operator {
    pub fn start(start: &Start<'_>) -> Self {
        Self::start_in(start, &[])
    }

    /// With these variables in its environment.
    pub fn start_in(start: &Start<'_>, variables: &[(&str, &str)]) -> Self {
        let (namespaces, endpoints) = (start.namespaces.join(","), start.endpoints.join(","));
        let arguments = [
            &["run", "--watch-namespaces", &namespaces, "--allowed-endpoints", &endpoints][..],
            &["--allow-insecure-http", "--log-level", start.log_level],
            start.more,
        ];
        Self::with_environment(start.kubeconfig, &arguments.concat(), variables)
    }

    /// With exactly these arguments.
    pub fn with_arguments(kubeconfig: &Path, arguments: &[&str]) -> Self {
        Self::with_environment(kubeconfig, arguments, &[])
    }

    /// And with these variables; without any proxy of the tests' own environment.
    pub fn with_environment(kubeconfig: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let mut child = command
            .args(arguments)
            .envs(variables.iter().copied())
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (kept, lines) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()).lines());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, log }
    }

    /// Where it answers `what`: probes or scrapes.
    pub async fn address(&self, what: &str) -> SocketAddr {
        eventually(&format!("an address for {what}"), async || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(&format!("answering {what}")));
            // As text, or in JSON.
            let address = line.and_then(|line| line.split_once("address=").or(line.split_once("\"address\":\"")));
            let address = address.and_then(|(_, rest)| rest.split('"').next()?.trim().parse().ok());
            address.ok_or_else(|| log.clone())
        })
        .await
    }

    /// All that it wrote to standard error.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap().success());
    }

    /// `None` while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the operator's log ---\n{}", self.log());
        }
    }
}

/// Cargo names it to tests; whoever runs an example names it in the environment.
pub fn program() -> PathBuf {
    match option_env!("CARGO_BIN_EXE_iam-token-operator") {
        Some(program) => program.into(),
        None => std::env::var_os("OPERATOR_PROGRAM").expect("OPERATOR_PROGRAM names the operator's program").into(),
    }
}

/// Head and body of the answer.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(String, String)> {
    ask(address, "GET", path, "")
}

/// The same, with a method and a body.
pub fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok((head.to_owned(), body.to_owned()))
}
