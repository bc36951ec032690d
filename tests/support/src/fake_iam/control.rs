//! A small API under `/_fake/` to steer the fake from a script. It is there only if asked for
//! ([`super::FakeIamBuilder::control_api`]) and answers only callers on the loopback interface.
//!
//! | call | body |
//! |---|---|
//! | `POST /_fake/keys` | `{"name", "key"?, "kind"?: "service-id" or "user", "account"?, "lifetime"?: seconds, "state"?: "enabled", "disabled" or "deleted"}` |
//! | `POST /_fake/faults` | `{"key"?: name, "times"?: {"count": n} or "forever" (default: once), "fault": {"kind": …}}` |
//! | `DELETE /_fake/faults` | |
//! | `POST /_fake/settings` | `{"lifetime"?: seconds, "latency_ms"?, "clock_offset"?: seconds}` |
//! | `GET /_fake/calls` | |
//! | `POST /_fake/down?seconds=<n>` | |

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer;
use super::fault::{Fault, Times};
use super::server::{Body, Connection, Door};
use super::state::State;
use super::tables::{ApiKey, DEFAULT_ACCOUNT, Identity, KeyState, fake_api_key, key_id};

/// Where the paths begin.
pub(crate) const PREFIX: &str = "/_fake/";

/// The control API.
pub(crate) struct Control {
    state: Arc<State>,
    door: Door,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    ServiceId,
    User,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    key: Option<String>,
    #[serde(default)]
    kind: Kind,
    account: Option<String>,
    lifetime: Option<u64>,
    #[serde(default)]
    state: KeyState,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    key: Option<String>,
    times: Option<Times>,
    fault: Fault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    lifetime: Option<u64>,
    latency_ms: Option<u64>,
    clock_offset: Option<i64>,
}

type Refusal = (StatusCode, String);

impl Control {
    pub(crate) fn new(state: Arc<State>, door: Door) -> Self {
        Self { state, door }
    }

    pub(crate) async fn answer(
        &self,
        path: &str,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<Body> {
        if !connection.peer.ip().to_canonical().is_loopback() {
            return answer::text(StatusCode::FORBIDDEN, "only from the loopback interface");
        }
        match self.act(path, request).await {
            Ok(body) => answer::json(StatusCode::OK, &body),
            Err((status, text)) => answer::text(status, &text),
        }
    }

    async fn act(&self, path: &str, request: Request<Incoming>) -> Result<Value, Refusal> {
        let method = request.method().clone();
        match (&method, path.trim_start_matches(PREFIX)) {
            (&Method::POST, "keys") => Ok(self.add_key(body(request).await?)),
            (&Method::POST, "faults") => self.add_fault(body(request).await?),
            (&Method::DELETE, "faults") => {
                self.state.lock().faults.clear();
                Ok(json!({}))
            }
            (&Method::POST, "settings") => Ok(self.set(&body(request).await?)),
            (&Method::GET, "calls") => Ok(self.calls()),
            (&Method::POST, "down") => self.shut(request.uri().query()),
            _ => Err((StatusCode::NOT_FOUND, "no such control".into())),
        }
    }

    fn add_key(&self, new: NewKey) -> Value {
        let account = new.account.as_deref().unwrap_or(DEFAULT_ACCOUNT);
        let identity = match new.kind {
            Kind::ServiceId => Identity::service_id(&new.name, account),
            Kind::User => Identity::user(&new.name, account),
        };
        let iam_id = identity.iam_id.clone();
        let value = new.key.unwrap_or_else(|| fake_api_key(&new.name));
        let id = key_id(&value);
        let key = ApiKey { state: new.state, lifetime: new.lifetime, ..ApiKey::new(new.name, iam_id.clone()) };
        let mut world = self.state.lock();
        world.tables.identities.insert(iam_id.clone(), identity);
        world.tables.keys.insert(value, key);
        json!({"key_id": id, "iam_id": iam_id})
    }

    fn add_fault(&self, new: NewFault) -> Result<Value, Refusal> {
        let mut world = self.state.lock();
        let id = match &new.key {
            None => None,
            Some(name) => {
                let found = world.tables.keys.iter().find(|(_, key)| key.name == *name);
                let (value, _) = found.ok_or((StatusCode::NOT_FOUND, "no such key".into()))?;
                Some(key_id(value))
            }
        };
        world.faults.push(id.as_deref(), new.fault, new.times.unwrap_or(Times::Count(1)));
        Ok(json!({"pending": world.faults.pending()}))
    }

    fn set(&self, settings: &Settings) -> Value {
        let mut world = self.state.lock();
        if let Some(lifetime) = settings.lifetime {
            world.lifetime = lifetime;
        }
        if let Some(latency) = settings.latency_ms {
            world.latency = Duration::from_millis(latency);
        }
        if let Some(offset) = settings.clock_offset {
            world.clock_offset = offset;
        }
        json!({})
    }

    fn calls(&self) -> Value {
        let world = self.state.lock();
        let issued = world.records.calls.iter().filter(|call| call.issued).count();
        json!({"exchanges": issued, "most_at_once": world.records.most_at_once(None), "calls": world.records.calls})
    }

    fn shut(&self, query: Option<&str>) -> Result<Value, Refusal> {
        let seconds = query.and_then(|query| query.strip_prefix("seconds=")).and_then(|text| text.parse().ok());
        let seconds = seconds.ok_or((StatusCode::BAD_REQUEST, "seconds=<number> is missing".into()))?;
        self.door.shut_for(Duration::from_secs(seconds));
        Ok(json!({"down_for_seconds": seconds}))
    }
}

/// A JSON body; the error tells where it is wrong and quotes no value of it.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let refusal = |text: String| (StatusCode::BAD_REQUEST, text);
    let collected = Limited::new(request.into_body(), 1 << 20).collect().await;
    let bytes = collected.map_err(|_| refusal("the body could not be read".into()))?.to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| refusal(format!("bad JSON at line {}, column {}", error.line(), error.column())))
}
