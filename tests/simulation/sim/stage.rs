//! Everything that a run takes place in, and its running.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::Report;
use super::cluster::Cluster;
use super::dice::Dice;
use super::iam::Iam;
use super::nature::{self, Nature};
use super::oracle::{EVERY, Oracle};
use super::people::People;
use super::replicas::{Replica, Site};
use super::scenario::{Break, Scenario};
use super::time::TrueTime;
use super::weather::{Mood, Sky};

pub struct Stage {
    scenario: Scenario,
    dice: Dice,
    pub site: Site,
    pub people: People,
    nature: Nature,
    replicas: Vec<Replica>,
    begun: Instant,
}

impl Stage {
    /// An empty world; `concurrency` is the operator's.
    pub fn set(scenario: &Scenario, concurrency: usize) -> Self {
        let mut dice = Dice::new(scenario.seed ^ 0x5eed);
        let broken = |it| scenario.broken == Some(it);
        let truth = TrueTime::begin();
        let (lifetime, drizzle) = (scenario.lifetime, scenario.drizzle);
        let iam = Iam::new(&truth, Dice::new(dice.word()), lifetime, drizzle, broken(Break::RetryAfter));
        let elects = scenario.replicas > 1;
        let oracle = Oracle::new(&truth, &iam, elects, scenario.journal);
        let sky = Sky::new(Arc::clone(&oracle), Dice::new(dice.word()), drizzle, scenario.broken);
        let now = truth.clone();
        let cluster = Cluster::new(Arc::new(move || now.now()));
        let (listener, observer) = (Arc::clone(&oracle), Arc::clone(&oracle));
        iam.listen(Box::new(move |call| listener.called(call)));
        cluster.on_write(Box::new(move |write| observer.wrote(write)));
        let people = People::new(&cluster, &iam, &oracle, Dice::new(dice.word()), scenario);
        let (elects, blind) = (elects && !broken(Break::Lease), broken(Break::WallClock));
        let site = Site { truth, cluster, iam, sky, oracle, elects, blind, concurrency, budget: scenario.budget };
        let replicas = (0..scenario.replicas).map(|number| Replica::new(&site, number)).collect();
        let nature = Nature::new(Dice::new(dice.word()));
        Self { scenario: scenario.clone(), dice, site, people, nature, replicas, begun: Instant::now() }
    }

    /// All replicas start.
    pub fn start(&mut self) {
        for replica in &mut self.replicas {
            replica.start(&self.site);
        }
    }

    /// No replica reaches the API server for so long.
    pub fn cut(&self, lasts: Duration) {
        self.replicas.iter().for_each(|replica| self.site.sky.cut(&replica.who, lasts));
    }

    /// Nature strikes and people act until the storm is over or something is violated.
    pub async fn storm(&mut self) {
        let ends = self.begun + self.scenario.storm;
        let mut check_at = Instant::now() + EVERY;
        let mut act_at = Instant::now() + self.dice.until_next(self.scenario.people);
        let mut strike_at = Instant::now() + self.dice.until_next(self.scenario.nature);
        while Instant::now() < ends && !self.is_over() {
            let at = [check_at, act_at, strike_at, ends].into_iter().chain(self.nature.next()).min();
            sleep_until(at.unwrap_or(ends)).await;
            let now = Instant::now();
            self.nature.follow(&self.site, &mut self.replicas);
            if now >= act_at {
                self.people.act(self.scenario.sources);
                if self.dice.chance(0.05) {
                    self.site.sky.race_next(self.people.racer());
                }
                act_at = now + self.dice.until_next(self.scenario.people);
            }
            if now >= strike_at {
                self.nature.strike(&self.site, &mut self.replicas);
                strike_at = now + self.dice.until_next(self.scenario.nature);
            }
            if now >= check_at {
                self.site.oracle.check(self.is_well());
                check_at = now + EVERY;
            }
        }
    }

    /// The faults have ended: all becomes right, and nothing moves but what must.
    pub async fn quiet(&mut self) {
        self.people.mend(self.scenario.sources);
        self.nature.rest(&self.site, &mut self.replicas);
        let ends = Instant::now() + self.scenario.quiet();
        let window = Duration::from_secs(self.scenario.lifetime);
        let mut before = None;
        while Instant::now() < ends && !self.is_over() {
            sleep_until(Instant::now() + EVERY).await;
            self.nature.follow(&self.site, &mut self.replicas);
            self.site.oracle.check(self.is_well());
            if before.is_none() && Instant::now() + window >= ends {
                before = Some(self.site.oracle.counts());
            }
        }
        if let Some(before) = before {
            self.site.oracle.quiet_since(&before);
        }
    }

    /// When the token in each target expires, by its key.
    pub fn expiries(&self) -> BTreeMap<String, Timestamp> {
        let secrets = self.site.oracle.secrets().into_iter();
        let tokens = secrets.filter_map(|(_, secret)| self.site.iam.issued(secret.data.get("token")?));
        tokens.map(|issued| (issued.key, issued.expires_at)).collect()
    }

    pub fn is_over(&self) -> bool {
        self.site.oracle.violation().is_some()
    }

    pub fn report(&self) -> Report {
        let counts = self.site.oracle.counts();
        Report {
            seed: self.scenario.seed,
            hours: self.begun.elapsed().as_secs_f64() / 3600.0,
            steps: self.site.sky.requests() + counts.exchanges,
            faults: self.site.sky.faults() + self.nature.strikes(),
            exchanges: counts.exchanges,
            digest: counts.digest,
            violation: self.site.oracle.violation(),
            trace: self.site.oracle.trace(),
        }
    }

    /// Whether nothing that lasts stands in everybody's way now.
    fn is_well(&self) -> bool {
        let server = matches!(self.site.sky.mood(), Mood::Well);
        let mut replicas = self.replicas.iter();
        let somebody = replicas.any(|replica| self.site.sky.is_well(&replica.who) && !replica.is_stopping());
        server && somebody && nature::is_well(self.site.iam.mood())
    }
}
