//! What became of a scenario.

use std::time::{Duration, SystemTime};

use super::reader::Tally;

/// So long after an exchange its token is written for sure.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A row of the table, and what was not as promised.
pub struct Report {
    pub scenario: &'static str,
    pub faults: String,
    pub tally: Tally,
    /// Lifetime of the tokens in seconds.
    pub lifetime: u64,
    pub exchanges: u64,
    pub bound: u64,
    /// What took longest, and how long.
    pub longest: Option<(&'static str, Duration)>,
    pub violations: Vec<String>,
    /// What the operators logged, those that ended before not included.
    pub log: String,
    /// The reader must see expired tokens: it shows that it can.
    pub must_fail: bool,
}

// === impl Report ===

impl Report {
    /// One of a scenario that did not come to its end.
    pub fn broken(scenario: &'static str, why: String) -> Self {
        Self {
            scenario,
            faults: "did not end".into(),
            tally: Tally::default(),
            lifetime: 0,
            exchanges: 0,
            bound: 0,
            longest: None,
            violations: vec![why],
            log: String::new(),
            must_fail: false,
        }
    }

    pub fn is_good(&self) -> bool {
        self.violations.is_empty() != self.must_fail
    }

    pub fn verdict(&self) -> &'static str {
        match (self.is_good(), self.must_fail) {
            (true, false) => "ok",
            (true, true) => "ok: it was seen",
            (false, false) => "FAIL",
            (false, true) => "FAIL: not seen",
        }
    }
}

/// The most tokens that one credential may be exchanged for in this time.
///
/// One at the beginning, and one each time that half of a life has passed: a life of less than 300 s is refreshed at its
/// half, and counts from the whole second before it began, so that a half may be a second shorter. However many IamTokens
/// share a credential, they share its exchanges. And one for each of the `lost` faults that came between IAM's answer and
/// the write, as far as that can be told: the token is gone with the process or the connection.
pub fn most_exchanges(elapsed: Duration, lifetime: u64, lost: u64) -> u64 {
    let half = (lifetime / 2).saturating_sub(1).max(1);
    1 + elapsed.as_secs().div_ceil(half) + lost
}

/// How many of the faults came so soon after or before an exchange that its token may be lost.
pub fn lost(faults: &[SystemTime], exchanges: &[SystemTime]) -> u64 {
    let apart = |a: SystemTime, b: SystemTime| a.duration_since(b).or_else(|_| b.duration_since(a)).unwrap_or_default();
    let costly = |fault: &&SystemTime| exchanges.iter().any(|exchange| apart(**fault, *exchange) < UNDER_WAY);
    faults.iter().filter(costly).count() as u64
}
