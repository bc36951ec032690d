//! The operator is killed again and again at moments drawn from a seed, while somebody reads the token all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testkit::fake_iam::FakeIam;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::harness::{Operator, Start, World, data_of, eventually, kubeconfig};

const KILLS: u64 = 25;
const LIFETIME: u64 = 10;

/// Reads the target until told to stop, and counts reads and expired or otherwise bad tokens.
struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    bad: JoinHandle<Vec<String>>,
}

impl Reader {
    fn start(secrets: Api<Secret>, name: &'static str, iam: FakeIam) -> Self {
        let (stop, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&reads));
        let bad = tokio::spawn(async move {
            let mut bad = vec![];
            while !stopped.load(Ordering::Relaxed) {
                let data = data_of(&secrets.get(name).await.unwrap());
                let verdict = iam.verify(data["token"].as_str().unwrap_or_default());
                bad.extend(verdict.err().map(|error| format!("{error:?}")));
                counted.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(50)).await;
            }
            bad
        });
        Self { stop, reads, bad }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let bad = self.bad.await.unwrap();
        (self.reads.load(Ordering::Relaxed), bad)
    }
}

#[tokio::test]
async fn kills_at_any_moment_cost_no_reader_a_token() {
    let mut world = World::start().await;
    world.iam.set_lifetime(LIFETIME);
    world.iam.set_latency(Duration::from_millis(30));
    let key = world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let reader = Reader::start(world.secrets(), "hpcs", world.iam.clone());
    let begin = std::time::Instant::now();
    let mut draw: u64 = 0x5eed;
    for _ in 0..KILLS {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_millis((draw >> 33) % 1200)).await;
        world.operator.kill();
        world.operator = Operator::start(&Start {
            kubeconfig: &kubeconfig(world.plane).await,
            namespaces: std::slice::from_ref(&world.namespace),
            endpoints: &[world.iam.url()],
            log_level: "info",
            more: &[],
        });
    }
    eventually("ready after the last kill", async || {
        let data = world.data("hpcs").await.unwrap();
        world.iam.verify(data["token"].as_str().unwrap()).map(|_| ())
    })
    .await;
    let (reads, bad) = reader.end().await;
    assert!(reads > 50, "{reads} reads prove little");
    assert!(bad.is_empty(), "{} of {reads} reads: {bad:?}", bad.len());
    let due = begin.elapsed().as_secs() / (LIFETIME / 2) + 2;
    let exchanges = world.iam.exchanges_of(&key) as u64;
    assert!(
        exchanges <= due + KILLS,
        "{exchanges} exchanges: more than one for each kill beside the {due} that were due"
    );
}
