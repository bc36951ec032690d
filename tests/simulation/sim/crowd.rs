//! Many tokens at once: how their refreshes spread, and in which order they recover.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::sleep;

use super::iam::Mood;
use super::scenario::{Break, Scenario};
use super::stage::Stage;
use super::{Dice, alone};

/// Tokens that were asked for in the same moment: the largest share of them that is refreshed in the same hundredth of
/// their lives. With a jitter of a twentieth it is about a fifth.
pub fn most_at_once(tokens: usize, broken: Option<Break>) -> f64 {
    alone(async move {
        let mut stage = Stage::set(&Scenario { broken, ..Scenario::crowd(tokens) }, 32);
        (0..tokens).for_each(|number| stage.people.create_pair(number));
        stage.start();
        sleep(Duration::from_mins(30)).await;
        stage.site.oracle.keep_exchanges();
        sleep(Duration::from_mins(30)).await;
        let times: Vec<Timestamp> = stage.site.oracle.take_exchanges().into_iter().map(|(_, at)| at).collect();
        assert_eq!(times.len(), tokens, "each is refreshed once");
        let window = Duration::from_secs(36);
        let most = times.iter().map(|from| times.iter().filter(|at| *from <= **at && **at < *from + window).count());
        most.max().unwrap() as f64 / tokens as f64
    })
}

/// How a crowd recovered from an outage of an hour.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// How many tokens had to be fetched.
    pub fetched: usize,
    /// How many of them had expired.
    pub expired: usize,
    /// How many calls IAM got in the hour in which it was down.
    pub calls_while_down: usize,
    /// From IAM's return to the first of them: the next probe.
    pub waited: Duration,
    /// The share of pairs that were fetched in the order of their expiry.
    pub in_order: f64,
    /// The most that were fetched in a second.
    pub most_in_a_second: usize,
}

/// Tokens that were asked for at moments drawn over 45 minutes, an outage of an hour after that, and the recovery.
pub fn recovery(tokens: usize) -> Recovery {
    alone(async move {
        let mut stage = Stage::set(&Scenario { lifetime: 5400, ..Scenario::crowd(tokens) }, 32);
        let mut dice = Dice::new(7);
        stage.start();
        let pause = Duration::from_mins(45) / u32::try_from(tokens).unwrap();
        for number in 0..tokens {
            stage.people.create_pair(number);
            sleep(pause.mul_f64(2.0 * dice.share())).await;
        }
        sleep(Duration::from_secs(10)).await;
        let expiries = stage.expiries();
        assert_eq!(expiries.len(), tokens);
        stage.site.iam.set_mood(Mood::Refusing);
        stage.site.oracle.keep_exchanges();
        sleep(Duration::from_hours(1)).await;
        let calls_while_down = stage.site.oracle.take_exchanges().len();
        stage.site.iam.set_mood(Mood::Well);
        let back = stage.site.truth.now();
        // Whoever comes later has only now become due.
        sleep(Duration::from_secs(20)).await;
        let exchanges = stage.site.oracle.take_exchanges();
        recovered(&expiries, &exchanges, back, calls_while_down)
    })
}

/// What the statuses of some tokens say, by their reasons, a minute after they were asked for, one at a time, of an IAM in
/// this mood.
pub fn reasons_after_a_minute(tokens: usize, mood: Mood) -> BTreeMap<String, usize> {
    alone(async move {
        let mut stage = Stage::set(&Scenario::crowd(tokens), 1);
        stage.site.iam.set_mood(mood);
        (0..tokens).for_each(|number| stage.people.create_pair(number));
        stage.start();
        sleep(Duration::from_mins(1)).await;
        let mut reasons = BTreeMap::new();
        for (_, token) in stage.site.oracle.tokens() {
            *reasons.entry(token.status.reason).or_default() += 1;
        }
        reasons
    })
}

/// Exchanges in the minutes after the operator was cut off. Meanwhile one of so many tokens was asked for and another one
/// created, and the API server has forgotten what happened, so that all is listed anew.
pub fn exchanges_after_a_gap(tokens: usize) -> usize {
    alone(async move {
        let mut stage = Stage::set(&Scenario { lifetime: 3600, ..Scenario::crowd(tokens + 1) }, 32);
        (1..=tokens).for_each(|number| stage.people.create_pair(number));
        stage.start();
        sleep(Duration::from_mins(1)).await;
        assert_eq!(stage.expiries().len(), tokens);
        stage.site.oracle.keep_exchanges();
        stage.cut(Duration::from_secs(20));
        stage.people.create_pair(0);
        stage.people.ask(1);
        sleep(Duration::from_secs(1)).await;
        stage.site.cluster.compact();
        sleep(Duration::from_mins(3)).await;
        stage.site.oracle.take_exchanges().len()
    })
}

fn recovered(
    expiries: &BTreeMap<String, Timestamp>,
    exchanges: &[(String, Timestamp)],
    back: Timestamp,
    calls_while_down: usize,
) -> Recovery {
    let late: Vec<(Timestamp, Timestamp)> = exchanges.iter().map(|(key, at)| (expiries[key], *at)).collect();
    let sample = (0..late.len()).step_by((late.len() / 500).max(1));
    let pairs = sample.clone().flat_map(|one| sample.clone().map(move |other| (one, other)));
    let (mut all, mut right) = (0_usize, 0_usize);
    for (one, other) in pairs.filter(|(one, other)| one < other) {
        all += 1;
        right += usize::from(late[one].0 <= late[other].0);
    }
    let mut seconds = BTreeMap::<i64, usize>::new();
    for (_, at) in &late {
        *seconds.entry(at.as_second()).or_default() += 1;
    }
    let first = late.iter().map(|(_, at)| *at).min().unwrap_or(back);
    Recovery {
        fetched: late.len(),
        expired: late.iter().filter(|(expiry, _)| *expiry <= back).count(),
        calls_while_down,
        waited: first.duration_since(back).unsigned_abs(),
        in_order: right as f64 / all.max(1) as f64,
        most_in_a_second: seconds.into_values().max().unwrap_or(0),
    }
}
