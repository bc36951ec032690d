//! Who is let in to scrape, where that is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::warn;

use crate::clock::Clock;
use crate::core::digest;
use crate::core::problem::{ApiProblem, Problem};
use crate::core::scrapers::{Scrapers, Step, Verdict};

/// Finds out whether whoever has a token may scrape.
pub type Review = Box<dyn Fn(SecretString) -> BoxFuture<'static, Result<Verdict, ApiProblem>> + Send + Sync>;

/// Lets in whom the API server lets in. It keeps digests of tokens, and no token.
pub struct Gate {
    review: Review,
    clock: Arc<dyn Clock>,
    scrapers: Mutex<Scrapers>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no token, or it is nobody's.
    Unknown,
    /// It is somebody's who may not scrape.
    Forbidden,
    /// The API server could not be asked.
    Unasked,
    /// Too many strangers came.
    Wait(Duration),
}

// === impl Gate ===

impl Gate {
    /// One that asks `review`.
    #[must_use]
    pub fn new(review: Review, clock: Arc<dyn Clock>) -> Self {
        Self { review, clock, scrapers: Mutex::default() }
    }

    /// # Errors
    /// Why whoever asks is not let in.
    pub(super) async fn admits(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(Refusal::Unknown)?;
        let who = digest::of_parts(&["scrape", token.expose_secret()]);
        let step = self.scrapers().comes(&who, self.clock.moment().steady);
        let verdict = match step {
            Step::Said(verdict) => verdict,
            Step::Ask => self.ask(token, who).await?,
            Step::Wait(wait) => return Err(Refusal::Wait(wait)),
        };
        match verdict {
            Verdict::Allowed => Ok(()),
            Verdict::Forbidden => Err(Refusal::Forbidden),
            Verdict::Unknown => Err(Refusal::Unknown),
        }
    }

    async fn ask(&self, token: SecretString, who: [u8; 32]) -> Result<Verdict, Refusal> {
        let verdict = (self.review)(token).await.map_err(|problem| {
            warn!("a scrape is not answered: {}", Problem::Api(problem).message());
            Refusal::Unasked
        })?;
        self.scrapers().said(who, verdict, self.clock.moment().steady);
        Ok(verdict)
    }

    fn scrapers(&self) -> MutexGuard<'_, Scrapers> {
        self.scrapers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty());
    token.map(SecretString::from)
}

impl IntoResponse for Refusal {
    /// Nothing but the status, and what HTTP wants beside it.
    fn into_response(self) -> Response {
        match self {
            Self::Unknown => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response(),
            Self::Forbidden => StatusCode::FORBIDDEN.into_response(),
            Self::Unasked => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Self::Wait(wait) => {
                (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, (wait.as_secs() + 1).to_string())]).into_response()
            }
        }
    }
}
