//! The only operator is stopped for longer than a token lives: nobody could help that, and the reader must see it.

use std::time::Duration;

use tokio::time::sleep;

use super::site::Site;
use super::{Report, Stage};

pub const NAME: &str = "reader-self-test";

const LIFETIME: u64 = 6;

pub async fn run(stage: Stage) -> Report {
    let mut site = Site::build(stage, NAME, LIFETIME).await;
    let operator = site.lone_operator().await;
    let reader = site.reader().await;
    sleep(site.draw.clone().seconds(2)).await;
    site.strike();
    operator.signal("-STOP");
    sleep(Duration::from_secs(LIFETIME + 2)).await;
    operator.signal("-CONT");
    let mut report = site.report(&reader, "only operator stopped".into(), 0);
    report.must_fail = true;
    report.log = operator.log();
    report.violations.retain(|violation| violation.contains("expired"));
    report
}
