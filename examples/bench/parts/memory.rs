//! What the operator keeps in RAM.

use std::time::Duration;

use tokio::time::sleep;

use crate::process::memory;
use crate::report::{Figure, Goal, Point};
use crate::stage::{Keys, Running, Stage};
use crate::{Size, say};

/// Resident memory, in MiB.
#[derive(Default)]
pub struct Sizes {
    /// With all, which it made ready itself.
    pub grown: f64,
    /// With all, after a start that found them good.
    pub all: f64,
    pub with_others: f64,
    pub peak: f64,
}

impl Sizes {
    pub fn figures(&self, points: &[Point], others: usize) -> Vec<Figure> {
        let figure = |what: String, value: f64, goal| {
            Figure::new("memory", &what, format!("{value:.1} MiB"), String::new(), value, goal)
        };
        let [_, some, all] = points else { return vec![] };
        let slope = (all.memory - some.memory) * 1024.0 / (all.count - some.count) as f64;
        vec![
            figure(format!("with {} IamTokens", some.count), some.memory, Goal::None),
            figure(format!("with {} IamTokens", all.count), all.memory, Goal::AtMost(32.0)),
            figure(format!("with {}, after their first refresh", all.count), self.grown, Goal::None),
            figure(format!("added by {others} other Secrets"), self.with_others - self.all, Goal::AtMost(1.0)),
            figure("peak of a start".into(), self.peak, Goal::AtMost(40.0)),
            Figure::new("memory", "for one IamToken", format!("{slope:.2} KiB"), String::new(), slope, Goal::None),
        ]
    }
}

/// After some seconds in which nothing happens.
pub async fn settled(operator: &Running) -> f64 {
    sleep(Duration::from_secs(5)).await;
    memory(operator.process.pid()).0
}

/// Whether memory grows with refreshes: short lives, as many as were asked for.
pub async fn endurance(size: Size) -> Vec<Figure> {
    let count = size.of(500);
    let wanted = size.refreshes as f64;
    say("memory", &format!("{wanted} refreshes of {count} IamTokens that live for 6 s"));
    let stage = Stage::build().await;
    stage.iam.set_lifetime(6);
    stage.fill("short", count, Keys::Own).await;
    let operator = stage.operator(&[], &[]).await;
    operator.all_ready(count).await;
    let done = || operator.metric("exchanges_total", "result=\"ok\"");
    let now = || memory(operator.process.pid()).0;
    // What a process needs in its first minute is no growth.
    operator.until("a tenth of the refreshes", || done() >= wanted / 10.0).await;
    let begin = now();
    operator.until("half of the refreshes", || done() >= wanted / 2.0).await;
    let half = now();
    operator.until("all refreshes", || done() >= wanted).await;
    let (end, refreshes) = (now(), done());
    // The calls that the fake remembers are not what is measured.
    let measured =
        format!("{begin:.1}, {half:.1}, {end:.1} MiB after {:.0}, {:.0}, {refreshes:.0}", wanted / 10.0, wanted / 2.0);
    vec![Figure::new("memory", "growth through refreshes", measured, String::new(), end - half, Goal::AtMost(0.5))]
}
