//! Two replicas, whose leader is killed, stopped, or cut off from the API server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::control_plane::AuditMark;
use testkit::proxy::{Proxy, Road};
use tokio::time::sleep;

use super::lease::usurpers;
use super::reader::Reader;
use super::site::{ACCOUNTS, Site};
use super::{Report, Stage};
use crate::harness::{OPERATOR_NAMESPACE, Operator};

pub const KILLED: &str = "leader-killed";
pub const STOPPED: &str = "leader-stopped";
pub const RESET: &str = "leader-cut-reset";
pub const SWALLOWED: &str = "leader-cut-blackhole";
pub const HELD: &str = "leader-cut-delayed";

/// `core::lease::DURATION`: how long nobody leads after a crash, at most.
const TAKEOVER: Duration = Duration::from_secs(15);
/// How long anything else may take.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Blow {
    Kill,
    Stop,
    Cut(Road),
}

/// An operator with a ServiceAccount of its own and a road of its own to the API server.
struct Replica {
    account: &'static str,
    road: Proxy,
    kubeconfig: PathBuf,
    operator: Operator,
}

struct Pair {
    site: Site,
    leader: Replica,
    standby: Replica,
    violations: Vec<String>,
    longest: Duration,
}

pub async fn killed(stage: Stage) -> Report {
    run(stage, KILLED, Blow::Kill, "kills").await
}

pub async fn stopped(stage: Stage) -> Report {
    run(stage, STOPPED, Blow::Stop, "stops").await
}

pub async fn cut_reset(stage: Stage) -> Report {
    run(stage, RESET, Blow::Cut(Road::Reset), "cuts").await
}

pub async fn cut_swallowed(stage: Stage) -> Report {
    run(stage, SWALLOWED, Blow::Cut(Road::Swallow), "cuts").await
}

pub async fn cut_held(stage: Stage) -> Report {
    run(stage, HELD, Blow::Cut(Road::Hold), "cuts").await
}

async fn run(stage: Stage, name: &'static str, blow: Blow, blows: &str) -> Report {
    let site = Site::build(stage, name, stage.size.lifetime).await;
    let mark = site.plane.audit_mark().await;
    let mut pair = Pair::start(site).await;
    let reader = pair.site.reader().await;
    for number in 0..stage.size.takeovers {
        pair.moment(number, stage.size.pause).await;
        pair.takeover(blow).await;
        let pause = pair.site.draw.millis(3000);
        sleep(pause).await;
        pair.mend(blow).await;
        pair.tell(&reader);
    }
    pair.site.refreshed(&reader).await;
    // One whose watches are deaf takes the targets for older than they are, and asks before it finds out.
    let more = if blow == Blow::Cut(Road::Swallow) { stage.size.takeovers } else { 0 };
    pair.end(&reader, mark, format!("{} {blows}", stage.size.takeovers), more).await
}

// === impl Pair ===

impl Pair {
    async fn start(site: Site) -> Self {
        let leader = Replica::start(&site, ACCOUNTS[0]).await;
        until("the first leads", || leader.led() > 0).await.unwrap();
        let standby = Replica::start(&site, ACCOUNTS[1]).await;
        until("the second watches", || standby.watches()).await.unwrap();
        site.made().await;
        Self { site, leader, standby, violations: vec![], longest: Duration::ZERO }
    }

    /// Waits for the next blow: a random moment, or every second time one in which the leader waits for IAM.
    async fn moment(&mut self, number: u64, pause: u64) {
        if number.is_multiple_of(2) {
            sleep(self.site.draw.seconds(pause)).await;
            return;
        }
        let calls = self.site.iam.calls_begun();
        let asked = until("IAM is asked", || self.site.iam.calls_begun() > calls).await;
        self.violations.extend(asked.err());
    }

    /// The blow, and the wait until the other leads.
    async fn takeover(&mut self, blow: Blow) {
        let (led, lost, begin) = (self.standby.led(), self.leader.lost(), Instant::now());
        self.site.strike();
        match blow {
            Blow::Kill => self.leader.operator.kill(),
            Blow::Stop => self.leader.operator.signal("-STOP"),
            Blow::Cut(road) => self.leader.road.set(road),
        }
        let taken = until("the other leads", || self.standby.led() > led).await;
        self.violations.extend(taken.err());
        let took = begin.elapsed();
        self.longest = self.longest.max(took);
        if took > TAKEOVER {
            self.violations.push(format!("the other led after {took:?} only"));
        }
        if matches!(blow, Blow::Cut(_)) && self.leader.lost() == lost {
            self.violations.push("the other leads, and the one before has not said that it no longer does".into());
        }
    }

    /// The one before comes back and must stay behind: the two have changed places.
    async fn mend(&mut self, blow: Blow) {
        let lost = self.leader.lost();
        match blow {
            Blow::Kill => self.leader.operator = self.leader.started(&self.site),
            Blow::Stop => self.leader.operator.signal("-CONT"),
            Blow::Cut(_) => self.leader.road.set(Road::Open),
        }
        let back = until("the one before is back", || match blow {
            Blow::Kill => self.leader.watches(),
            Blow::Stop => self.leader.lost() > lost,
            Blow::Cut(_) => true,
        });
        self.violations.extend(back.await.err());
        // It sees whose the lease is.
        sleep(Duration::from_secs(3)).await;
        std::mem::swap(&mut self.leader, &mut self.standby);
    }

    fn tell(&self, reader: &Reader) {
        let tally = reader.tally();
        self.site.say(&format!(
            "{} leads; the longest takeover was {:.1} s, {} reads, {} expired",
            self.leader.account,
            self.longest.as_secs_f64(),
            tally.reads,
            tally.expired
        ));
    }

    async fn end(mut self, reader: &Reader, mark: AuditMark, blows: String, more: u64) -> Report {
        let probed = self.site.probe().await;
        self.violations.extend(probed.err());
        let events = self.site.plane.audit_since(mark).await;
        let ours = events.into_iter().filter(|event| event.namespace == self.site.namespace);
        self.violations.extend(usurpers(ours.filter(|event| is_replica(&event.user)).collect()));
        let mut report = self.site.report(reader, blows, more);
        report.longest = Some(("takeover", self.longest));
        report.violations.append(&mut self.violations);
        for replica in [&self.leader, &self.standby] {
            let _ = write!(report.log, "== {}\n{}", replica.account, replica.operator.log());
        }
        report
    }
}

fn is_replica(user: &str) -> bool {
    ACCOUNTS.iter().any(|account| user == format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{account}"))
}

// === impl Replica ===

impl Replica {
    async fn start(site: &Site, account: &'static str) -> Self {
        let road = Proxy::start(site.plane.address()).await.unwrap();
        let kubeconfig = site.plane.kubeconfig_through(&site.kubeconfig(account).await, road.address());
        let operator = competitor(site, &kubeconfig);
        Self { account, road, kubeconfig, operator }
    }

    fn started(&self, site: &Site) -> Operator {
        competitor(site, &self.kubeconfig)
    }

    /// How often it has begun to lead.
    fn led(&self) -> usize {
        self.operator.log().matches(": leading").count()
    }

    /// How often it has ceased to.
    fn lost(&self) -> usize {
        self.operator.log().matches("no longer leading").count()
    }

    fn watches(&self) -> bool {
        self.operator.log().contains("watching IamTokens")
    }
}

fn competitor(site: &Site, kubeconfig: &Path) -> Operator {
    site.operator(kubeconfig, &["--leader-elect", "--lease-namespace", &site.namespace])
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), String> {
    let begin = Instant::now();
    while !holds() {
        if begin.elapsed() > LIMIT {
            return Err(format!("not within {} s: {what}", LIMIT.as_secs()));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
