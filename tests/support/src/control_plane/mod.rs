//! A real Kubernetes control plane, `kube-apiserver` on `etcd`, for tests and the demo.
//!
//! There is no controller manager, no scheduler and no node: no pod runs, nothing is garbage collected, a deleted
//! namespace stays `Terminating`, no namespace has a `default` ServiceAccount, and the aggregated ClusterRoles `view`,
//! `edit` and `admin` are empty. RBAC, admission, custom resources, tokens of ServiceAccounts and watches are all real.
//!
//! Nothing outlives the process that starts a control plane, however it ends.

// What waits for real processes waits in real time.
#![allow(clippy::disallowed_methods)]

mod access;
mod audit;
mod binaries;
mod error;
mod etcd;
mod pki;
mod process;
mod reaper;
mod servers;

use std::{
    fmt::Display,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use self::{
    access::{Endpoint, Identity},
    pki::Authority,
    process::Daemon,
    reaper::RunFolder,
};

pub use self::{
    audit::{AuditEvent, AuditMark, UNAUDITED},
    binaries::{binaries, helm_cmd},
    error::Error,
    process::Process,
};

/// How long the processes may take to become ready. On an idle machine it is a few seconds.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long one question whether the API server is ready may take.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// How often readiness is looked at.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// How often a start is tried where another process takes one of its ports.
const ATTEMPTS: usize = 5;
/// How long the tokens of ServiceAccounts last, in seconds.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// What a control plane does beyond the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keep an audit log: see [`ControlPlane::audit`].
    pub audit: bool,
    /// Answer watches from etcd itself. By default the API server's own memory stands in between, which hides from watches
    /// that etcd was compacted.
    pub no_watch_cache: bool,
}

/// A running control plane. Dropping it kills its processes and removes its files.
///
/// It belongs to no tokio runtime, but the clients it makes belong to the one they are made in: make a client per test.
/// A method panics where it cannot do what it says, with the reason, since nothing but the test would be wrong then.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order they are dropped: the folder goes last.
    api_server: Daemon,
    etcd: Daemon,
    endpoint: Endpoint,
    authority: Authority,
    binaries: PathBuf,
    audit_log: Option<PathBuf>,
    admin: Identity,
    counter: AtomicU64,
    run: RunFolder,
}

impl ControlPlane {
    /// Starts a control plane and waits until it answers.
    ///
    /// # Panics
    /// See [`Self::try_start`], whose error it shows.
    pub async fn start(options: Options) -> Self {
        expect("start a control plane", Self::try_start(options).await)
    }

    /// Starts a control plane and waits until it answers. Builds its programs first where there are none yet.
    ///
    /// # Errors
    /// The programs are missing and cannot be built, or one of the processes does not become ready within 90 seconds;
    /// the end of its log is in the error.
    pub async fn try_start(options: Options) -> Result<Self, Error> {
        let binaries = binaries::binaries_async(&["kube-apiserver", "etcd", "kubectl"]).await?;
        let mut attempt = 1;
        loop {
            match Self::start_once(options, &binaries).await {
                Err(e) if e.is_port_conflict() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// The control plane that all tests of one binary share, with an audit log. The first to ask starts it.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(Options { audit: true, ..Options::default() })).await
    }

    async fn start_once(options: Options, binaries: &Path) -> Result<Self, Error> {
        let run = RunFolder::new()?;
        let authority = Authority::new()?;
        let etcd = servers::etcd(run.path(), binaries)?;
        let audit_log = options.audit.then(|| run.path().join(audit::LOG));
        let api_server = servers::api_server(run.path(), binaries, &authority, &etcd, options)?;
        let admin = Identity::Certificate(authority.client("admin", &["system:masters"])?);
        let endpoint = Endpoint {
            url: format!("https://127.0.0.1:{}", api_server.port()),
            authority_pem: authority.pem().to_owned(),
            authority_der: authority.der().to_vec(),
        };
        fs::create_dir(run.path().join("kubeconfig"))?;
        endpoint.write_kubeconfig(&admin, &run.path().join("kubeconfig/admin"))?;
        let plane = Self {
            api_server,
            etcd,
            endpoint,
            authority,
            binaries: binaries.to_owned(),
            audit_log,
            admin,
            counter: AtomicU64::new(0),
            run,
        };
        plane.etcd.start()?;
        plane.wait_until_ready().await?;
        plane.api_server.start()?;
        plane.wait_until_ready().await?;
        Ok(plane)
    }

    /// The address of the API server, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// The folder that holds everything of this control plane, and goes with it.
    pub fn run_folder(&self) -> &Path {
        self.run.path()
    }

    /// A client that may do everything.
    pub fn admin(&self) -> Client {
        self.client(&self.admin)
    }

    /// A client of the user `name` in `groups`, who may do what RBAC grants to either.
    pub fn client_for_user(&self, name: &str, groups: &[&str]) -> Client {
        self.client(&self.user(name, groups))
    }

    /// A client of the ServiceAccount `name`, which is made if it is missing. Its token lasts a day.
    pub async fn client_for_service_account(&self, namespace: &str, name: &str) -> Client {
        self.client(&self.service_account(namespace, name).await)
    }

    /// A kubeconfig of the user that may do everything.
    pub fn kubeconfig_for_admin(&self) -> PathBuf {
        self.run.path().join("kubeconfig/admin")
    }

    /// A new kubeconfig of the user `name` in `groups`, readable by this system user only.
    pub fn kubeconfig_for_user(&self, name: &str, groups: &[&str]) -> PathBuf {
        self.kubeconfig(&self.user(name, groups))
    }

    /// A new kubeconfig of the ServiceAccount `name`, which is made if it is missing. Its token lasts a day.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> PathBuf {
        self.kubeconfig(&self.service_account(namespace, name).await)
    }

    /// A copy of a kubeconfig that goes to `address` instead, where something must pass it on to the API server.
    pub fn kubeconfig_through(&self, kubeconfig: &Path, address: SocketAddr) -> PathBuf {
        let text = expect("read a kubeconfig", fs::read_to_string(kubeconfig));
        let path = self.run.path().join(format!("kubeconfig/{}", self.next()));
        let there = text.replace(self.url(), &format!("https://{address}"));
        expect("write a kubeconfig", access::write_private(&path, &there));
        path
    }

    /// The port of the API server.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api_server.port()).into()
    }

    /// Makes etcd forget all revisions but the last, so that no watch can be resumed from an earlier one.
    pub async fn compact(&self) {
        expect("compact etcd", etcd::compact(self.etcd.port()).await);
    }

    /// The path of `kubectl`.
    pub fn kubectl(&self) -> PathBuf {
        self.binaries.join("kubectl")
    }

    /// `kubectl` with these arguments, as the user that may do everything; it leaves no file elsewhere.
    pub fn kubectl_cmd<I>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item: AsRef<std::ffi::OsStr>>,
    {
        let mut command = Command::new(self.kubectl());
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig_for_admin())
            .env("KUBECACHEDIR", self.run.path().join("kubectl"))
            .env("KUBERC", "off");
        command
    }

    /// The pid of a process, unless it was killed or stopped.
    pub fn pid(&self, process: Process) -> Option<u32> {
        self.daemon(process).pid()
    }

    /// The log of a process.
    pub fn log_path(&self, process: Process) -> PathBuf {
        self.daemon(process).log_path()
    }

    /// Kills a process with SIGKILL and waits until it is gone.
    pub fn kill(&self, process: Process) {
        self.daemon(process).kill();
    }

    /// Stops a process with SIGTERM and waits until it is gone; kills it where that takes more than ten seconds. The API
    /// server takes about one second, and etcd five, since it waits for the API server to hang up.
    pub async fn stop(&self, process: Process) {
        self.daemon(process).stop().await;
    }

    /// Starts a process again on its port and data, and waits until what runs is ready. Stops it first if it runs.
    ///
    /// # Panics
    /// It does not become ready within 90 seconds; shows the end of its log.
    pub async fn restart(&self, process: Process) {
        self.stop(process).await;
        expect("restart", self.daemon(process).start());
        expect("restart", self.wait_until_ready().await);
    }

    /// Waits for what was started and neither killed nor stopped.
    async fn wait_until_ready(&self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.etcd.check()?;
            self.api_server.check()?;
            let outcome = timeout(PROBE_WITHIN, self.probe()).await;
            let reason = match outcome {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(e)) => e.to_string(),
                Err(late) => late.to_string(),
            };
            if Instant::now() > deadline {
                return Err(self.api_server.error(&format!("is not ready: {reason}")));
            }
            sleep(PROBE_EVERY).await;
        }
    }

    async fn probe(&self) -> Result<(), Error> {
        if self.api_server.pid().is_some() {
            let client = self.endpoint.client(&self.admin)?;
            get(&client, "/readyz").await?;
            // Made by a task that readiness does not wait for.
            Api::<Namespace>::all(client).get("default").await?;
        } else if self.etcd.pid().is_some() {
            self.etcd.connect()?;
        }
        Ok(())
    }

    fn daemon(&self, process: Process) -> &Daemon {
        match process {
            Process::Etcd => &self.etcd,
            Process::ApiServer => &self.api_server,
        }
    }

    fn client(&self, identity: &Identity) -> Client {
        expect("make a client", self.endpoint.client(identity))
    }

    fn kubeconfig(&self, identity: &Identity) -> PathBuf {
        let path = self.run.path().join(format!("kubeconfig/{}", self.next()));
        expect("write a kubeconfig", self.endpoint.write_kubeconfig(identity, &path));
        path
    }

    fn user(&self, name: &str, groups: &[&str]) -> Identity {
        Identity::Certificate(expect("make a client certificate", self.authority.client(name, groups)))
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Identity {
        let token = self.service_account_token(namespace, name).await;
        Identity::Token(expect(&format!("get a token of ServiceAccount {namespace}/{name}"), token))
    }

    async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String, Error> {
        let accounts = Api::<ServiceAccount>::namespaced(self.admin(), namespace);
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        match accounts.create(&PostParams::default(), &account).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            outcome => drop(outcome?),
        }
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        answer.status.and_then(|status| status.token).ok_or_else(|| Error::new("the answer holds no token"))
    }

    /// A number that this control plane gives out once.
    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

/// The body of `path`.
async fn get(client: &Client, path: &str) -> Result<String, Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|e| Error::new(e.to_string()))?;
    Ok(client.request_text(request).await?)
}

/// What a test cannot go on without.
#[track_caller]
fn expect<T, E: Display>(what: &str, outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(e) => panic!("control plane: cannot {what}: {e}"),
    }
}
