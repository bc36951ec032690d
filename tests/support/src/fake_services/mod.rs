//! The services that the guides call, under their real names and over https, as an HTTP proxy brings one there.
//!
//! A program that is given [`FakeServices::proxy`] as `HTTPS_PROXY` and [`FakeServices::ca_pem`] as `SSL_CERT_FILE` calls
//! `https://us-south.kms.cloud.ibm.com` and meets a fake. No other host is reached: who asks for one gets a 403 from the
//! proxy, and [`FakeServices::strangers`] has its name. Each service takes a token of one [`FakeIam`] that is valid now, and
//! no other, and refuses in its own words.
// The fake is the world outside, where real time runs.
#![allow(clippy::disallowed_methods)]

mod models;
mod object_storage;
mod tunnel;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;

use crate::fake_iam::server::{self, Answer, Connection, Handler, Server};
use crate::fake_iam::state::State as IamState;
use crate::fake_iam::{FakeIam, TokenError, routes, text_answer, tls};
use crate::fake_kms::{self, FakeKms};

pub use models::PROJECT;
pub use object_storage::{BUCKET, STORAGE_INSTANCE};

/// The hosts, with the service that each belongs to. `*` stands for one label.
const HOSTS: [(&str, Service); 5] = [
    ("iam.cloud.ibm.com", Service::Iam),
    ("us-south.kms.cloud.ibm.com", Service::Keys),
    ("*.api.us-south.hs-crypto.appdomain.cloud", Service::Keys),
    ("s3.us-south.cloud-object-storage.appdomain.cloud", Service::ObjectStorage),
    ("us-south.ml.cloud.ibm.com", Service::Models),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Iam,
    Keys,
    ObjectStorage,
    Models,
}

/// One call of a service. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCall {
    /// The host that was asked.
    pub host: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// The identity of the token, if it is a valid one.
    pub iam_id: Option<String>,
}

/// Running fakes; they end when this is dropped.
pub struct FakeServices {
    proxy: Server,
    /// The other end of the proxy.
    _services: Server,
    state: Arc<State>,
    ca_pem: String,
}

struct State {
    iam: Arc<IamState>,
    kms: FakeKms,
    storage: object_storage::Storage,
    calls: Mutex<Vec<ServiceCall>>,
    strangers: Mutex<Vec<String>>,
}

impl FakeServices {
    /// Fakes that trust the tokens of one IAM, on free ports of 127.0.0.1.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn start(iam: &FakeIam) -> Self {
        Self::try_start(iam).expect("the fake services start")
    }

    fn try_start(iam: &FakeIam) -> io::Result<Self> {
        let state = Arc::new(State {
            iam: Arc::clone(iam.state()),
            kms: FakeKms::start(iam),
            storage: object_storage::Storage::default(),
            calls: Mutex::default(),
            strangers: Mutex::default(),
        });
        let names = HOSTS.map(|(host, _)| host.to_owned()).to_vec();
        let tls = tls::self_signed(&names).map_err(io::Error::other)?;
        let loopback = || server::bind((Ipv4Addr::LOCALHOST, 0).into());
        let shared = Arc::clone(&state);
        let services = Server::start("fake-services", loopback()?, Some(tls.acceptor), |door| {
            let token_endpoint = routes::handler(Arc::clone(&shared.iam), door, false);
            Arc::new(move |request, connection| {
                Box::pin(answer(Arc::clone(&shared), Arc::clone(&token_endpoint), request, connection))
            })
        })?;
        let (shared, address) = (Arc::clone(&state), services.address());
        let proxy = Server::start("fake-proxy", loopback()?, None, |_| {
            Arc::new(move |request, _| {
                let response = tunnel::answer(request, address, |host| shared.knows(host));
                Box::pin(async move { Ok(response) })
            })
        })?;
        Ok(Self { proxy, _services: services, state, ca_pem: tls.ca_pem })
    }

    /// `http://127.0.0.1:<port>`, for `HTTPS_PROXY`.
    pub fn proxy(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// The certificate of the authority that all of them are signed by, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// All calls that a service answered so far, but for those of IAM, which [`FakeIam::calls`] has.
    pub fn calls(&self) -> Vec<ServiceCall> {
        lock(&self.state.calls).clone()
    }

    /// The hosts that somebody asked the proxy for and that aren't there.
    pub fn strangers(&self) -> Vec<String> {
        lock(&self.state.strangers).clone()
    }
}

async fn answer(
    state: Arc<State>,
    token_endpoint: Handler,
    request: Request<Incoming>,
    connection: Connection,
) -> Answer {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let Some(service) = service_of(&host) else {
        return Ok(text_answer(StatusCode::MISDIRECTED_REQUEST, ""));
    };
    if service == Service::Iam {
        return token_endpoint(request, connection).await;
    }
    let claims = fake_kms::claims_of(&state.iam, request.headers());
    let iam_id = claims.as_ref().ok().and_then(|claims| claims["iam_id"].as_str()).map(str::to_owned);
    let response = match service {
        Service::Keys | Service::Iam => state.kms.answer(&request),
        Service::ObjectStorage => state.storage.answer(&Whole::read(request).await?, &claims),
        Service::Models => models::answer(&Whole::read(request).await?, &claims),
    };
    lock(&state.calls).push(ServiceCall { host, status: response.status().as_u16(), iam_id });
    Ok(response)
}

/// A request with its body.
struct Whole {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Whole {
    async fn read(request: Request<Incoming>) -> io::Result<Self> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, 1 << 20).collect().await.map_err(io::Error::other)?.to_bytes();
        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
        Ok(Self { method: head.method, path, query, headers: head.headers, body })
    }
}

/// The claims of a request's token, or why it isn't a valid one.
type Claims = Result<Value, TokenError>;

impl State {
    fn knows(&self, host: &str) -> bool {
        let known = service_of(host).is_some();
        if !known {
            lock(&self.strangers).push(host.to_owned());
        }
        known
    }
}

fn service_of(host: &str) -> Option<Service> {
    let matches = |pattern: &str| match pattern.strip_prefix('*') {
        None => host == pattern,
        Some(rest) => host.strip_suffix(rest).is_some_and(|label| !label.is_empty() && !label.contains('.')),
    };
    HOSTS.iter().find(|(pattern, _)| matches(pattern)).map(|(_, service)| *service)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for FakeServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServices").field("proxy", &self.proxy()).finish_non_exhaustive()
    }
}
