//! The HTTP client that carries an exchange.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, redirect, retry, tls};
use secrecy::SecretString;
use tracing::{Span, debug, info, instrument, warn};
use zeroize::Zeroizing;

use super::ca::{self, CaError, CaFile};
use super::proxy::Proxies;
use super::wire::{self, Answer, LARGEST_ANSWER, Request};
use super::{Ask, Credential, Exchange, Grant, Question, key_details};
use crate::clock::Clock;
use crate::core::failure::{Cause, Failure, Flaw, Kind};
use crate::core::key_health::KeyHealth;
use crate::telemetry::traces::span;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an exchange may take. IBM's SDKs wait for 30 s (IBM/go-sdk-core); half of that leaves time for a second try.
pub(super) const EXCHANGE: Duration = Duration::from_secs(15);

/// How long a connection is kept for the next exchange. What went over it stays in its buffers for so long.
const IDLE: Duration = Duration::from_secs(10);

/// So many are kept: as many as exchanges run at once by default (`--concurrency`). Fewer would have most of many
/// exchanges begin with a connection of their own, which takes IAM and this process more than the exchange.
const KEPT: usize = 32;

/// How long a question about an API key may take. Nothing waits for it.
const QUESTION: Duration = Duration::from_secs(5);

/// IAM over HTTP.
pub struct IamClient {
    clock: Arc<dyn Clock>,
    asks_about_keys: bool,
    allow_http: bool,
    ca_file: Option<CaFile>,
    proxies: Arc<Proxies>,
    made: Mutex<Made>,
}

/// The client as it was made last.
struct Made {
    client: Client,
    /// What the file of CAs held then.
    content: Vec<u8>,
    /// What is wrong with it since, as it was told.
    told: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CAs of the admin's own cannot be used.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The system's roots cannot be read.
    #[error(transparent)]
    Roots(#[from] reqwest::Error),
}

// === impl IamClient ===

impl IamClient {
    /// TLS 1.2 or later with the system's roots, by the environment's proxy; no redirect is followed and nothing is
    /// retried. Plain http is spoken only with `allow_http`.
    ///
    /// # Errors
    /// [`ClientError::Roots`]
    pub fn new(clock: Arc<dyn Clock>, allow_http: bool) -> Result<Self, ClientError> {
        Self::trusting(clock, allow_http, None)
    }

    /// As [`new`](Self::new), and whoever is signed by a CA of this file is IAM, too. The file is read before each exchange,
    /// so that one that has changed needs no restart.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn trusting(clock: Arc<dyn Clock>, allow_http: bool, ca_file: Option<CaFile>) -> Result<Self, ClientError> {
        let content = ca_file.as_ref().map(CaFile::read).transpose()?.unwrap_or_default();
        let client = make(allow_http, ca_file.is_some().then_some(&content))?;
        let made = Mutex::new(Made { client, content, told: None });
        let proxies = Arc::new(Proxies::from_env());
        Ok(Self { clock, asks_about_keys: false, allow_http, ca_file, proxies, made })
    }

    /// Whether IAM may be asked about API keys.
    #[must_use]
    pub fn asking_about_keys(mut self, may: bool) -> Self {
        self.asks_about_keys = may;
        self
    }

    /// The client that trusts what the file of CAs holds now; the one before, where that cannot be used.
    fn client(&self) -> Client {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.ca_file else { return made.client.clone() };
        let path = file.path().display();
        let renewed = file.read().map_err(ClientError::from).and_then(|content| {
            let client = (content != made.content).then(|| make(self.allow_http, Some(&content))).transpose()?;
            Ok(client.map(|client| Made { client, content, told: None }))
        });
        match renewed {
            Ok(Some(new)) => {
                info!("--iam-ca-file {path}: it has changed, and IAM is trusted by what it holds now");
                *made = new;
            }
            Ok(None) => made.told = None,
            Err(error) => {
                let told = Some(error.to_string());
                if made.told != told {
                    warn!("--iam-ca-file {path}: {error}. IAM is trusted by what it held before");
                    made.told = told;
                }
            }
        }
        made.client.clone()
    }
}

/// `cas` are certificates in PEM.
fn make(allow_http: bool, cas: Option<&Vec<u8>>) -> Result<Client, ClientError> {
    let cas = cas.map(|content| ca::certificates(content)).transpose()?.unwrap_or_default();
    let client = Client::builder()
        .user_agent(concat!("iam-token-operator/", env!("CARGO_PKG_VERSION")))
        .https_only(!allow_http)
        .tls_version_min(tls::Version::TLS_1_2)
        .tls_certs_merge(cas)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(EXCHANGE)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(KEPT)
        .build()?;
    Ok(client)
}

impl Exchange for IamClient {
    fn exchange(&self, ask: Ask) -> BoxFuture<'static, Result<Grant, Failure>> {
        self.exchange_and_ask(ask).map(|result| result.map(|(grant, _)| grant)).boxed()
    }

    fn exchange_and_ask(&self, ask: Ask) -> BoxFuture<'static, Result<(Grant, Option<Question>), Failure>> {
        let (client, clock, proxy) = (self.client(), Arc::clone(&self.clock), self.proxies.towards(&ask.endpoint));
        let may = self.asks_about_keys && matches!(ask.credential, Credential::ApiKey(_));
        async move {
            let (grant, own) = exchange(&client, &*clock, &ask, proxy).await?;
            let question = may.then(|| {
                let own = own.unwrap_or_else(|| grant.token.clone());
                about_key(client, ask, own).boxed()
            });
            Ok((grant, question))
        }
        .boxed()
    }
}

/// One request, or two where an API key's token becomes a trusted profile: together they are one try. Beside the token
/// that of the key's own identity, where that is another one.
async fn exchange(
    client: &Client,
    clock: &dyn Clock,
    ask: &Ask,
    proxy: Option<String>,
) -> Result<(Grant, Option<SecretString>), Failure> {
    let proxied = proxy.is_some();
    let both = async {
        let first = Request::first(ask);
        let grant = send(client, clock, ask, first, proxied).await?;
        match first.next(&grant.token) {
            Some(next) => Ok((send(client, clock, ask, next, proxied).await?, Some(grant.token))),
            None => Ok((grant, None)),
        }
    };
    let late = || Err(Failure::unanswered(Kind::Unreachable(Cause::Timeout), &ask.endpoint));
    let result = tokio::time::timeout(EXCHANGE, both).await.unwrap_or_else(|_| late());
    // An answer is IAM's own: it came through the proxy, but not from there.
    result.map_err(|failure| match &proxy {
        Some(proxy) if failure.status.is_none() => failure.by_proxy(proxy),
        _ => failure,
    })
}

#[instrument(name = "POST /identity/token", skip_all, fields(
    otel.kind = "client",
    http.request.method = "POST",
    http.response.status_code,
    endpoint = %ask.endpoint,
    transaction_id,
))]
async fn send(
    client: &Client,
    clock: &dyn Clock,
    ask: &Ask,
    request: Request<'_>,
    proxied: bool,
) -> Result<Grant, Failure> {
    let result = post(client, clock, ask, request, proxied).await;
    if let Err(failure) = &result {
        Span::current().record("transaction_id", failure.request_id.as_deref());
        span::fail(|| failure.to_string());
    }
    result
}

async fn post(
    client: &Client,
    clock: &dyn Clock,
    ask: &Ask,
    request: Request<'_>,
    proxied: bool,
) -> Result<Grant, Failure> {
    let asked_at = clock.now();
    let mut post = client
        .post(ask.endpoint.token_url())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(Bytes::from_owner(request.form()));
    if let Some(account) = request.tenant() {
        post = post.header("ibm-cloud-tenant", account);
    }
    let failed = |kind, status| Failure { status, ..Failure::unanswered(kind, &ask.endpoint) };
    let mut response = post.send().await.map_err(|error| failed(cause(&error, proxied), None))?;
    let status = response.status().as_u16();
    Span::current().record("http.response.status_code", status);
    let body = body(&mut response).await.map_err(|kind| failed(kind, Some(status)))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let answer = Answer {
        status,
        retry_after: header(RETRY_AFTER.as_str()),
        transaction_id: header("transaction-id"),
        body: &body,
    };
    let grant = wire::read(request, &answer, asked_at, clock.now())?;
    Span::current().record("transaction_id", request.transaction_id(&answer, &grant));
    Ok(grant)
}

/// What IAM says of the API key. That it says nothing is no failure: mostly the identity may not read its own key.
async fn about_key(client: Client, ask: Ask, token: SecretString) -> Option<KeyHealth> {
    let headers = key_details::headers(ask.credential.secret(), &token)?;
    let (get, endpoint) = (client.get(ask.endpoint.key_details_url()), ask.endpoint.clone());
    drop((ask, token));
    let answer = async {
        let mut response = get.headers(headers).send().await.map_err(|error| cause(&error, false))?;
        let body = body(&mut response).await?;
        Ok::<_, Kind>((response.status().as_u16(), body))
    };
    let answer = tokio::time::timeout(QUESTION, answer).await.unwrap_or(Err(Kind::Unreachable(Cause::Timeout)));
    let health = answer.as_ref().ok().and_then(|(status, body)| key_details::read(*status, body));
    match (health, answer) {
        (Some(health), _) => debug!(%endpoint, ?health, "IAM was asked about an API key"),
        (None, Ok((status, _))) => debug!(%endpoint, status, "IAM tells nothing of an API key"),
        (None, Err(kind)) => debug!(%endpoint, ?kind, "IAM gave no answer about an API key"),
    }
    health
}

/// The body, if it is not larger than any answer should be. That of an error is cut off there instead.
async fn body(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, Kind> {
    let mut body = Zeroizing::new(Vec::with_capacity(8 * 1024));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST_ANSWER => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            _ if response.status() != 200 => return Ok(body),
            Ok(Some(_)) => return Err(Kind::Unusable(Flaw::TooLarge)),
            Err(error) => return Err(cause(&error, false)),
        }
    }
}

/// Why a request failed, told from its chain of sources. Their texts are never shown: they can hold URLs. Whoever is
/// connected to, the proxy is if there is one.
fn cause(error: &reqwest::Error, proxied: bool) -> Kind {
    if error.is_timeout() {
        return Kind::Unreachable(Cause::Timeout);
    }
    let gone = |direct| Kind::Unreachable(if proxied { Cause::ProxyGone } else { direct });
    let mut rest = Cause::Broken;
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if is_distrust(io) {
                return Kind::Untrusted;
            }
            if io.kind() == ErrorKind::ConnectionRefused {
                return gone(Cause::Refused);
            }
        }
        let text = error.to_string();
        if text.contains("dns error") {
            return gone(Cause::Dns);
        }
        rest = text.strip_prefix("tunnel error: ").map_or(rest, tunnel);
        source = error.source();
    }
    Kind::Unreachable(rest)
}

/// What became of the proxy's `CONNECT`, by hyper-util's word for it.
fn tunnel(error: &str) -> Cause {
    match error {
        "proxy authorization required" => Cause::ProxyCredentials,
        "failed to create underlying connection" | "io error establishing tunnel" => Cause::ProxyGone,
        _ => Cause::ProxyRefused,
    }
}

/// The connector wraps errors of TLS in one I/O error or more, whose `source` skips what they wrap.
fn is_distrust(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| match inner.downcast_ref::<io::Error>() {
        Some(inner) => is_distrust(inner),
        None => matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))),
    })
}
