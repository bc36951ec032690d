//! A world in one JSON object: all of its parts are optional, and each is what the API server, or IAM, says of it.

use std::time::Duration;

use iam_token_operator::api::{Delivered, Listed, ListedCredential};
use iam_token_operator::core::defaults::Defaults;
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::kept::Kept;
use iam_token_operator::core::key_health::Known;
use iam_token_operator::core::lenders::Lenders;
use iam_token_operator::core::observed::{Facts, Seen};
use iam_token_operator::core::view::Key;
use iam_token_operator::iam::key_details;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::THEN;

/// Where keys are lent from.
pub const LENDING: &str = "iam-keys";

pub struct Scene {
    /// The `IamToken`.
    pub token: Listed,
    /// What is lent, by the one `ClusterIamCredential` that there may be.
    pub lenders: Lenders,
    pub source: Seen,
    pub target: Seen,
    /// What IAM says of the key.
    pub known: Known,
    /// When it is looked at, and when again.
    pub looks: [Timestamp; 2],
    /// How far the API server's clock is ahead, in seconds.
    pub ahead: Option<i64>,
    /// What IAM wants to be left alone for.
    pub retry_after: Option<Duration>,
    pub jitter: u16,
}

impl Scene {
    /// `None` where there is no `IamToken` in it.
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut parts = Parts(serde_json::from_slice(data).ok()?);
        let now = parts.time("now");
        let health = parts.0.remove("health").map(|health| key_details::read(200, health.to_string().as_bytes()));
        Some(Self {
            token: Kept::from(parts.read::<Delivered>("token")?).open(),
            lenders: parts.lenders(),
            source: parts.seen("source"),
            target: parts.seen("target"),
            known: Known::NotYet.after(health.flatten(), now.unwrap_or(THEN)),
            looks: [now.unwrap_or(THEN), parts.time("later").or(now).unwrap_or(THEN)],
            ahead: parts.read("ahead"),
            retry_after: parts.read("retryAfter").map(Duration::from_secs),
            jitter: parts.read("jitter").unwrap_or_default(),
        })
    }
}

pub fn key() -> Key {
    Key::new("payments", "hpcs")
}

pub fn defaults() -> Defaults {
    let endpoint = Endpoint::parse("https://iam.cloud.ibm.com", false).map(|it| Endpoints::new(vec![it]));
    let Ok(Some(endpoints)) = endpoint else { unreachable!("it is one") };
    endpoints.into()
}

struct Parts(Map<String, Value>);

impl Parts {
    fn read<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        serde_json::from_value(self.0.remove(name)?).ok()
    }

    /// Seconds since 1970, or RFC 3339.
    fn time(&mut self, name: &str) -> Option<Timestamp> {
        match self.0.remove(name)? {
            Value::String(text) => text.parse().ok(),
            number => Timestamp::from_second(number.as_i64()?).ok(),
        }
    }

    /// A Secret by its metadata; nothing is known of it where that does not decode.
    fn seen(&mut self, name: &str) -> Seen {
        match self.0.remove(name) {
            None => Seen::Absent,
            Some(metadata) => serde_json::from_value::<ObjectMeta>(metadata)
                .ok()
                .and_then(|metadata| Facts::of(&metadata))
                .map_or(Seen::Unknown, |facts| Seen::Present(Box::new(facts))),
        }
    }

    fn lenders(&mut self) -> Lenders {
        let mut lenders = Lenders::new([LENDING.to_owned()], &defaults());
        let credential: Option<ListedCredential> = self.read("credential");
        let labels = self.read("labels").unwrap_or_default();
        lenders.relist();
        lenders.relist_namespaces();
        if let Some(credential) = credential {
            lenders.put(&credential);
        }
        lenders.put_namespace(&key().namespace, &labels);
        lenders.relisted();
        lenders.relisted_namespaces();
        lenders
    }
}
