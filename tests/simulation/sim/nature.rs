//! Nature: IAM, the API server, networks, machines and clocks fail, at random.

use tokio::time::Instant;

use super::dice::Dice;
use super::iam::{self, Mood as IamMood};
use super::replicas::{Replica, Site};
use super::weather::{KillAt, Mood};

/// What will happen later because of what happened.
#[derive(Debug)]
enum Then {
    IamIsWell,
    ClusterIsWell,
    Starts(usize),
    WatchesLast,
}

pub struct Nature {
    dice: Dice,
    strikes: u64,
    later: Vec<(Instant, Then)>,
}

impl Nature {
    pub fn new(dice: Dice) -> Self {
        Self { dice, strikes: 0, later: vec![] }
    }

    /// How often it struck.
    pub fn strikes(&self) -> u64 {
        self.strikes
    }

    /// When something is to happen because of what happened before.
    pub fn next(&self) -> Option<Instant> {
        self.later.iter().map(|(at, _)| *at).min()
    }

    /// What is due by now happens.
    pub fn follow(&mut self, site: &Site, replicas: &mut [Replica]) {
        let now = Instant::now();
        let due: Vec<_> = self.later.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, then) in due {
            site.oracle.note(|| format!("nature: {then:?}"));
            match then {
                Then::IamIsWell => site.iam.set_mood(IamMood::Well),
                Then::ClusterIsWell => site.sky.set_mood(Mood::Well),
                Then::WatchesLast => site.sky.cut_watches(false),
                Then::Starts(number) => {
                    if replicas[number].is_stopping() && !replicas[number].has_ended() {
                        replicas[number].kill(site);
                    }
                    replicas[number].start(site);
                }
            }
        }
        for (number, replica) in replicas.iter_mut().enumerate() {
            let coming = self.later.iter().any(|(_, then)| matches!(then, Then::Starts(it) if *it == number));
            if site.sky.is_dead(&replica.who) && !coming {
                replica.kill(site);
                self.restart(number);
            }
        }
    }

    /// Something fails.
    pub fn strike(&mut self, site: &Site, replicas: &mut [Replica]) {
        self.strikes += 1;
        let number = self.dice.below(replicas.len());
        let who = replicas[number].who.clone();
        match self.dice.below(16) {
            0..=3 => self.trouble_iam(site),
            4 | 5 => self.trouble_cluster(site),
            6 => {
                replicas[number].kill(site);
                self.restart(number);
            }
            7 | 8 => {
                let at = if self.dice.chance(0.5) { KillAt::Arrival } else { KillAt::Answer };
                site.oracle.note(|| format!("nature: the next request kills, at its {at:?}"));
                site.sky.kill_next(at);
            }
            9 => {
                replicas[number].stop(site);
                self.restart(number);
            }
            10 => {
                let lasts = self.dice.seconds(1, 300);
                site.oracle.note(|| format!("nature: {who} is frozen for {lasts:?}"));
                site.sky.freeze(&who, lasts);
            }
            11 => {
                let lasts = self.dice.seconds(1, 300);
                site.oracle.note(|| format!("nature: {who} is cut off for {lasts:?}"));
                site.sky.cut(&who, lasts);
            }
            12 => self.set_clock(site, &replicas[number]),
            13 => {
                let ahead = self.dice.signed(300);
                site.oracle.note(|| format!("nature: IAM's clock is {ahead} s ahead"));
                site.iam.set_clock_ahead(ahead);
            }
            14 => {
                let by = self.dice.seconds(10, 4 * 3600);
                site.oracle.note(|| format!("nature: the machine is suspended for {by:?}"));
                site.truth.suspend(by);
                site.oracle.clocks_were_set();
            }
            _ => {
                site.cluster.compact();
                site.sky.cut_watches(true);
                self.after(1, 60, Then::WatchesLast);
            }
        }
        site.oracle.touched_all();
    }

    /// All that failed is well again, and all clocks are right.
    pub fn rest(&mut self, site: &Site, replicas: &mut [Replica]) {
        for (at, _) in &mut self.later {
            *at = Instant::now();
        }
        self.follow(site, replicas);
        site.sky.set_drizzle(0.0);
        site.iam.set_drizzle(0.0);
        site.iam.set_clock_ahead(0);
        for replica in replicas {
            if replica.clock.ahead() != 0 {
                replica.clock.set_ahead(0);
                site.oracle.clocks_were_set();
            }
        }
        site.oracle.touched_all();
    }

    fn trouble_iam(&mut self, site: &Site) {
        let retry_after = self.dice.chance(0.5).then(|| self.dice.between(1, 600));
        let mood = *self.dice.pick(&[
            IamMood::Refusing,
            IamMood::Hanging,
            IamMood::Erring { retry_after },
            IamMood::Throttling { retry_after },
            IamMood::Garbling,
            IamMood::Slow,
        ]);
        site.oracle.note(|| format!("nature: IAM is {mood:?}"));
        site.iam.set_mood(mood);
        let most = if self.dice.chance(0.2) { 7200 } else { 900 };
        self.after(5, most, Then::IamIsWell);
    }

    fn trouble_cluster(&mut self, site: &Site) {
        let mood = *self.dice.pick(&[Mood::Flaky(0.05), Mood::Flaky(0.3), Mood::Down, Mood::Hanging]);
        site.oracle.note(|| format!("nature: the API server is {mood:?}"));
        site.sky.set_mood(mood);
        self.after(5, 600, Then::ClusterIsWell);
    }

    /// One replica's clock is set.
    fn set_clock(&mut self, site: &Site, replica: &Replica) {
        let most = if self.dice.chance(0.5) { 30 } else { 3 * 3600 };
        let ahead = self.dice.signed(most);
        site.oracle.note(|| format!("nature: the clock of {} is set {ahead} s ahead", replica.who));
        replica.clock.set_ahead(ahead);
        site.oracle.clocks_were_set();
    }

    fn restart(&mut self, number: usize) {
        let coming = self.later.iter().any(|(_, then)| matches!(then, Then::Starts(it) if *it == number));
        if !coming {
            self.after(1, 120, Then::Starts(number));
        }
    }

    fn after(&mut self, least: u64, most: u64, then: Then) {
        let at = Instant::now() + self.dice.seconds(least, most);
        self.later.push((at, then));
    }
}

/// Whether IAM answers as it should.
pub fn is_well(mood: iam::Mood) -> bool {
    matches!(mood, IamMood::Well | IamMood::Slow)
}
