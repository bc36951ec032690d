//! A fake IBM Cloud IAM: the token endpoint, as strict as the real one, and the details of API keys, on a loopback port.
//!
//! Facts about the real service are taken from what IBM publishes: IBM Cloud docs (account: "Generating an IBM Cloud IAM
//! token by using an API key", "Managing API keys"), the clients generated from IBM's OpenAPI of IAM Identity, IBM's SDKs,
//! and answers of the service that users have posted. Where the real behaviour is not known, the comment at the place says
//! what the fake assumes.
//!
//! ```no_run
//! # use testkit::fake_iam::{Fault, FakeIam, Times};
//! let iam = FakeIam::start();
//! let key = iam.service_id_key("payments");
//! iam.fault(&key, Fault::status(503), Times::Count(2));
//! // … point the program under test at iam.url() and give it the key …
//! assert_eq!(iam.exchanges_of(&key), 1);
//! assert_eq!(iam.calls_of(&key).len(), 3);
//! ```
// The fake is the world outside, where real time runs.
#![allow(clippy::disallowed_methods)]

mod answer;
mod claims;
mod control;
mod fault;
mod form;
mod key_details;
mod knobs;
mod problem;
mod profiles;
mod record;
mod request;
pub(crate) mod routes;
pub(crate) mod server;
mod signing;
pub(crate) mod state;
mod tables;
pub(crate) mod tls;
mod token_endpoint;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

pub(crate) use answer::{allowing, full as full_body, json as json_answer, set as set_header, text as text_answer};
pub use fault::{Fault, RetryAfter, Times};
pub use key_details::Question;
pub use profiles::Profile;
pub use record::{Call, RateLimit};
pub use signing::{SigningKey, TokenError, claims_unverified};
pub use tables::{Account, ApiKey, DEFAULT_ACCOUNT, Identity, KeyState, Standing, Subject, fake_api_key, key_id};

use claims::Making;
use server::Server;
use state::{State, World};
use token_endpoint::GRANT_API_KEY;

/// A running fake. Clones are handles to the same one; it ends with the last.
///
/// It runs on a thread of its own, and every method is synchronous: it can be used from any test, runtime or none.
#[derive(Clone)]
pub struct FakeIam {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    /// More ports of the same fake, http.
    others: Vec<Server>,
    state: Arc<State>,
    ca_pem: Option<String>,
}

/// How a fake is to be started.
#[derive(Debug)]
pub struct FakeIamBuilder {
    listen: SocketAddr,
    tls: bool,
    control_api: bool,
    own_signing_key: bool,
    others: usize,
}

impl FakeIamBuilder {
    /// So many more ports, which are endpoints of their own to whoever asks; http.
    #[must_use]
    pub fn more_endpoints(mut self, others: usize) -> Self {
        self.others = others;
        self
    }

    /// Another address than a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// https, with a certificate for 127.0.0.1, ::1 and localhost by an authority that only [`FakeIam::ca_pem`] knows.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The control API under `/_fake/`, for callers on the loopback interface.
    #[must_use]
    pub fn control_api(mut self) -> Self {
        self.control_api = true;
        self
    }

    /// A signing key of its own instead of the one that all fakes of the process share. Takes some tenths of a second.
    #[must_use]
    pub fn own_signing_key(mut self) -> Self {
        self.own_signing_key = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> io::Result<FakeIam> {
        let bound = server::bind(self.listen)?;
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", bound.address);
        let signing_key =
            if self.own_signing_key { Arc::new(SigningKey::generate()) } else { SigningKey::of_this_process() };
        let state = Arc::new(State::new(url, signing_key));
        let tls = if self.tls { Some(tls::self_signed(&local_names()).map_err(io::Error::other)?) } else { None };
        let (acceptor, ca_pem) = tls.map(|tls| (tls.acceptor, tls.ca_pem)).unzip();
        let shared = Arc::clone(&state);
        let server =
            Server::start("fake-iam", bound, acceptor, |door| routes::handler(shared, door, self.control_api))?;
        let others = (0..self.others).map(|_| {
            let bound = server::bind((Ipv4Addr::LOCALHOST, 0).into())?;
            let shared = Arc::clone(&state);
            Server::start("fake-iam", bound, None, |door| routes::handler(shared, door, false))
        });
        let others = others.collect::<io::Result<_>>()?;
        Ok(FakeIam { inner: Arc::new(Inner { server, others, state, ca_pem }) })
    }
}

fn local_names() -> Vec<String> {
    ["127.0.0.1", "::1", "localhost"].map(String::from).to_vec()
}

/// Starting and stopping.
impl FakeIam {
    /// A fake with more choices.
    pub fn builder() -> FakeIamBuilder {
        FakeIamBuilder {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: false,
            control_api: false,
            own_signing_key: false,
            others: 0,
        }
    }

    /// A fake on a free port of 127.0.0.1, http.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start() -> Self {
        Self::builder().start().expect("the fake IAM starts")
    }

    /// The same over https; see [`FakeIamBuilder::tls`].
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start_tls() -> Self {
        Self::builder().tls().start().expect("the fake IAM starts with TLS")
    }

    /// `http://127.0.0.1:<port>`, without a path, as `endpoint` is configured.
    pub fn url(&self) -> String {
        self.inner.state.url().to_owned()
    }

    /// [`url`](Self::url) and those of [`FakeIamBuilder::more_endpoints`].
    pub fn urls(&self) -> Vec<String> {
        let others = self.inner.others.iter().map(|server| format!("http://{}", server.address()));
        [self.url()].into_iter().chain(others).collect()
    }

    /// `<url>/identity`, the `iss` of its tokens.
    pub fn issuer(&self) -> String {
        self.inner.state.issuer().to_owned()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.server.address()
    }

    /// The certificate of its authority in PEM, with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.inner.ca_pem.as_deref()
    }

    /// Closes the listener and all connections: from the return on, connections are refused.
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

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.inner.state
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.inner.state.lock())
    }
}

/// What happened.
impl FakeIam {
    /// All calls of the token endpoint in the order in which they came, those under way too.
    pub fn calls(&self) -> Vec<Call> {
        self.change(|world| world.records.calls.clone())
    }

    /// How many calls there were, those under way too.
    pub fn calls_begun(&self) -> usize {
        self.change(|world| world.records.calls.len())
    }

    /// The calls with one key.
    pub fn calls_of(&self, key: &str) -> Vec<Call> {
        let id = key_id(key);
        self.change(|world| {
            let calls = world.records.calls.iter();
            calls.filter(|call| call.key_id.as_ref() == Some(&id)).cloned().collect()
        })
    }

    /// How often one key was exchanged for a token that the answer held.
    pub fn exchanges_of(&self, key: &str) -> usize {
        self.calls_of(key).iter().filter(|call| call.issued).count()
    }

    /// How often any key was.
    pub fn exchanges(&self) -> usize {
        self.change(|world| world.records.calls.iter().filter(|call| call.issued).count())
    }

    /// The most calls with one key that were under way at once. Needs some latency to show anything.
    pub fn most_at_once_of(&self, key: &str) -> usize {
        self.change(|world| world.records.most_at_once(Some(&key_id(key))))
    }

    /// The most calls that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.change(|world| world.records.most_at_once(None))
    }

    /// Keeps the raw bodies of calls from now on. They hold keys.
    pub fn record_bodies(&self, keep: bool) {
        self.change(|world| world.records.keep_bodies = keep);
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.change(|world| world.records.clear());
    }
}

/// Its tokens.
impl FakeIam {
    /// Its clock.
    pub fn now(&self) -> SystemTime {
        self.inner.state.now()
    }

    /// A token as an exchange of the key would give it, without a call; `lifetime` in seconds from `now()`, which may be
    /// negative for one that has expired.
    ///
    /// # Panics
    /// When the key gets no token.
    pub fn mint(&self, key: &str, lifetime: i64) -> String {
        let state = &self.inner.state;
        let entitled = state.lock().tables.entitled(key, None).expect("a key that gets tokens");
        let shift = lifetime.min(0);
        let making = Making {
            issuer: state.issuer(),
            grant: GRANT_API_KEY,
            issued_at: state.timestamp().as_second() + shift,
            lifetime: lifetime.unsigned_abs() * u64::from(lifetime > 0),
        };
        state.signing_key().sign(&claims::claims(&entitled, &making))
    }

    /// The claims of a token of this fake that is valid now.
    pub fn verify(&self, token: &str) -> Result<serde_json::Value, TokenError> {
        let state = &self.inner.state;
        state.signing_key().verify(token, state.issuer(), state.timestamp().as_second())
    }

    /// The key that it signs with.
    pub fn signing_key(&self) -> &SigningKey {
        self.inner.state.signing_key()
    }
}

impl fmt::Debug for FakeIam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeIam").field("url", &self.url()).finish_non_exhaustive()
    }
}
