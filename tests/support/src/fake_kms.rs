//! A fake key-management endpoint of Hyper Protect Crypto Services: lets a call through with a token of a [`FakeIam`] only.
//!
//! `GET /api/v2/keys` needs `Authorization: Bearer <token>` and `Bluemix-Instance: <instance id>` (IBM Cloud docs, hs-crypto:
//! "Setting up the key management service API"). The texts of errors are those of the docs of hs-crypto and key-protect,
//! "Unable to authenticate through the API": an expired token and a missing role get the same 401. What a missing or unknown
//! instance gets is not documented; the fake takes 400. Key Protect has the same API (IBM Cloud docs, key-protect: "Setting up
//! the API").
// The fake is the world outside, where real time runs.
#![allow(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::fake_iam::server::{self, Body, Server};
use crate::fake_iam::state::State as IamState;
use crate::fake_iam::{FakeIam, TokenError, allowing, json_answer, text_answer};

/// The instance that every fake has from the start.
pub const DEFAULT_INSTANCE: &str = "fa4e0000-0000-4000-8000-000000000001";

/// A running fake. Clones are handles to the same one; it ends with the last.
#[derive(Clone)]
pub struct FakeKms {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    state: Arc<State>,
}

struct State {
    iam: Arc<IamState>,
    world: Mutex<World>,
}

#[derive(Default)]
struct World {
    instances: HashSet<String>,
    allowed: Option<HashSet<String>>,
    calls: Vec<KmsCall>,
}

/// One call of the endpoint. Holds no token.
#[derive(Clone, Debug, PartialEq)]
pub struct KmsCall {
    /// When it came, by the machine's clock.
    pub at: SystemTime,
    /// HTTP status of the answer.
    pub status: u16,
    /// The identity of the token, if it is a valid one.
    pub iam_id: Option<String>,
    /// Why the token was refused, which the answer doesn't tell.
    pub refused: Option<TokenError>,
}

/// A call that is not let through: status and what the body says.
struct Refusal(StatusCode, &'static str);

const NO_ACCESS: Refusal =
    Refusal(StatusCode::UNAUTHORIZED, "Unauthorized: The user does not have access to the specified resource");
const NO_INSTANCE: Refusal =
    Refusal(StatusCode::BAD_REQUEST, "Bad Request: Bluemix-Instance header is missing or invalid");

impl FakeKms {
    /// A fake on a free port of 127.0.0.1 that trusts the tokens of one IAM and knows [`DEFAULT_INSTANCE`].
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(iam: &FakeIam) -> Self {
        Self::start_on(iam, (Ipv4Addr::LOCALHOST, 0).into()).expect("the fake KMS starts")
    }

    /// The same on a given address.
    pub fn start_on(iam: &FakeIam, listen: SocketAddr) -> io::Result<Self> {
        let world = World { instances: HashSet::from([DEFAULT_INSTANCE.into()]), ..World::default() };
        let state = Arc::new(State { iam: Arc::clone(iam.state()), world: Mutex::new(world) });
        let shared = Arc::clone(&state);
        let server = Server::start("fake-kms", server::bind(listen)?, None, |_| {
            Arc::new(move |request, _| {
                let response = shared.answer(&request);
                Box::pin(async move { Ok(response) })
            })
        })?;
        Ok(Self { inner: Arc::new(Inner { server, state }) })
    }

    /// Answers as it would at its own port.
    pub(crate) fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        self.inner.state.answer(request)
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.server.address())
    }

    /// Adds an instance.
    pub fn add_instance(&self, guid: &str) {
        self.inner.state.lock().instances.insert(guid.into());
    }

    /// Gives access to these IAM ids only.
    pub fn allow_only(&self, iam_ids: impl IntoIterator<Item = impl Into<String>>) {
        self.inner.state.lock().allowed = Some(iam_ids.into_iter().map(Into::into).collect());
    }

    /// Gives access to every valid token, as at the start.
    pub fn allow_all(&self) {
        self.inner.state.lock().allowed = None;
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<KmsCall> {
        self.inner.state.lock().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.inner.state.lock().calls.clear();
    }

    /// Closes the listener and all connections.
    pub fn down(&self) {
        self.inner.server.down();
    }

    /// Listens again, on the same port.
    ///
    /// # Panics
    /// When somebody else has taken the port meanwhile.
    pub fn up(&self) {
        self.inner.server.up().expect("the port is still free");
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().path() != "/api/v2/keys" {
            return text_answer(StatusCode::NOT_FOUND, "404 page not found");
        }
        if request.method() != Method::GET {
            return allowing(text_answer(StatusCode::METHOD_NOT_ALLOWED, ""), "GET");
        }
        let token = claims_of(&self.iam, request.headers());
        let iam_id = token.as_ref().ok().and_then(|claims| claims["iam_id"].as_str()).map(str::to_owned);
        let verdict = self.verdict(request.headers(), token.is_ok(), iam_id.as_deref());
        let (status, body) = match verdict {
            Ok(()) => (StatusCode::OK, keys()),
            Err(Refusal(status, text)) => (status, error(text)),
        };
        self.lock().calls.push(KmsCall {
            at: SystemTime::now(),
            status: status.as_u16(),
            iam_id,
            refused: token.err(),
        });
        json_answer(status, &body)
    }

    fn verdict(&self, headers: &HeaderMap, valid: bool, iam_id: Option<&str>) -> Result<(), Refusal> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err(NO_ACCESS);
        }
        let world = self.lock();
        let instance = headers.get("bluemix-instance").and_then(|value| value.to_str().ok());
        if !instance.is_some_and(|guid| world.instances.contains(guid)) {
            return Err(NO_INSTANCE);
        }
        let allowed = match (&world.allowed, iam_id) {
            (None, _) => true,
            (Some(allowed), Some(id)) => allowed.contains(id),
            (Some(_), None) => false,
        };
        if valid && allowed { Ok(()) } else { Err(NO_ACCESS) }
    }
}

/// The claims of a request's token, if it is one of the IAM's and valid now.
pub(crate) fn claims_of(iam: &IamState, headers: &HeaderMap) -> Result<Value, TokenError> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(bearer).ok_or(TokenError::Malformed)?;
    iam.signing_key().verify(token, iam.issuer(), iam.timestamp().as_second())
}

/// What follows the scheme, which is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn keys() -> Value {
    json!({
        "metadata": {"collectionType": "application/vnd.ibm.kms.key+json", "collectionTotal": 1},
        "resources": [{
            "type": "application/vnd.ibm.kms.key+json",
            "id": "fa4e0000-0000-4000-8000-00000000000a",
            "name": "fake-root-key",
            "state": 1,
            "extractable": false,
        }],
    })
}

fn error(text: &str) -> Value {
    json!({
        "metadata": {"collectionType": "application/vnd.ibm.kms.error+json", "collectionTotal": 1},
        "resources": [{"errorMsg": text}],
    })
}

impl fmt::Debug for FakeKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeKms").field("url", &self.url()).finish_non_exhaustive()
    }
}
