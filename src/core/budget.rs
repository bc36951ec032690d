//! What the operator does for one namespace beside routine: whoever creates, changes and deletes there as fast as the API
//! server takes it makes it do no more than this, and holds up nobody else's namespace.
//!
//! Routine is what nobody can bring about at will, told from what this process itself knows: a refresh when a good part
//! of the life of the token has passed that it fetched last. Records on targets don't count, which tenants may edit.

mod routine;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

pub use self::routine::{Routine, free_from, may_wait};
use super::bucket::{Allowance, Bucket};

/// So many minutes' worth may be used at once.
const MINUTES_AT_ONCE: f64 = 10.0;

/// Nobody is promised a turn further away: whoever comes after that asks again.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// How often those who need not be kept are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

const MINUTE: Duration = Duration::from_mins(1);

/// What each namespace has used.
#[derive(Debug)]
pub struct Budget {
    /// How many acts; none where there is no limit.
    per_minute: Option<NonZeroU32>,
    spent: HashMap<String, Spent>,
    swept: Option<Instant>,
}

#[derive(Debug, Default)]
struct Spent {
    bucket: Bucket,
    /// Some act had to wait, and things have not calmed down since.
    over: bool,
}

/// How one `IamToken` stands to the budget of its namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dues {
    /// It has paid for nothing.
    #[default]
    Owed,
    /// It has paid for one act, whose time comes then.
    Turn(Instant),
    /// It has paid for one act.
    Paid,
}

/// Whether it may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is paid for.
    Now,
    /// Ask again then.
    At {
        /// The turn.
        turn: Instant,
        /// It is the first that has to wait for a long time.
        begins: bool,
    },
}

// === impl Budget ===

impl Budget {
    /// So many acts a minute for each namespace; no limit where that is 0.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute: NonZeroU32::new(per_minute), spent: HashMap::new(), swept: None }
    }

    /// How many acts a minute; 0 where there is no limit.
    #[must_use]
    pub fn per_minute(&self) -> u32 {
        self.per_minute.map_or(0, NonZeroU32::get)
    }

    /// Pays for one act. Whoever has to wait is promised a turn, so that a crowd that waits does not ask all at once.
    pub fn pay(&mut self, namespace: &str, dues: &mut Dues, now: Instant) -> Answer {
        match *dues {
            Dues::Paid => return Answer::Now,
            Dues::Turn(turn) if now < turn => return Answer::At { turn, begins: false },
            Dues::Turn(_) => {
                *dues = Dues::Paid;
                return Answer::Now;
            }
            Dues::Owed => {}
        }
        let Some(of) = self.allowance() else { return Answer::Now };
        let spent = match self.spent.get_mut(namespace) {
            Some(spent) => spent,
            None => self.spent.entry(namespace.to_owned()).or_default(),
        };
        match spent.bucket.reserve(of, LONGEST_WAIT, now) {
            Some(Duration::ZERO) => {
                *dues = Dues::Paid;
                Answer::Now
            }
            reserved => {
                let turn = now + reserved.unwrap_or(LONGEST_WAIT);
                if reserved.is_some() {
                    *dues = Dues::Turn(turn);
                }
                Answer::At { turn, begins: !std::mem::replace(&mut spent.over, true) }
            }
        }
    }

    /// How many namespaces have to wait.
    #[must_use]
    pub fn over(&self) -> usize {
        self.spent.values().filter(|spent| spent.over).count()
    }

    /// Forgets the namespaces that have used nothing, now and then, and returns those where nobody waits any more.
    pub fn sweep(&mut self, now: Instant) -> Vec<String> {
        let Some(of) = self.allowance() else { return vec![] };
        if self.swept.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_EVERY) {
            return vec![];
        }
        self.swept = Some(now);
        // A minute's worth must be there again, so that one that spends all it gets is not told of for ever.
        let calm = of.at_once * (1.0 - 1.0 / MINUTES_AT_ONCE);
        let mut ended = vec![];
        for (namespace, spent) in &mut self.spent {
            if spent.over && spent.bucket.used(of, now) <= calm {
                spent.over = false;
                ended.push(namespace.clone());
            }
        }
        self.spent.retain(|_, spent| !spent.bucket.is_whole(of, now));
        ended.sort();
        ended
    }

    fn allowance(&self) -> Option<Allowance> {
        let per_minute = self.per_minute?.get();
        Some(Allowance { at_once: f64::from(per_minute) * MINUTES_AT_ONCE, period: MINUTE / per_minute })
    }
}

#[cfg(test)]
mod tests;
