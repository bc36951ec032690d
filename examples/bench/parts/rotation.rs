//! How long it takes from a new key in its Secret to a new token in the target, as somebody sees it who watches the target.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::time::sleep;

use super::percentile;
use crate::report::{Figure, Goal};
use crate::stage::{Keys, LATENCY, Stage};
use crate::{Size, bare, say};

/// How long the others' tokens live, in seconds: each is refreshed after half of that.
const SHORT: u64 = 60;

pub async fn run(size: Size) -> Vec<Figure> {
    let (others, times) = (size.of(2000), size.of(100));
    say("rotation", &format!("{times} new keys, alone"));
    let stage = Stage::build().await;
    stage.fill("rotation", 1, Keys::Own).await;
    let bare = stage.fill("bare", 1, Keys::Own).await.remove(0);
    let mut spaces = vec!["rotation-0".to_owned()];
    let alone = compare(&stage, &spaces, &bare, times).await;
    say("rotation", &format!("{times} new keys, while {others} others are refreshed every {} s", SHORT / 2));
    stage.iam.set_lifetime(SHORT);
    spaces.extend(stage.fill("others", others, Keys::Own).await.into_iter().map(|(space, _)| space));
    spaces.dedup();
    let loaded = compare(&stage, &spaces, &bare, times).await;
    vec![
        figure("alone, p50", &alone, 50, Goal::AtMost(1.3)),
        figure("alone, p99", &alone, 99, Goal::None),
        figure("under load, p50", &loaded, 50, Goal::None),
        figure("under load, p99", &loaded, 99, Goal::AtMost(2.0)),
    ]
}

/// Milliseconds, of the operator and bare.
type Times = (Vec<f64>, Vec<f64>);

fn figure(what: &str, (ours, bare): &Times, percent: usize, goal: Goal) -> Figure {
    let [ours, bare] = [ours, bare].map(|times| percentile(&mut times.clone(), percent));
    Figure::new("rotation", what, format!("{ours:.1} ms"), format!("{bare:.1} ms"), ours / bare, goal)
}

/// Turn by turn, so that both meet the same load.
async fn compare(stage: &Stage, spaces: &[String], other: &(String, String), times: usize) -> Times {
    let operator = stage.operator(spaces, &[]).await;
    operator.until("the tokens are ready", || operator.metric("tokens{", "state=\"not_ready\"") < 1.0).await;
    sleep(Duration::from_secs(3)).await;
    let (mut ours, mut bare_times) = (vec![], vec![]);
    for round in 0..times {
        ours.push(rotate(stage, round).await);
        bare_times.push((bare::refresh(stage, other).await + LATENCY).as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(100)).await;
    }
    (ours, bare_times)
}

/// Milliseconds from the answer to the change of the key until the target's new version is seen.
async fn rotate(stage: &Stage, round: usize) -> f64 {
    let api: Api<Secret> = Api::namespaced(stage.client.clone(), "rotation-0");
    let target = api.get_metadata("t0").await.unwrap();
    let params = WatchParams::default().fields("metadata.name=t0").timeout(60);
    let events = api.watch_metadata(&params, &target.resource_version().unwrap()).await.unwrap();
    pin_mut!(events);
    // The watch has taken the one connection there was: making another is not what is measured.
    api.get_metadata("t0").await.unwrap();
    let key = stage.iam.service_id_key(&format!("rotated-{round}-{}", target.resource_version().unwrap()));
    let patch = Patch::Merge(json!({"stringData": {"apikey": key}}));
    let begin = Instant::now();
    api.patch("t0-key", &PatchParams::default(), &patch).await.unwrap();
    loop {
        match events.next().await.unwrap().unwrap() {
            WatchEvent::Modified(_) => return begin.elapsed().as_secs_f64() * 1000.0,
            WatchEvent::Added(_) | WatchEvent::Bookmark(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
