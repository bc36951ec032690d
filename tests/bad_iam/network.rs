//! IAM that cannot be reached, is not to be trusted, or does not answer.

use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use iam_token_operator::api::{CONDITION_RECONCILING, CONDITION_STALLED, REFRESH_REQUESTED};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::fake_iam::{FakeIam, Fault, Times};

use crate::harness::{World, condition};
use crate::history::{History, Seen};
use crate::scene::side_by_side;

const NO_SUCH_HOST: &str = "http://no-such-host.invalid";

/// What a misfortune is known by.
struct Told {
    type_: &'static str,
    reason: &'static str,
    says: [&'static str; 2],
}

const REFUSED: Told = Told {
    type_: CONDITION_RECONCILING,
    reason: "IamUnreachable",
    says: [
        "it refuses connections",
        "Check network policies, proxy and firewall towards it; it is tried again by itself",
    ],
};
const UNRESOLVED: Told = Told {
    type_: CONDITION_RECONCILING,
    reason: "IamUnreachable",
    says: ["its host name does not resolve", "Check the endpoint and the cluster's DNS; it is tried again by itself"],
};
const UNTRUSTED: Told = Told {
    type_: CONDITION_STALLED,
    reason: "IamUntrusted",
    says: ["its certificate is not trusted", "Give the operator the CA that signed it"],
};
const TOO_SLOW: Told = Told {
    type_: CONDITION_RECONCILING,
    reason: "IamUnreachable",
    says: ["it does not answer in time", "Check network policies, proxy and firewall towards it"],
};

/// One operator that may ask its own IAM, one over TLS that nobody trusts, a host that does not exist, and one for each
/// outage.
struct Net {
    world: World,
    history: History,
    tls: FakeIam,
    outages: [FakeIam; 3],
}

#[tokio::test]
async fn it_is_told_and_overcome_and_a_token_lives_on_until_its_end() {
    let net = &Net::start().await;
    let tls = net.tls.url();
    side_by_side([
        ("no such host", net.cold_endpoint("dns-cold", NO_SUCH_HOST, &UNRESOLVED).boxed_local()),
        ("no such host later", net.warm_endpoint("dns-warm", NO_SUCH_HOST, &UNRESOLVED).boxed_local()),
        ("not trusted", net.cold_endpoint("tls-cold", &tls, &UNTRUSTED).boxed_local()),
        ("not trusted later", net.warm_endpoint("tls-warm", &tls, &UNTRUSTED).boxed_local()),
        ("refused at first", net.refused_at_first(&net.outages[0]).boxed_local()),
        ("a short outage", net.short_outage(&net.outages[1]).boxed_local()),
        ("a long outage", net.long_outage(&net.outages[2]).boxed_local()),
        ("hangs once", net.hangs_once().boxed_local()),
        ("hangs", net.hangs().boxed_local()),
        ("slow refusals", net.slow_refusals().boxed_local()),
    ])
    .await;
    assert!(net.tls.calls().is_empty(), "a key went to a server that is not trusted");
}

// === impl Net ===

impl Net {
    async fn start() -> Self {
        let (iam, tls) = (FakeIam::start(), FakeIam::start_tls());
        let outages = [(); 3].map(|()| FakeIam::start());
        let mut endpoints = vec![iam.url(), tls.url(), NO_SUCH_HOST.to_owned()];
        endpoints.extend(outages.iter().map(FakeIam::url));
        let world = World::start_towards(iam, &endpoints, "info").await;
        let history = History::of(&world).await;
        Self { world, history, tls, outages }
    }

    /// A key that `iam` knows, with tokens of this lifetime, and an IamToken for it.
    async fn put(&self, name: &str, iam: &FakeIam, endpoint: &str, lifetime: u64) -> String {
        let key = iam.service_id_key(&format!("{}-{name}", self.world.namespace));
        iam.set_key_lifetime(&key, Some(lifetime));
        self.put_token(name, &key, endpoint).await;
        key
    }

    async fn put_token(&self, name: &str, key: &str, endpoint: &str) {
        self.world.put_key(&format!("{name}-key"), key).await;
        let reference = json!({"name": format!("{name}-key")});
        self.world.put_token(name, &json!({"apiKeySecretRef": reference, "endpoint": endpoint})).await;
    }

    fn good_endpoint(&self) -> Value {
        json!({"endpoint": self.world.iam.url()})
    }

    async fn cold_endpoint(&self, name: &str, endpoint: &str, told: &Told) {
        self.put(name, &self.world.iam, endpoint, 3600).await;
        let seen = self.told(told, name, false).await;
        assert!(seen.ready().unwrap().message.contains(endpoint), "{}", seen.in_short());
        assert_eq!(self.world.data(name).await, None);
        self.world.change_spec(name, &self.good_endpoint()).await;
        self.history.ready(name, 0).await.unwrap();
    }

    async fn warm_endpoint(&self, name: &str, endpoint: &str, told: &Told) {
        self.put(name, &self.world.iam, &self.world.iam.url(), 8).await;
        self.history.ready(name, 0).await.unwrap();
        self.world.change_spec(name, &json!({"endpoint": endpoint})).await;
        self.told(told, name, true).await;
        self.expires_in_time(name).await;
        self.told(told, name, false).await;
        let from = self.history.all(name).len();
        self.world.change_spec(name, &self.good_endpoint()).await;
        self.history.ready(name, from).await.unwrap();
    }

    async fn refused_at_first(&self, iam: &FakeIam) {
        iam.down();
        self.put("refused", iam, &iam.url(), 3600).await;
        let seen = self.told(&REFUSED, "refused", false).await;
        assert!(seen.ready().unwrap().message.contains(&iam.url()), "{}", seen.in_short());
        iam.up();
        self.history.ready("refused", 0).await.unwrap();
    }

    /// It ends before the token does, and is never felt.
    async fn short_outage(&self, iam: &FakeIam) {
        self.put("short-outage", iam, &iam.url(), 20).await;
        let good = self.history.ready("short-outage", 0).await.unwrap();
        iam.down();
        self.told(&REFUSED, "short-outage", true).await;
        let from = self.history.all("short-outage").len();
        iam.up();
        let better = self.history.ready("short-outage", from).await.unwrap();
        assert!(better.status.expires_at > good.status.expires_at);
        let all = self.history.all("short-outage");
        assert!(all.iter().filter(|seen| seen.at > good.at).all(Seen::is_ready));
    }

    async fn long_outage(&self, iam: &FakeIam) {
        self.put("long-outage", iam, &iam.url(), 8).await;
        self.history.ready("long-outage", 0).await.unwrap();
        iam.down();
        self.told(&REFUSED, "long-outage", true).await;
        let dead = self.expires_in_time("long-outage").await;
        let message = &dead.ready().unwrap().message;
        assert!(message.starts_with("The token expired at ") && message.contains(REFUSED.says[0]), "{message}");
        let from = self.history.all("long-outage").len();
        iam.up();
        self.world.annotate("long-outage", REFRESH_REQUESTED, "it is back").await;
        self.history.ready("long-outage", from).await.unwrap();
    }

    /// An exchange is given up after 15 s.
    async fn hangs_once(&self) {
        let key = self.world.iam.service_id_key(&format!("{}-hangs-once", self.world.namespace));
        self.world.iam.fault(&key, Fault::Hang, Times::Count(1));
        self.put_token("hangs-once", &key, &self.world.iam.url()).await;
        let seen = self.told(&TOO_SLOW, "hangs-once", false).await;
        let waited = SystemTime::from(seen.at).duration_since(self.world.iam.calls_of(&key)[0].at).unwrap();
        assert!((14..20).contains(&waited.as_secs()), "{waited:?}");
        self.history.ready("hangs-once", 0).await.unwrap();
    }

    async fn hangs(&self) {
        let key = self.put("hangs", &self.world.iam, &self.world.iam.url(), 18).await;
        self.history.ready("hangs", 0).await.unwrap();
        self.world.iam.fault(&key, Fault::Hang, Times::Forever);
        self.world.annotate("hangs", REFRESH_REQUESTED, "now").await;
        self.told(&TOO_SLOW, "hangs", true).await;
        self.expires_in_time("hangs").await;
        self.told(&TOO_SLOW, "hangs", false).await;
        assert_eq!(self.world.iam.most_at_once_of(&key), 1);
        let calls = self.world.iam.calls_of(&key).len();
        assert!(calls <= 4, "{calls} calls");
        let from = self.history.all("hangs").len();
        let other = self.world.iam.service_id_key(&format!("{}-hangs-no-more", self.world.namespace));
        self.world.put_key("hangs-key", &other).await;
        self.history.ready("hangs", from).await.unwrap();
    }

    /// An answer that comes after the token's end is no silence.
    async fn slow_refusals(&self) {
        let key = self.put("slow-refusals", &self.world.iam, &self.world.iam.url(), 8).await;
        self.history.ready("slow-refusals", 0).await.unwrap();
        self.world.iam.fault(&key, Fault::status(503).after(Duration::from_secs(2)), Times::Forever);
        let dead = self.expires_in_time("slow-refusals").await;
        let reason = &dead.ready().unwrap().reason;
        assert_ne!(reason, "IamUnreachable", "{}", dead.in_short());
    }

    /// Waits until the status says so.
    async fn told(&self, told: &Told, name: &str, ready: bool) -> Seen {
        let is = |seen: &Seen| {
            let trouble = condition(&seen.status, told.type_).filter(|trouble| trouble.reason == told.reason);
            let helps = trouble.is_some_and(|trouble| told.says.iter().all(|text| trouble.message.contains(text)));
            helps && seen.is_ready() == ready
        };
        let what = format!("{name}: {} {} {:?}, ready: {ready}", told.type_, told.reason, told.says);
        self.history.first(name, 0, &what, is).await.unwrap()
    }

    /// Waits until Ready turns False, which must be at the moment of expiry.
    async fn expires_in_time(&self, name: &str) -> Seen {
        let good = self.history.first(name, 0, "ready", Seen::is_ready).await.unwrap();
        let is = |seen: &Seen| seen.at > good.at && !seen.is_ready();
        let dead = self.history.first(name, 0, "expired", is).await.unwrap();
        let late = dead.at.duration_since(dead.status.expires_at.as_ref().unwrap().0);
        let allowed = SignedDuration::ZERO..=SignedDuration::from_secs(2);
        assert!(allowed.contains(&late), "{name}: {late:#} after expiry:{}", dead.in_short());
        dead
    }
}
