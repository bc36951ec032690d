//! The API server is killed and started again; etcd is compacted, and has forgotten where watches stood.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use testkit::control_plane::Process;
use testkit::proxy::{Proxy, Road};
use tokio::time::sleep;

use super::reader::Reader;
use super::site::{ACCOUNTS, Site};
use super::{Report, Stage};
use crate::harness::Operator;

pub const RESTARTED: &str = "api-server-killed";
pub const COMPACTED: &str = "etcd-compacted";

/// How many writes come between the last that a watch saw and the compaction.
const WRITES: usize = 30;
/// How long the operator may take to follow what happens again: kube's watches pause for 30 s at most.
const FOLLOWS: Duration = Duration::from_mins(1);

struct Scene {
    site: Site,
    /// Between the operator and the API server.
    road: Proxy,
    operator: Operator,
    reader: Reader,
    /// How long nobody could ask the API server for anything, at most.
    longest_away: Duration,
    /// How long a probe took, at most.
    longest_probe: Duration,
    violations: Vec<String>,
}

pub async fn restarted(stage: Stage) -> Report {
    let mut scene = Scene::set(stage, RESTARTED).await;
    for number in 0..stage.size.restarts {
        // Every second time refreshes become due while it is away or just beginning to answer.
        let away = if number.is_multiple_of(2) {
            scene.site.almost_due(&scene.reader).await;
            scene.site.draw.seconds(2)
        } else {
            let pause = scene.site.draw.seconds(stage.size.pause);
            sleep(pause).await;
            scene.site.draw.seconds(stage.size.away)
        };
        scene.restart(away).await;
        scene.probe().await;
    }
    scene.site.refreshed(&scene.reader).await;
    scene.report(format!("{} kills", stage.size.restarts))
}

/// Needs a control plane that answers watches from etcd itself.
pub async fn compacted(stage: Stage) -> Report {
    let mut scene = Scene::set(stage, COMPACTED).await;
    scene.resume(0).await;
    for _ in 0..stage.size.compactions {
        let pause = scene.site.draw.seconds(stage.size.pause);
        sleep(pause).await;
        scene.write().await;
        scene.site.plane.compact().await;
        // One watch is of IamTokens, one of Secrets.
        scene.resume(2).await;
    }
    scene.site.refreshed(&scene.reader).await;
    scene.report(format!("{} compactions", stage.size.compactions))
}

// === impl Scene ===

impl Scene {
    async fn set(stage: Stage, name: &'static str) -> Self {
        let site = Site::build(stage, name, stage.size.lifetime).await;
        let road = Proxy::start(site.plane.address()).await.unwrap();
        let kubeconfig = site.plane.kubeconfig_through(&site.kubeconfig(ACCOUNTS[0]).await, road.address());
        let operator = site.operator(&kubeconfig, &[]);
        site.made().await;
        let reader = site.reader().await;
        let (longest_away, longest_probe, violations) = Default::default();
        Self { site, road, operator, reader, longest_away, longest_probe, violations }
    }

    async fn restart(&mut self, away: Duration) {
        let begin = Instant::now();
        self.site.strike();
        self.site.plane.kill(Process::ApiServer);
        sleep(away).await;
        self.site.plane.restart(Process::ApiServer).await;
        self.longest_away = self.longest_away.max(begin.elapsed());
        let (away, tally) = (begin.elapsed().as_secs_f64(), self.reader.tally());
        self.site.say(&format!("the API server is back after {away:.1} s; {} expired", tally.expired));
    }

    async fn probe(&mut self) {
        match self.site.probe().await {
            Ok(took) => {
                self.site.say(&format!("the operator follows again after {:.1} s", took.as_secs_f64()));
                self.longest_probe = self.longest_probe.max(took);
                if took > FOLLOWS {
                    self.violations.push(format!("the operator followed after {took:?} only"));
                }
            }
            Err(error) => self.violations.push(error),
        }
    }

    /// Ends all connections, so that the watches are resumed, and expects that so many of them are told to begin anew.
    async fn resume(&mut self, expected: usize) {
        let before = self.too_old();
        self.site.strike();
        self.road.set(Road::Reset);
        sleep(Duration::from_millis(200)).await;
        self.road.set(Road::Open);
        self.probe().await;
        let anew = self.too_old() - before;
        if anew != expected {
            self.violations.push(format!("{anew} watches were resumed from a revision that is gone, not {expected}"));
        }
    }

    /// So that the revision moves on although the watches see nothing of it.
    async fn write(&self) {
        let maps: Api<ConfigMap> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        for _ in 0..WRITES {
            let map = serde_json::from_value(json!({"metadata": {"generateName": "filler-"}})).unwrap();
            maps.create(&PostParams::default(), &map).await.unwrap();
        }
    }

    /// How often a watch of the operator was told that its revision is gone (HTTP 410).
    fn too_old(&self) -> usize {
        self.operator
            .log()
            .lines()
            .filter(|line| line.contains("iam_token_operator") && line.contains(": Expired"))
            .count()
    }

    fn report(self, faults: String) -> Report {
        let mut report = self.site.report(&self.reader, faults, 0);
        let away = (!self.longest_away.is_zero()).then_some(("outage", self.longest_away));
        report.longest = away.or(Some(("following", self.longest_probe)));
        report.violations.extend(self.violations);
        report.log = self.operator.log();
        report
    }
}
