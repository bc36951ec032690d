//! How fast many IamTokens become ready, and what a refresh takes of the CPU.

use std::time::{Duration, Instant};

use testkit::control_plane::Process;
use tokio::time::sleep;

use super::small::{for_each, requests};
use crate::process::cpu as cpu_of;
use crate::report::{Figure, Goal};
use crate::stage::{Keys, Running, Stage};
use crate::{Size, bare, say};

pub async fn cold(size: Size) -> Vec<Figure> {
    let count = size.of(2000);
    let stage = Stage::build().await;
    let names = stage.fill("cold", count, Keys::Own).await;
    say("cold", "the bare API server, before");
    let before = bare::rate(&stage, "before", count).await;
    say("cold", &format!("{count} IamTokens, none of which has a token"));
    let mark = stage.plane.audit_mark().await;
    let begin = Instant::now();
    let operator = stage.operator(&spaces(&names), &[]).await;
    operator.all_ready(count).await;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    let (requests, each) = for_each(&requests(&stage.plane.audit_since(mark).await), count as f64);
    drop(operator);
    say("cold", "the bare API server, after");
    let after = bare::rate(&stage, "after", count).await;
    let bare = f64::midpoint(before, after);
    let measured = format!("{count} at {rate:.0}/s");
    let bare_text = format!("{bare:.0}/s ({before:.0}, {after:.0})");
    vec![
        Figure::new("cold", "start to all ready", measured, bare_text, rate / bare, Goal::AtLeast(0.9)),
        Figure::new("cold", "requests until then, for each", requests, "3".into(), each, Goal::None),
    ]
}

/// The namespaces of these.
fn spaces(names: &[(String, String)]) -> Vec<String> {
    let mut spaces: Vec<_> = names.iter().map(|(space, _)| space.clone()).collect();
    spaces.dedup();
    spaces
}

/// CPU time of the operator, API server and etcd so far, in seconds.
fn times(stage: &Stage, operator: &Running) -> [f64; 3] {
    let of = |process| stage.plane.pid(process).map(cpu_of).unwrap_or_default();
    [cpu_of(operator.process.pid()), of(Process::ApiServer), of(Process::Etcd)].map(|time| time.as_secs_f64())
}

/// While many are refreshed again and again.
pub async fn cpu(size: Size) -> Vec<Figure> {
    let count = size.of(1000);
    say("cpu", &format!("{count} IamTokens that are refreshed every 10 s, for a minute"));
    let stage = Stage::build().await;
    let names = stage.fill("bare", count, Keys::Own).await;
    let before = cpu_of(std::process::id());
    bare::refresh_all(&stage, &names).await;
    let client = cpu_of(std::process::id()).saturating_sub(before).as_secs_f64() * 1000.0 / count as f64;
    stage.iam.set_lifetime(20);
    let watched = spaces(&stage.fill("cpu", count, Keys::Own).await);
    let operator = stage.operator(&watched, &[]).await;
    operator.all_ready(count).await;
    sleep(Duration::from_secs(10)).await;
    let done = || operator.metric("exchanges_total", "result=\"ok\"");
    let (begin, before) = (times(&stage, &operator), done());
    sleep(Duration::from_mins(1)).await;
    let (end, refreshes) = (times(&stage, &operator), done() - before);
    let [ours, api_server, etcd] = [0, 1, 2].map(|of| (end[of] - begin[of]) * 1000.0 / refreshes);
    let measured = format!("{ours:.2} s operator ({refreshes:.0} refreshes)");
    let bare = format!("{api_server:.2} s API server, {etcd:.2} s etcd");
    let least = format!("{client:.2} s");
    vec![
        Figure::new("cpu", "per 1,000 refreshes", measured, bare.clone(), ours / api_server, Goal::AtMost(0.1)),
        Figure::new("cpu", "a bare client's for the same", least, bare, client / api_server, Goal::None),
    ]
}
