//! What 10,000 IamTokens show: memory, a restart, another leader.

use std::time::{Duration, Instant};

use testkit::control_plane::AuditEvent;
use tokio::time::sleep;

use super::memory;
use crate::process::memory as memory_of;
use crate::report::{Figure, Goal, Point};
use crate::stage::{Keys, Running, Stage};
use crate::{Size, bare, say};

/// The most that a leader's term may leave nobody leading, in seconds (`core::lease::DURATION`).
const LEASE: f64 = 15.0;

pub async fn run(size: Size, wanted: impl Fn(&str) -> bool) -> (Vec<Figure>, Vec<Point>) {
    let counts = [100, 1000, 10_000].map(|count| size.of(count));
    let all = counts[2];
    let stage = Stage::build().await;
    let (mut sizes, mut points, mut figures, mut there) = (memory::Sizes::default(), vec![], vec![], 0);
    for count in counts {
        stage.fill(&format!("to-{count}"), count - there, Keys::Own).await;
        there = count;
        let operator = stage.operator(&[], &[]).await;
        operator.all_ready(count).await;
        sizes.grown = memory::settled(&operator).await;
        drop(operator);
        let (again, operator) = restart(&stage, count).await;
        sizes.all = memory::settled(&operator).await;
        sizes.peak = memory_of(operator.process.pid()).1;
        points.push(Point { count, memory: sizes.all, seconds: again.time, bare: again.bare() });
        if count == all && wanted("restart") {
            figures.extend(again.figures());
        }
    }
    if wanted("failover") {
        figures.extend(failover(&stage, all).await);
    }
    if wanted("memory") {
        let others = size.of(50_000);
        say("memory", &format!("{others} other Secrets of 2 KiB"));
        stage.others(others).await;
        let operator = stage.operator(&[], &[]).await;
        operator.all_ready(all).await;
        sizes.with_others = memory::settled(&operator).await;
        sizes.peak = sizes.peak.max(memory_of(operator.process.pid()).1);
        drop(operator);
        figures.extend(sizes.figures(&points, others));
        drop(stage);
        figures.extend(memory::endurance(size).await);
    }
    (figures, points)
}

/// What a start with good tokens took.
struct Restart {
    exchanges: f64,
    writes: f64,
    /// Seconds until it was ready.
    time: f64,
    /// Seconds that the lists took before and after.
    lists: [f64; 2],
}

impl Restart {
    fn bare(&self) -> f64 {
        f64::midpoint(self.lists[0], self.lists[1])
    }

    fn figures(&self) -> Vec<Figure> {
        let Self { exchanges, writes, time, lists: [before, after] } = self;
        let bare = self.bare();
        let lists = format!("{bare:.2} s ({before:.2}, {after:.2})");
        vec![
            Figure::new("restart", "exchanges", format!("{exchanges}"), String::new(), *exchanges, Goal::AtMost(0.0)),
            Figure::new("restart", "writes", format!("{writes}"), String::new(), *writes, Goal::AtMost(0.0)),
            Figure::new("restart", "start to ready", format!("{time:.2} s"), lists, time / bare, Goal::AtMost(1.5)),
        ]
    }
}

/// Requests of the operator that change something, but for the lease.
fn writes(events: &[AuditEvent]) -> usize {
    let ours = events.iter().filter(|event| event.user_agent.starts_with("iam-token-operator/"));
    let writes = ours.filter(|event| !["get", "list", "watch"].contains(&event.verb.as_str()));
    writes.filter(|event| event.resource != "leases").count()
}

async fn restart(stage: &Stage, count: usize) -> (Restart, Running) {
    say("restart", &format!("{count} good tokens"));
    let before = bare::lists(stage).await.as_secs_f64();
    let (mark, exchanges) = (stage.plane.audit_mark().await, stage.iam.exchanges());
    let begin = Instant::now();
    let operator = stage.operator(&[], &[]).await;
    operator.ready().await;
    let time = begin.elapsed().as_secs_f64();
    operator.all_ready(count).await;
    sleep(Duration::from_secs(5)).await;
    let exchanges = (stage.iam.exchanges() - exchanges) as f64;
    let writes = writes(&stage.plane.audit_since(mark).await) as f64;
    let after = bare::lists(stage).await.as_secs_f64();
    (Restart { exchanges, writes, time, lists: [before, after] }, operator)
}

async fn failover(stage: &Stage, count: usize) -> Vec<Figure> {
    say("failover", &format!("the leader of {count} IamTokens is killed"));
    let more = ["--leader-elect", "--lease-namespace", crate::harness::OPERATOR_NAMESPACE];
    let mut first = stage.operator(&[], &more).await;
    first.all_ready(count).await;
    let second = stage.operator(&[], &more).await;
    second.ready().await;
    sleep(Duration::from_secs(5)).await;
    let exchanges = stage.iam.exchanges();
    let begin = Instant::now();
    first.process.kill();
    second.until("the second leads", || second.metric("leader", "") >= 1.0).await;
    let gap = begin.elapsed().as_secs_f64();
    second.all_ready(count).await;
    sleep(Duration::from_secs(5)).await;
    let exchanges = (stage.iam.exchanges() - exchanges) as f64;
    vec![
        Figure::new("failover", "exchanges", format!("{exchanges}"), String::new(), exchanges, Goal::AtMost(0.0)),
        Figure::new("failover", "gap", format!("{gap:.1} s"), format!("{LEASE} s"), gap / LEASE, Goal::AtMost(1.0)),
    ]
}
