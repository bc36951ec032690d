//! The HTTP client that carries spans to the collector.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::{Client, redirect, retry};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take: the default of OTLP exporters (OpenTelemetry specification, "OTLP Exporter").
const ANSWER: Duration = Duration::from_secs(10);

/// A collector that fails is worth a word once in so long.
const AGAIN: Duration = Duration::from_mins(10);

/// More than this of an answer is not read.
const LONGEST_ANSWER: usize = 16 * 1024;

/// A collector of spans. Whoever sends may block: the request runs on the operator's runtime.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    runtime: Handle,
    told: Arc<Mutex<Told>>,
}

/// What was said of it in the log.
#[derive(Debug, Default)]
struct Told {
    failing: bool,
    at: Option<Instant>,
}

/// Why a batch of spans is lost, or tried again.
#[derive(Debug)]
enum Trouble {
    Timeout,
    Unreachable,
    Refused(u16),
}

// === impl Collector ===

impl Collector {
    /// By the environment's proxy, and with the system's roots where it is HTTPS.
    pub(super) fn new(url: &Uri) -> reqwest::Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(1);
        // Roots take memory, and plain HTTP needs none.
        let client = if url.scheme_str() == Some("http") { client.tls_certs_only([]) } else { client };
        Ok(Self { client: client.build()?, runtime: Handle::current(), told: Arc::default() })
    }
}

impl HttpClient for Collector {
    /// As `async_trait` would write it.
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        let sent = self.runtime.spawn(send(self.client.clone(), request, Arc::clone(&self.told)));
        Box::pin(async move { sent.await? })
    }
}

async fn send(client: Client, request: Request<Bytes>, told: Arc<Mutex<Told>>) -> Result<Response<Bytes>, HttpError> {
    let url = request.uri().clone();
    let answer = client.execute(request.try_into()?).await;
    let (trouble, answer) = match answer {
        Ok(answer) if answer.status().is_success() => (None, Ok(emptied(answer).await?)),
        Ok(answer) => (Some(Trouble::Refused(answer.status().as_u16())), Ok(emptied(answer).await?)),
        Err(error) if error.is_timeout() => (Some(Trouble::Timeout), Err(Trouble::Timeout.to_string().into())),
        Err(_) => (Some(Trouble::Unreachable), Err(Trouble::Unreachable.to_string().into())),
    };
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    match trouble {
        Some(trouble) if told.fails(Instant::now()) => {
            warn!(collector = %url, "{trouble}. Until the collector takes them, spans are lost; nothing else is held up");
        }
        None if told.works() => info!(collector = %url, "the collector takes spans again"),
        _ => {}
    }
    answer
}

/// Without the body, which is read so that the connection can be used again.
async fn emptied(mut answer: reqwest::Response) -> reqwest::Result<Response<Bytes>> {
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await? {
        length += chunk.len();
        if length > LONGEST_ANSWER {
            break;
        }
    }
    let mut emptied = Response::new(Bytes::new());
    *emptied.status_mut() = answer.status();
    *emptied.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(emptied)
}

// === impl Told ===

impl Told {
    /// It fails; whether that is worth a word.
    fn fails(&mut self, now: Instant) -> bool {
        let worth = self.at.is_none_or(|at| now.saturating_duration_since(at) >= AGAIN);
        if worth {
            (self.failing, self.at) = (true, Some(now));
        }
        worth
    }

    /// It works; whether that is worth a word: only after one that it fails.
    fn works(&mut self) -> bool {
        std::mem::take(&mut self.failing)
    }
}

// === impl Trouble ===

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => write!(f, "the collector of traces does not answer within {} s", ANSWER.as_secs()),
            Self::Unreachable => f.write_str("the collector of traces cannot be reached"),
            Self::Refused(status) => write!(f, "the collector of traces answers HTTP {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_comes_and_goes_is_told_of_once_in_ten_minutes() {
        let (mut told, begin) = (Told::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert!(!told.works());
        assert!(told.fails(after(0)) && !told.fails(after(5)) && told.works() && !told.works());
        assert!(!told.fails(after(10)) && !told.works(), "too soon after the first word");
        assert!(told.fails(after(600)) && !told.fails(after(1199)) && told.fails(after(1200)) && told.works());
    }
}
