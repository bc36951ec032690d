//! IAM is away for longer than half of a token's life: from just after a refresh until a fifth of the life is left.

use std::time::{Duration, Instant};

use testkit::fake_iam::{FakeIam, Fault, RetryAfter, Times};

use super::site::Site;
use super::{Report, Stage};

pub const REFUSING: &str = "iam-refusing";
pub const THROTTLING: &str = "iam-throttling";
pub const HANGING: &str = "iam-hanging";

/// A way to be away.
struct Outage {
    name: &'static str,
    lifetime: u64,
    begin: fn(&FakeIam),
    end: fn(&FakeIam),
}

pub async fn refusing(stage: Stage) -> Report {
    let lifetime = stage.size.outage_lifetimes[0];
    run(stage, Outage { name: REFUSING, lifetime, begin: FakeIam::down, end: FakeIam::up }).await
}

/// A wait that it names is honoured only as far as the token allows, but for 5 s at least: a fifth must be longer.
pub async fn throttling(stage: Stage) -> Report {
    let begin = |iam: &FakeIam| {
        let hour = RetryAfter::Seconds(3600);
        let faults = [RetryAfter::None, hour, RetryAfter::Date(3600)].map(Fault::rate_limited);
        for fault in faults {
            iam.fault_any(fault, Times::Count(1));
        }
        iam.fault_any(Fault::rate_limited(hour), Times::Forever);
    };
    let lifetime = stage.size.outage_lifetimes[1];
    run(stage, Outage { name: THROTTLING, lifetime, begin, end: FakeIam::clear_faults }).await
}

/// A call that hangs is given up after 15 s only, also where IAM answers others meanwhile: with a shorter life than 100 s,
/// a fifth of it is not enough. The calls that hang at the end go on hanging.
pub async fn hanging(stage: Stage) -> Report {
    let begin = |iam: &FakeIam| iam.fault_any(Fault::Hang, Times::Forever);
    let lifetime = stage.size.outage_lifetimes[2];
    run(stage, Outage { name: HANGING, lifetime, begin, end: FakeIam::clear_faults }).await
}

async fn run(stage: Stage, outage: Outage) -> Report {
    let site = Site::build(stage, outage.name, outage.lifetime).await;
    let operator = site.lone_operator().await;
    let reader = site.reader().await;
    let (mut longest, mut late) = (Duration::ZERO, vec![]);
    let life = Duration::from_secs(outage.lifetime).as_secs_f64();
    for _ in 0..stage.size.outages {
        // Credentials may be refreshed some seconds apart.
        reader.left_until(|left| left > 0.8 * life).await;
        let (calls, begin) = (site.iam.calls_begun(), Instant::now());
        (outage.begin)(&site.iam);
        reader.left_until(|left| left <= 0.2 * life).await;
        (outage.end)(&site.iam);
        let (away, calls) = (begin.elapsed(), site.iam.calls_begun() - calls);
        longest = longest.max(away);
        site.say(&format!(
            "IAM is back after {:.0} s and {calls} calls; {:.1} s left",
            away.as_secs_f64(),
            reader.left()
        ));
        if away.as_secs_f64() <= life / 2.0 {
            late.push(format!("it was away for {away:?} only"));
        }
        reader.left_until(|left| left > 0.5 * life || left < -1.0).await;
        site.say(&format!(
            "every token was refreshed; the least time left was {:.1} s",
            reader.tally().least_left.unwrap()
        ));
    }
    let mut report = site.report(&reader, format!("{} x {:.0} s", stage.size.outages, longest.as_secs_f64()), 0);
    report.violations.extend(late);
    report.log = operator.log();
    report
}
