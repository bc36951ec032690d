//! `--failover-endpoints`

use std::time::{Duration, Instant};

use iam_token_operator::api::{CONDITION_READY, CONDITION_RECONCILING, CONDITION_STALLED};
use serde_json::{Value, json};
use testkit::fake_iam::{FakeIam, fake_api_key};

use crate::harness::operator::get;
use crate::harness::{World, condition, eventually};

/// How long one that has failed is left alone, and somewhat more.
const BACK: Duration = Duration::from_secs(45);

/// Two endpoints of one IAM: both know the same keys and sign with the same key.
struct Doors {
    world: World,
    second: FakeIam,
}

impl Doors {
    async fn open(failover: bool) -> Self {
        let [first, second] = [(); 2].map(|()| FakeIam::start());
        let (endpoints, other) = ([first.url(), second.url()], format!("--failover-endpoints={}", second.url()));
        let metrics = "--metrics-bind-address=127.0.0.1:0";
        let more = if failover { vec![metrics, &other] } else { vec![metrics] };
        Self { world: World::begin_in(&[], first, &endpoints, "info", &more).await, second }
    }

    /// An IamToken with a key that both know, with tokens of this lifetime in seconds.
    async fn put(&self, name: &str, lifetime: u64, endpoint: Option<&str>) -> String {
        let seed = format!("{}-{name}", self.world.namespace);
        let keys = [&self.world.iam, &self.second].map(|iam| {
            let key = iam.service_id_key(&seed);
            iam.set_key_lifetime(&key, Some(lifetime));
            key
        });
        assert_eq!(keys[0], keys[1]);
        self.put_of(name, &keys[0], endpoint).await;
        keys[0].clone()
    }

    async fn put_of(&self, name: &str, key: &str, endpoint: Option<&str>) {
        let secret = format!("{name}-key");
        self.world.put_key(&secret, key).await;
        self.world.put_token(name, &json!({"apiKeySecretRef": {"name": secret}, "endpoint": endpoint})).await;
    }

    async fn is_ready(&self, name: &str) -> bool {
        let status = self.world.status(name).await;
        condition(&status, CONDITION_READY).is_some_and(|ready| ready.status == "True")
    }
}

#[tokio::test]
async fn where_the_first_endpoint_fails_the_next_is_asked_until_the_first_is_back() {
    let doors = Doors::open(true).await;
    let (world, second) = (&doors.world, &doors.second);
    let key = doors.put("hpcs", 6, None).await;
    let mut data = world.ready("hpcs").await;
    for _ in 0..2 {
        data = world.changed("hpcs", &data).await;
    }
    assert!(second.calls().is_empty(), "the first one is well");
    assert!(world.iam.calls_of(&key).len() <= 4, "one request for each token");

    world.iam.down();
    for _ in 0..3 {
        data = world.changed("hpcs", &data).await;
        assert!(doors.is_ready("hpcs").await);
    }
    let status = world.status("hpcs").await;
    assert_eq!(condition(&status, CONDITION_RECONCILING), None, "nobody need know");
    let log = world.operator.log();
    assert_eq!(log.matches("another endpoint is asked in its place").count(), 1, "{log}");

    world.iam.up();
    let (before, begun) = (world.iam.calls_begun(), Instant::now());
    while world.iam.calls_begun() < before + 2 {
        assert!(begun.elapsed() < BACK, "nobody goes back to the first one");
        assert!(doors.is_ready("hpcs").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = second.calls_begun();
    for _ in 0..2 {
        data = world.changed("hpcs", &data).await;
    }
    assert_eq!(second.calls_begun(), calls, "the first one is well again");
    assert!(world.operator.log().contains("IAM answers there again"));

    let (_, text) = get(world.operator.address("scrapes").await, "/metrics").unwrap();
    for (iam, result) in [(&world.iam, "ok"), (&world.iam, "IamUnreachable"), (second, "ok")] {
        let series = format!("exchanges_total{{endpoint=\"{}\",result=\"{result}\"}} ", iam.url());
        let value = text.lines().find_map(|line| line.split_once(&series)?.1.parse::<u32>().ok());
        assert!(value.is_some_and(|value| value > 0), "{series}\n{text}");
    }
}

#[tokio::test]
async fn a_key_goes_nowhere_else_where_it_is_refused_or_its_iamtoken_names_its_endpoint() {
    let doors = Doors::open(true).await;
    let (world, second) = (&doors.world, &doors.second);
    let unknown = fake_api_key(&format!("{}-unknown", world.namespace));
    doors.put_of("unknown", &unknown, None).await;
    world.condition("unknown", CONDITION_STALLED, "CredentialRejected").await;
    assert!(second.calls().is_empty(), "a refused key went to the second one");

    world.iam.down();
    let mut named = vec![];
    for number in 0..6 {
        named.push(doors.put(&format!("named-{number}"), 3600, Some(&world.iam.url())).await);
    }
    for number in 0..6 {
        let told = world.condition(&format!("named-{number}"), CONDITION_RECONCILING, "IamUnreachable").await;
        assert!(!told.message.contains(&second.url()), "{}", told.message);
    }
    // They have the first one asked by one at a time by now, which is no matter to whoever may ask the second.
    let begun = Instant::now();
    let key = doors.put("hpcs", 3600, None).await;
    world.ready("hpcs").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(second.calls_of(&key).len(), 1);
    assert!(named.iter().all(|key| second.calls_of(key).is_empty()), "a key went where its IamToken doesn't name");

    second.down();
    doors.put("nobody", 3600, None).await;
    let says = [format!("IAM at {} (and at {}: it refuses connections)", world.iam.url(), second.url())];
    eventually("both are named", async || {
        let told = world.condition("nobody", CONDITION_RECONCILING, "IamUnreachable").await.message;
        if says.iter().all(|text| told.contains(text)) { Ok(()) } else { Err(told) }
    })
    .await;
    second.up();
    world.ready("nobody").await;
}

#[tokio::test]
async fn without_a_list_no_other_endpoint_is_ever_asked() {
    let doors = Doors::open(false).await;
    let (world, second) = (&doors.world, &doors.second);
    world.iam.down();
    doors.put("hpcs", 3600, None).await;
    let told = world.condition("hpcs", CONDITION_RECONCILING, "IamUnreachable").await;
    assert!(!told.message.contains(&second.url()), "{}", told.message);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(second.calls().is_empty());
    assert_eq!(world.data("hpcs").await.map(|data| data != Value::Null), None);
}
