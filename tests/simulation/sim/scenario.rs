//! What one run is like, drawn from its seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// All that a run is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    pub seed: u64,
    pub replicas: usize,
    pub namespaces: usize,
    pub sources: usize,
    pub tokens: usize,
    /// In seconds.
    pub lifetime: u64,
    /// How long things happen.
    pub storm: Duration,
    /// How often nature strikes, on average.
    pub nature: Duration,
    /// How often people act, on average.
    pub people: Duration,
    /// The share of requests that fail in good times.
    pub drizzle: f64,
    /// How much the operator does for a namespace in a minute, beside routine.
    pub budget: u32,
    /// How many lines of the trace are kept.
    pub journal: usize,
    pub broken: Option<Break>,
}

/// What is broken on purpose, to see that it is found: between the operator and its world, so that its code is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Break {
    /// Replicas do not compete for the lease: all act.
    Lease,
    /// Retry-After never reaches the operator.
    RetryAfter,
    /// The wall clock is that of the timers.
    WallClock,
    /// All keys draw the same jitter.
    Jitter,
    /// Writes name neither the uid nor the resourceVersion that they expect.
    Preconditions,
    /// Tokens go to another Secret than the status says.
    StatusFirst,
    /// Events about Secrets never come.
    SecretEvents,
}

impl Scenario {
    /// Mostly one replica over days; else two or three, whose leases make each hour dear, over hours.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let replicas = *dice.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3]);
        let hours = if replicas == 1 { dice.between(30, 120) } else { dice.between(4, 10) };
        let lifetime = *dice.pick(&[3600, 3600, 3600, 1200, 900, 900, 300, 60]);
        // Short lives make many refreshes an hour.
        let hours = if lifetime < 900 { hours.div_ceil(6) } else { hours };
        let minutes = |dice: &mut Dice| Duration::from_secs(60 * *dice.pick(&[4, 10, 20, 60, 180]));
        Self {
            seed,
            replicas,
            namespaces: 1 + dice.below(2),
            sources: 1 + dice.below(3),
            tokens: 1 + dice.below(6),
            lifetime,
            storm: Duration::from_secs(hours * 3600),
            nature: minutes(&mut dice),
            people: minutes(&mut dice),
            drizzle: *dice.pick(&[0.0, 0.002, 0.01, 0.03]),
            budget: 300,
            journal: 0,
            broken: None,
        }
    }

    /// So many tokens of as many keys, all asked for at once and left in peace.
    pub fn crowd(tokens: usize) -> Self {
        let never = Duration::from_hours(1000);
        Self {
            seed: 1,
            replicas: 1,
            namespaces: 1,
            sources: tokens,
            tokens,
            lifetime: 3600,
            storm: Duration::from_hours(3),
            nature: never,
            people: never,
            drizzle: 0.0,
            budget: 300,
            journal: 0,
            broken: None,
        }
    }

    /// How long it is quiet at the end: until what was refused longest must have been tried again, and all have been
    /// refreshed once more.
    pub fn quiet(&self) -> Duration {
        Duration::from_secs(3600 + self.lifetime)
    }
}
