//! Notices what hangs: a look that makes no step, a watch that goes silent, a look that is overdue. None of them should
//! ever be found, as every request has a deadline and every failure a retry; what is found is a defect of this process,
//! which its restart heals. An API server or IAM that is merely down is never found here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::lease::Moment;
use super::view::Key;

/// No step of a look takes longer: at most three requests to the API server of 15 s, an exchange of which 10 s are
/// awaited, and an event of 5 s.
pub const LONGEST_STEP: Duration = Duration::from_mins(3);

/// No watch is silent for longer: kube begins each one anew after 290 s (kube-runtime, `watcher.rs`), and one that gets
/// no answer after 30 s and a pause of at most as long.
pub const LONGEST_SILENCE: Duration = Duration::from_mins(11);

/// A look that is so late is called for once more; one that is as late again is found.
pub const LONGEST_DELAY: Duration = Duration::from_mins(2);

/// However late the watchdog itself is asked, it takes no more time to have passed: while the process was frozen, all
/// stood still.
const LONGEST_TICK: Duration = Duration::from_secs(30);

/// What is watched on the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// The `IamTokens`.
    IamTokens,
    /// The metadata of Secrets.
    Secrets,
    /// The `ClusterIamCredentials`.
    ClusterIamCredentials,
    /// The labels of namespaces.
    Namespaces,
}

/// What hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A look at this `IamToken` has begun and makes no step.
    Stuck(Key),
    /// This watch neither asks for anything nor hears anything; the namespace is that which it is on, or all.
    Silent(Watched, Option<String>),
    /// This `IamToken` should have been looked at, was called for, and was not looked at.
    Overdue(Key),
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// To be looked at now: it is late.
    pub wake: Vec<Key>,
    /// What no remedy but a restart helps against.
    pub findings: Vec<Finding>,
}

/// What is known of one controller, whose watches are on one namespace, or on all.
#[derive(Debug, Default)]
pub struct Watchdog {
    namespace: Option<String>,
    /// How long the process has been awake, as far as this has been told.
    awake: Duration,
    ticked: Option<Moment>,
    looks: BTreeMap<Key, Look>,
    signs: BTreeMap<Watched, Duration>,
}

/// Where the looks at one `IamToken` are, by the time awake.
#[derive(Clone, Copy, Debug)]
enum Look {
    /// One runs and made its last step then.
    Running(Duration),
    /// The next one is due then.
    Due(Duration),
    /// It was due, and was called for then.
    Called(Duration),
}

// === impl Watchdog ===

impl Watchdog {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(namespace: Option<String>) -> Self {
        Self { namespace, ..Self::default() }
    }

    /// A look has begun, or has made a step.
    pub fn stepped(&mut self, key: &Key) {
        self.looks.insert(key.clone(), Look::Running(self.awake));
    }

    /// A look has ended. The next one follows after so long, or only when something changes.
    pub fn looked(&mut self, key: &Key, next: Option<Duration>) {
        match next {
            Some(next) => self.looks.insert(key.clone(), Look::Due(self.awake.saturating_add(next))),
            None => self.looks.remove(key),
        };
    }

    /// The `IamToken` is gone. A look that still runs goes on.
    pub fn forget(&mut self, key: &Key) {
        if !matches!(self.looks.get(key), Some(Look::Running(_))) {
            self.looks.remove(key);
        }
    }

    /// The watch has given a sign of life: it asked for something, or heard something.
    pub fn heard(&mut self, watched: Watched) {
        self.signs.insert(watched, self.awake);
    }

    /// What is to be done `now`. To be asked every few seconds.
    pub fn tick(&mut self, now: Moment) -> Advice {
        let passed = self.ticked.map_or(Duration::ZERO, |ticked| now.least_since(ticked));
        self.awake += passed.min(LONGEST_TICK);
        self.ticked = Some(now);
        let awake = self.awake;
        let mut advice = Advice::default();
        for (key, look) in &mut self.looks {
            match *look {
                Look::Running(since) if is_over(LONGEST_STEP, since, awake) => {
                    advice.findings.push(Finding::Stuck(key.clone()));
                }
                Look::Due(at) if is_over(LONGEST_DELAY, at, awake) => {
                    *look = Look::Called(awake);
                    advice.wake.push(key.clone());
                }
                Look::Called(at) if is_over(LONGEST_DELAY, at, awake) => {
                    advice.findings.push(Finding::Overdue(key.clone()));
                }
                Look::Running(_) | Look::Due(_) | Look::Called(_) => {}
            }
        }
        let silent = self.signs.iter().filter(|(_, at)| is_over(LONGEST_SILENCE, **at, awake));
        advice.findings.extend(silent.map(|(watched, _)| Finding::Silent(*watched, self.namespace.clone())));
        advice
    }
}

fn is_over(limit: Duration, since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) > limit
}

// === impl Watched, Finding ===

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IamTokens => "IamTokens",
            Self::Secrets => "Secrets",
            Self::ClusterIamCredentials => "ClusterIamCredentials",
            Self::Namespaces => "namespaces",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = |limit: Duration| limit.as_secs() / 60;
        match self {
            Self::Stuck(key) => {
                write!(f, "the look at IamToken {key} has come no further for {} minutes", minutes(LONGEST_STEP))
            }
            Self::Silent(watched, namespace) => {
                let place = namespace.as_ref().map_or("all namespaces".to_owned(), |name| format!("namespace {name}"));
                write!(f, "the watch on {watched} in {place} has been silent for {} minutes", minutes(LONGEST_SILENCE))
            }
            Self::Overdue(key) => {
                write!(f, "the look at IamToken {key} is overdue by {} minutes", 2 * minutes(LONGEST_DELAY))
            }
        }?;
        f.write_str(": restart this process (it costs no token) and report this with its log")
    }
}

#[cfg(test)]
mod tests;
