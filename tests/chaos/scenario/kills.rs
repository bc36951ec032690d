//! kill -9 of the operator at random moments.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::site::{ACCOUNTS, Site};
use super::{Report, Stage};

pub const NAME: &str = "operator-killed";

/// Half of the kills come at any moment, as often during the start as after it; the others in or just after an exchange.
pub async fn run(stage: Stage) -> Report {
    let mut site = Site::build(stage, NAME, stage.size.kills_lifetime).await;
    let mut operator = site.lone_operator().await;
    let reader = site.reader().await;
    let kubeconfig = site.kubeconfig(ACCOUNTS[0]).await;
    for number in 1..=stage.size.kills {
        let pause = if number.is_multiple_of(2) {
            an_exchange(&site).await;
            site.draw.millis(80)
        } else {
            site.draw.millis(1500)
        };
        sleep(pause).await;
        site.strike();
        operator.kill();
        operator = site.operator(&kubeconfig, &[]);
        if number.is_multiple_of(20) {
            let tally = reader.tally();
            site.say(&format!("{number} kills, {} reads, {} expired", tally.reads, tally.expired));
        }
    }
    let probed = site.probe().await;
    let mut report = site.report(&reader, format!("{} kills", stage.size.kills), 0);
    report.violations.extend(probed.err());
    report.log = operator.log();
    report
}

/// Waits until IAM is asked for a token, or a while.
async fn an_exchange(site: &Site) {
    let (before, begin) = (site.iam.calls_begun(), Instant::now());
    while site.iam.calls_begun() == before && begin.elapsed() < Duration::from_secs(3) {
        sleep(Duration::from_millis(2)).await;
    }
}
