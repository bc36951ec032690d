use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::{ArgAction, Args};
use futures::FutureExt as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use super::Error;
use super::harden::harden;
use super::to_iam::ToIam;
use crate::clock::SystemClock;
use crate::cluster::client::connect;
use crate::controller::{self, Health, LeaseSettings, Settings, Shutdown, Signs, World};
use crate::telemetry::metrics::serve::serve;
use crate::telemetry::metrics::{Metrics, PER_OBJECT_LIMIT};
use crate::telemetry::probes;
use crate::telemetry::{self, LogFormat, LogLevel};

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

    /// Answer GET /metrics there with OpenMetrics, over plain HTTP; nowhere by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_BIND_ADDRESS", value_name = "ADDR:PORT",
        value_parser = probes::parse_address)]
    metrics_bind_address: Option<SocketAddr>,

    /// How many IamTokens have metrics of their own; of more, only those with trouble have, and with 0 none
    #[arg(long, env = "IAM_TOKEN_OPERATOR_METRICS_PER_OBJECT_LIMIT", default_value_t = PER_OBJECT_LIMIT,
        value_name = "N")]
    metrics_per_object_limit: usize,

    /// How log lines look
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,

    /// A level (error, warn, info, debug, trace), or levels by target such as info,iam_token_operator=debug
    #[arg(long, env = "IAM_TOKEN_OPERATOR_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: String,
}

// === impl Run ===

impl Run {
    pub(super) async fn run(self) -> Result<(), Error> {
        let level = telemetry::init(self.log_format, &self.log_level);
        let level = level.map_err(|error| format!("--log-level: {error}"))?;
        harden();
        let defaults = self.iam.defaults()?;
        let signs = Signs { health: Health::default(), metrics: Metrics::new(self.metrics_per_object_limit) };
        self.listen(&signs, level).await?;
        let exchange = Arc::new(self.iam.client()?.asking_about_keys(self.key_health));
        let client = connect().await.map_err(|error| format!("no way to the API server: {error}"))?;
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
        info!("stopped");
        Ok(())
    }

    /// Answers probes and scrapes, where they are to be answered, from now on until the process ends.
    async fn listen(&self, signs: &Signs, level: LogLevel) -> Result<(), Error> {
        let (health, metrics) = (self.health_bind_address, self.metrics_bind_address);
        if let Some((probed, scraped)) = health.zip(metrics)
            && probed.port() == scraped.port()
            && probed.port() != 0
        {
            return Err(
                format!("--metrics-bind-address {scraped}: probes are answered at that port, name another").into()
            );
        }
        if let Some(address) = health {
            let listener = bind("--health-bind-address", address).await?;
            info!(address = %listener.local_addr()?, "answering probes");
            keep("probes", probes::serve(listener, signs.health.clone(), level));
        }
        if let Some(address) = metrics {
            let listener = bind("--metrics-bind-address", address).await?;
            info!(address = %listener.local_addr()?, "answering scrapes");
            keep("scrapes", serve(listener, signs.metrics.clone()));
        }
        Ok(())
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

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("{flag} {address}: {error}: name an address of this host and a free port"))
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
