use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args};
use futures::FutureExt as _;
use kube::Client;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use super::Error;
use super::harden::harden;
use super::to_iam::ToIam;
use crate::clock::SystemClock;
use crate::cluster::client::connect;
use crate::cluster::deadline::with_deadlines;
use crate::cluster::review::may_scrape;
use crate::controller::{self, Health, LeaseSettings, Settings, Shutdown, Signs, World};
use crate::telemetry::metrics::serve::serve;
use crate::telemetry::metrics::{Gate, Metrics, PER_OBJECT_LIMIT};
use crate::telemetry::tls::Certificate;
use crate::telemetry::traces::Traces;
use crate::telemetry::{self, LogFormat, LogLevel, probes, traces};

/// Each flag can be given by the environment variable that its help names.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Namespaces to watch, separated by commas; all by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    watch_namespaces: Vec<String>,

    #[command(flatten)]
    iam: ToIam,

    /// Namespaces that ClusterIamCredentials may lend credentials from, separated by commas; none by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_CREDENTIAL_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    credential_namespaces: Vec<String>,

    /// How many tokens may be refreshed at once
    #[arg(long, env = "IAM_TOKEN_OPERATOR_CONCURRENCY", default_value_t = 32, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    concurrency: usize,

    /// How much is done for one namespace in a minute beside routine refreshes, ten minutes' worth at once; 0: no limit
    #[arg(long, env = "IAM_TOKEN_OPERATOR_NAMESPACE_BUDGET", default_value_t = 300, value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    namespace_budget: u32,

    /// Ask IAM a few times a day when each API key expires, where its identity may read that
    #[arg(long, env = "IAM_TOKEN_OPERATOR_KEY_HEALTH", default_value_t = true, action = ArgAction::Set,
        value_name = "BOOL")]
    key_health: bool,

    /// Compete with other replicas for a lease; only the one that holds it acts
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LEADER_ELECT")]
    leader_elect: bool,

    /// The namespace of the lease; that of the pod by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,

    /// The name of the lease
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LEASE_NAME", default_value = "iam-token-operator", value_name = "NAME")]
    lease_name: String,

    /// Answer GET /livez and GET /readyz there, over plain HTTP; nowhere by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_HEALTH_BIND_ADDRESS", value_name = "ADDR:PORT",
        value_parser = probes::parse_address)]
    health_bind_address: Option<SocketAddr>,

    /// Answer GET /metrics there with OpenMetrics; nowhere by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_BIND_ADDRESS", value_name = "ADDR:PORT",
        value_parser = probes::parse_address)]
    metrics_bind_address: Option<SocketAddr>,

    /// Answer scrapes over TLS, with tls.crt and tls.key in this folder, which may change; over plain HTTP by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_CERT_PATH", value_name = "DIR")]
    metrics_cert_path: Option<PathBuf>,

    /// Answer only scrapes with a token of whoever may get the non-resource URL /metrics; needs --metrics-cert-path
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_AUTHENTICATION")]
    metrics_authentication: bool,

    /// How many IamTokens have metrics of their own; of more, only those with trouble have, and with 0 none
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_PER_OBJECT_LIMIT", default_value_t = PER_OBJECT_LIMIT,
        value_name = "N")]
    metrics_per_object_limit: usize,

    /// Send traces to the collector at this URL, over OTLP/HTTP: spans are posted to URL/v1/traces; nowhere by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// How log lines look
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,

    /// A level (error, warn, info, debug, trace), or levels by target such as info,iam_token_operator=debug
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

/// What probes and scrapes come in by.
struct Ports {
    probes: Option<TcpListener>,
    scrapes: Option<TcpListener>,
}

// === impl Run ===

impl Run {
    pub(super) async fn run(self) -> Result<(), Error> {
        let traces = self.traces()?;
        let level = telemetry::init(self.log_format, &self.log_level, traces.as_ref());
        let level = level.map_err(|error| format!("--log-level: {error}"))?;
        harden();
        let defaults = self.iam.defaults()?;
        let signs = Signs { health: Health::default(), metrics: Metrics::new(self.metrics_per_object_limit) };
        let (ports, certificate) = (self.ports().await?, self.certificate()?);
        let exchange = Arc::new(self.iam.client()?.asking_about_keys(self.key_health));
        let client = connect().await.map_err(|error| format!("no way to the API server: {error}"))?;
        self.answer(ports, &signs, level, certificate, &client)?;
        let settings = Settings {
            defaults,
            lease: self.lease(client.default_namespace())?,
            namespaces: named(self.watch_namespaces),
            credential_namespaces: named(self.credential_namespaces),
            concurrency: self.concurrency,
            namespace_budget: self.namespace_budget,
        };
        let clock = Arc::new(SystemClock);
        info!(version = env!("CARGO_PKG_VERSION"), endpoints = %settings.defaults.endpoints, "starting");
        controller::run_with_signs(settings, World { client, exchange, clock }, shutdown()?, signs).await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        info!("stopped");
        Ok(())
    }

    /// Where spans go to, if they go anywhere.
    fn traces(&self) -> Result<Option<Traces>, Error> {
        let variable = |name: &str| std::env::var(name).ok();
        let collector = traces::destination(self.otlp_endpoint.as_deref(), variable).map_err(Error::Usage)?;
        Ok(collector.as_ref().map(Traces::to).transpose()?)
    }

    /// Where probes and scrapes are to be answered.
    async fn ports(&self) -> Result<Ports, Error> {
        let (health, metrics) = (self.health_bind_address, self.metrics_bind_address);
        if let Some((probed, scraped)) = health.zip(metrics)
            && probed.port() == scraped.port()
            && probed.port() != 0
        {
            return Err(
                format!("--metrics-bind-address {scraped}: probes are answered at that port, name another").into()
            );
        }
        let probes = bind("--health-bind-address", health).await?;
        Ok(Ports { probes, scrapes: bind("--metrics-bind-address", metrics).await? })
    }

    /// Answers what comes in there, from now on until the process ends.
    fn answer(
        &self,
        ports: Ports,
        signs: &Signs,
        level: LogLevel,
        certificate: Option<Certificate>,
        client: &Client,
    ) -> Result<(), Error> {
        if let Some(listener) = ports.probes {
            info!(address = %listener.local_addr()?, "answering probes");
            keep("probes", probes::serve(listener, signs.health.clone(), level));
        }
        if let Some(listener) = ports.scrapes {
            info!(address = %listener.local_addr()?, "answering scrapes");
            let gate = self.metrics_authentication.then(|| gate(client, &signs.metrics));
            keep("scrapes", serve(listener, certificate, gate, signs.metrics.clone()));
        }
        Ok(())
    }

    /// The certificate that scrapes are answered with, if they are to be answered over TLS.
    fn certificate(&self) -> Result<Option<Certificate>, Error> {
        let usage = |text: String| Err(Error::Usage(text));
        let Some(path) = &self.metrics_cert_path else {
            if self.metrics_authentication {
                let told = "tokens would be sent in the clear; set --metrics-cert-path, too";
                return usage(format!("--metrics-authentication: {told}"));
            }
            return Ok(None);
        };
        if self.metrics_bind_address.is_none() {
            let told = "scrapes are answered nowhere; name a place to answer them at with --metrics-bind-address";
            return usage(format!("--metrics-cert-path: {told}"));
        }
        let certificate = Certificate::of(path.clone());
        certificate.map(Some).or_else(|error| usage(format!("--metrics-cert-path {}: {error}", path.display())))
    }

    /// `here` is the pod's namespace, or that of the kubeconfig's context.
    fn lease(&self, here: &str) -> Result<Option<LeaseSettings>, Error> {
        if !self.leader_elect {
            return Ok(None);
        }
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "iam-token-operator".into());
        let mut tail = [0; 4];
        SystemRandom::new().fill(&mut tail).map_err(|_| "the system gives no random numbers")?;
        Ok(Some(LeaseSettings {
            namespace: self.lease_namespace.clone().unwrap_or_else(|| here.to_owned()),
            name: self.lease_name.clone(),
            identity: format!("{host}_{:08x}", u32::from_be_bytes(tail)),
        }))
    }
}

/// Without the empty name that an empty environment variable gives.
fn named(namespaces: Vec<String>) -> Vec<String> {
    namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect()
}

/// Asks the API server who may scrape.
fn gate(client: &Client, metrics: &Metrics) -> Gate {
    let client = with_deadlines(client, metrics);
    let review = move |token| {
        let client = client.clone();
        async move { may_scrape(&client, token).await }.boxed()
    };
    Gate::new(Box::new(review), Arc::new(SystemClock))
}

async fn bind(flag: &str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener
        .map(Some)
        .map_err(|error| format!("{flag} {address}: {error}: name an address of this host and a free port"))
}

fn keep(what: &'static str, served: impl Future<Output = io::Result<()>> + Send + 'static) {
    tokio::spawn(async move { served.await.inspect_err(|error| error!("{what} are no longer answered: {error}")) });
}

/// Resolves at the first SIGTERM or SIGINT; the second ends the process at once.
fn shutdown() -> Result<Shutdown, Error> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        futures::future::select(Box::pin(term.recv()), Box::pin(int.recv())).await;
        info!("stopping: what is in flight is finished first");
        let _ = stop.send(());
        futures::future::select(Box::pin(term.recv()), Box::pin(int.recv())).await;
        std::process::exit(1);
    });
    Ok(stopped.map(|_| ()).boxed().shared())
}
