//! The operator's processes: the real controller, each with a clock, a client and a way to IAM of its own.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use iam_token_operator::controller::{self, LeaseSettings, Settings, World};
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::cluster::{Cluster, client};
use super::iam::{Iam, Line};
use super::oracle::Oracle;
use super::time::{TrueTime, Wall};
use super::weather::Sky;

/// What all replicas run in.
pub struct Site {
    pub truth: TrueTime,
    pub cluster: Cluster,
    pub iam: Arc<Iam>,
    pub sky: Arc<Sky>,
    pub oracle: Arc<Oracle>,
    pub elects: bool,
    pub blind: bool,
    pub concurrency: usize,
    pub budget: u32,
}

/// One place for a replica: when one ends, another begins.
pub struct Replica {
    number: usize,
    lives: u64,
    /// Its name in this life.
    pub who: String,
    pub clock: Wall,
    running: Option<Running>,
}

struct Running {
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Replica {
    pub fn new(site: &Site, number: usize) -> Self {
        let clock = Wall::new(&site.truth, 0, site.blind);
        Self { number, lives: 0, who: String::new(), clock, running: None }
    }

    pub fn start(&mut self, site: &Site) {
        self.lives += 1;
        self.who = format!("replica{}-{}", self.number, self.lives);
        let (sky, who) = (Arc::clone(&site.sky), self.who.clone());
        let gate = Arc::new(move || sky.gate(&who));
        let exchange = Line { iam: Arc::clone(&site.iam), who: self.who.clone(), clock: self.clock.clone(), gate };
        let world = World {
            client: client(&site.cluster, &self.who, site.sky.clone()),
            exchange: Arc::new(exchange),
            clock: Arc::new(self.clock.clone()),
        };
        let endpoint = Endpoint::parse("https://iam.invalid", false).unwrap();
        let lease = site.elects.then(|| LeaseSettings {
            namespace: "operator".into(),
            name: "iam-token-operator".into(),
            identity: self.who.clone(),
        });
        let settings = Settings {
            namespaces: vec![],
            credential_namespaces: vec![],
            defaults: Endpoints::new(vec![endpoint]).unwrap().into(),
            concurrency: site.concurrency,
            namespace_budget: site.budget,
            lease,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(controller::run(settings, world, stopped.map(|_| ()).boxed().shared()));
        self.running = Some(Running { task, stop: Some(stop) });
        site.oracle.note(|| format!("{} starts", self.who));
        site.oracle.touched_all();
    }

    /// kill -9
    pub fn kill(&mut self, site: &Site) {
        site.sky.kill(&self.who);
        if let Some(running) = self.running.take() {
            running.task.abort();
        }
        site.oracle.note(|| format!("{} is killed", self.who));
        site.oracle.touched_all();
    }

    /// SIGTERM
    pub fn stop(&mut self, site: &Site) {
        if let Some(stop) = self.running.as_mut().and_then(|running| running.stop.take()) {
            let _ = stop.send(());
        }
        site.oracle.note(|| format!("{} is stopped", self.who));
        site.oracle.touched_all();
    }

    /// Whether it has ended by itself. Panics as the replica did, if it did.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.running {
            Some(running) if running.task.is_finished() => match (&mut running.task).now_or_never() {
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => true,
            },
            Some(_) => false,
            None => true,
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.stop.is_none())
    }
}

/// How long an orderly end may take.
pub const ENDS_WITHIN: Duration = Duration::from_secs(90);
