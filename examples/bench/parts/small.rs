//! What a few IamTokens show.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testkit::control_plane::AuditEvent;
use tokio::time::sleep;

use crate::process::memory;
use crate::report::{Figure, Goal};
use crate::stage::{Keys, Stage};
use crate::{Size, say};

/// The size of the program; how long it takes to be ready where there is nothing to do, and its memory then.
pub async fn binary() -> Vec<Figure> {
    say("binary", "start on an empty cluster");
    let stage = Stage::build().await;
    let mut times = vec![];
    let mut idle = 0.0;
    for _ in 0..5 {
        let begin = Instant::now();
        let operator = stage.operator(&[], &[]).await;
        operator.ready().await;
        times.push(begin.elapsed().as_secs_f64());
        sleep(Duration::from_secs(2)).await;
        idle = memory(operator.process.pid()).0;
    }
    let start = super::percentile(&mut times, 50);
    let program = std::env::var("OPERATOR_PROGRAM").unwrap();
    let mib = std::fs::metadata(program).unwrap().len() as f64 / f64::from(1 << 20);
    vec![
        Figure::new("binary", "size", format!("{mib:.2} MiB"), String::new(), mib, Goal::AtMost(12.0)),
        Figure::new("binary", "start to ready", format!("{start:.2} s"), String::new(), start, Goal::AtMost(0.5)),
        Figure::new("memory", "idle", format!("{idle:.1} MiB"), String::new(), idle, Goal::AtMost(10.0)),
    ]
}

/// Requests for each refresh, in words and all together.
pub fn for_each(counts: &BTreeMap<String, usize>, refreshes: f64) -> (String, f64) {
    let named: Vec<_> = counts.iter().map(|(name, count)| format!("{:.2} {name}", *count as f64 / refreshes)).collect();
    (named.join(", "), counts.values().sum::<usize>() as f64 / refreshes)
}

/// The operator's requests among these, by verb and resource.
pub fn requests(events: &[AuditEvent]) -> BTreeMap<String, usize> {
    let ours = events.iter().filter(|event| event.user_agent.starts_with("iam-token-operator/"));
    ours.fold(BTreeMap::new(), |mut counts, event| {
        let resource = [event.resource.as_str(), event.subresource.as_str()].join("/");
        *counts.entry(format!("{} {}", event.verb, resource.trim_end_matches('/'))).or_default() += 1;
        counts
    })
}

/// What a refresh asks of the API server, and what there is between two.
pub async fn steady() -> Vec<Figure> {
    say("steady", "requests for a refresh, and between two");
    let stage = Stage::build().await;
    let count = 20;
    stage.iam.set_lifetime(8);
    stage.fill("steady", count, Keys::Own).await;
    let operator = stage.operator(&[], &[]).await;
    operator.all_ready(count).await;
    sleep(Duration::from_secs(8)).await;
    let (mark, before) = (stage.plane.audit_mark().await, operator.metric("exchanges_total", "result=\"ok\""));
    sleep(Duration::from_secs(20)).await;
    let refreshes = operator.metric("exchanges_total", "result=\"ok\"") - before;
    let (text, total) = for_each(&requests(&stage.plane.audit_since(mark).await), refreshes);
    let text = format!("{text} of {refreshes} refreshes");
    let steady = Figure::new("steady", "requests per refresh", text, "3".into(), total, Goal::AtMost(3.05));
    drop(operator);

    stage.iam.set_lifetime(3600);
    let operator = stage.operator(&[], &[]).await;
    operator.all_ready(count).await;
    sleep(Duration::from_secs(10)).await;
    let mark = stage.plane.audit_mark().await;
    sleep(Duration::from_secs(10)).await;
    let between: usize = requests(&stage.plane.audit_since(mark).await).values().sum();
    let text = format!("{between} in 10 s");
    vec![
        steady,
        Figure::new("steady", "requests between refreshes", text, "0".into(), between as f64, Goal::AtMost(0.0)),
    ]
}

/// Many IamTokens with one key.
pub async fn sharing(size: Size) -> Vec<Figure> {
    let count = size.of(1000);
    say("sharing", &format!("{count} IamTokens with one key, for three minutes"));
    let stage = Stage::build().await;
    stage.iam.set_lifetime(100);
    stage.fill("sharing", count, Keys::Shared).await;
    let operator = stage.operator(&[], &[]).await;
    operator.all_ready(count).await;
    let first = stage.iam.exchanges();
    let mark = stage.plane.audit_mark().await;
    sleep(Duration::from_secs(170)).await;
    let exchanges = stage.iam.exchanges() - first;
    let written = requests(&stage.plane.audit_since(mark).await).get("patch secrets").copied().unwrap_or_default();
    let lives = written as f64 / count as f64;
    let (text, again) = (format!("{first} for {count} tokens"), format!("{exchanges} for {written} more tokens"));
    vec![
        Figure::new("sharing", "exchanges at first", text, "1".into(), first as f64, Goal::AtMost(1.0)),
        Figure::new("sharing", "exchanges per life", again, "1".into(), exchanges as f64 / lives, Goal::AtMost(1.05)),
    ]
}
