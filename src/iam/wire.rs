//! The form that IAM wants and the answer that it gives. Pure.
//!
//! `POST {endpoint}/identity/token` with `grant_type=urn:ibm:params:oauth:grant-type:apikey` (IBM Cloud Hyper Protect
//! Crypto Services, "Retrieving an access token"; IBM's OpenAPI of IAM Identity), `cr-token` for the token of a
//! ServiceAccount, and `assume` for the trusted profile that an API key's token becomes (the same OpenAPI).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Ask, Credential, Grant, claims};
use crate::core::asker::Profile;
use crate::core::failure::{Failure, Flaw, Kind, Verdict};
use crate::core::schedule::{Life, since, whole_seconds};

/// The largest answer that is read, in bytes. Real ones have about two thousand.
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// The longest lifetime that is believed, in seconds: a day. IAM's longest is an hour.
const LONGEST_LIFE: u64 = 86_400;

/// An answer as it came over the wire.
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The header `Transaction-Id`.
    pub transaction_id: Option<&'a str>,
    /// The body, at most [`LARGEST_ANSWER`] bytes.
    pub body: &'a [u8],
}

/// All fields are optional in IBM's OpenAPI; `refresh_token` is not even read.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    access_token: Option<SecretString>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    expiration: Value,
}

/// `errorMessage` and `errorDetails` are not read: the details can echo the API key.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default, rename = "errorCode")]
    code: Option<String>,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default, rename = "requestId")]
    request_id: Option<String>,
}

/// One request of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    ask: &'a Ask,
    /// The token of an API key that becomes a trusted profile.
    assuming: Option<&'a SecretString>,
}

impl<'a> Request<'a> {
    /// The first one, and mostly the only one.
    #[must_use]
    pub fn first(ask: &'a Ask) -> Self {
        Self { ask, assuming: None }
    }

    /// The one that follows on the first one's token: that of an API key becomes a trusted profile.
    #[must_use]
    pub fn next(self, token: &'a SecretString) -> Option<Self> {
        (!self.is_last()).then_some(Self { assuming: Some(token), ..self })
    }

    /// The header `ibm-cloud-tenant`: IAM gives a token only of this account. The grant `assume` does not know it.
    #[must_use]
    pub fn tenant(self) -> Option<&'a str> {
        self.ask.account_id.as_deref().filter(|_| self.assuming.is_none() && self.is_last())
    }

    /// The body: `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn form(self) -> Zeroizing<Vec<u8>> {
        let profile = self.ask.profile.as_ref().map(|profile| (profile.field(), profile.value()));
        let account = self.ask.account_id.as_deref().filter(|_| matches!(self.ask.profile, Some(Profile::Name(_))));
        let (grant, name, secret) = match (&self.ask.credential, self.assuming) {
            (_, Some(token)) => ("assume", "access_token", token),
            (Credential::ApiKey(key), None) => ("apikey", "apikey", key),
            (Credential::ServiceAccount { token, .. }, None) => ("cr-token", "cr_token", token),
        };
        let grant = format!("urn:ibm:params:oauth:grant-type:{grant}");
        let fields = [("grant_type", grant.as_str()), (name, secret.expose_secret())].into_iter();
        let fields = fields.chain(profile.filter(|_| self.is_last()));
        let fields: Vec<_> =
            fields.chain(account.filter(|_| self.assuming.is_some()).map(|id| ("account", id))).collect();
        urlencoded(&fields)
    }

    fn is_last(self) -> bool {
        let key = matches!(self.ask.credential, Credential::ApiKey(_));
        self.assuming.is_some() || !key || self.ask.profile.is_none()
    }

    /// Whose fault a refusal is depends on what was asked.
    fn kind(self, status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Kind {
        match Failure::classify(status, code, retry_after) {
            Kind::Rejected(_) if code == Some("BXNIM0141E") && self.tenant().is_some() => Kind::OtherAccount,
            Kind::Rejected(Verdict::Other) if self.assuming.is_some() => Kind::Rejected(Verdict::Profile),
            Kind::Rejected(Verdict::Other) if matches!(self.ask.credential, Credential::ServiceAccount { .. }) => {
                Kind::Rejected(Verdict::ServiceAccount)
            }
            kind => kind,
        }
    }

    /// IAM's id of the request that was answered with this grant, if it may be shown.
    #[must_use]
    pub fn transaction_id(self, answer: &Answer<'_>, grant: &Grant) -> Option<String> {
        self.shown(answer.transaction_id?).filter(|id| !is_echo(id, grant.token.expose_secret()))
    }

    /// A code or an id that may be shown: short and plain, and no part of what was sent.
    fn shown(self, text: &str) -> Option<String> {
        let mut sent = [Some(self.ask.credential.secret()), self.assuming].into_iter().flatten();
        (is_plain(text) && !sent.any(|secret| is_echo(text, secret.expose_secret()))).then(|| text.to_owned())
    }
}

fn urlencoded(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Room for every byte escaped, so that no copy is left behind by growing.
    let room = fields.iter().map(|(name, value)| 2 + 3 * (name.len() + value.len())).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (place, (name, value)) in fields.iter().enumerate() {
        if place > 0 {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        for escaped in form_urlencoded::byte_serialize(value.as_bytes()) {
            body.extend_from_slice(escaped.as_bytes());
        }
    }
    body
}

/// What the answer to `request`, which was sent at `asked_at` and answered at `now`, means.
///
/// # Errors
/// The [`Failure`] for anything but a token that is fit to be written.
pub fn read(request: Request<'_>, answer: &Answer<'_>, asked_at: Timestamp, now: Timestamp) -> Result<Grant, Failure> {
    let ask = request.ask;
    let failed = |kind, code, id| Failure {
        kind,
        endpoint: ask.endpoint.to_string(),
        status: Some(answer.status),
        code,
        request_id: id,
    };
    let shown = |text: &str| request.shown(text);
    let transaction_id = answer.transaction_id.and_then(shown);
    if answer.status != 200 {
        let refusal: Refusal = object(answer.body).unwrap_or_default();
        let code = refusal.code.as_deref().and_then(shown);
        let request_id = refusal.context.and_then(|context| shown(&context.request_id?));
        let retry_after = answer.retry_after.and_then(|text| delay(text, now));
        let kind = request.kind(answer.status, code.as_deref(), retry_after);
        return Err(failed(kind, code, request_id.or(transaction_id)));
    }
    // A clock that was set back meanwhile must not make the token look younger.
    grant(answer.body, asked_at.min(now))
        .and_then(|grant| if now < grant.life.expires_at() { Ok(grant) } else { Err(Kind::Unusable(Flaw::Expired)) })
        .and_then(|grant| if request.is_last() { of_account(ask, grant) } else { Ok(grant) })
        .map_err(|kind| failed(kind, None, transaction_id))
}

fn grant(body: &[u8], asked_at: Timestamp) -> Result<Grant, Kind> {
    let answer: TokenAnswer = object(body).ok_or(Kind::Unusable(Flaw::NotJson))?;
    let token = answer.access_token.ok_or(Kind::Unusable(Flaw::NoToken))?;
    let text = token.expose_secret();
    if text.is_empty() {
        return Err(Kind::Unusable(Flaw::NoToken));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Kind::Unusable(Flaw::NotHeaderSafe));
    }
    if answer.token_type.is_some_and(|type_| !type_.eq_ignore_ascii_case("Bearer")) {
        return Err(Kind::Unusable(Flaw::NotBearer));
    }
    let lasts = answer.expires_in.as_u64().filter(|seconds| (1..=LONGEST_LIFE).contains(seconds));
    let lasts = Duration::from_secs(lasts.ok_or(Kind::Unusable(Flaw::Lifetime))?);
    let life = Life { since: whole_seconds(asked_at), lasts };
    let skew = answer.expiration.as_i64().map_or(0, |theirs| theirs.saturating_sub(life.expires_at().as_second()));
    let identity = claims::identity(text);
    Ok(Grant { token, life, skew, identity })
}

fn of_account(ask: &Ask, grant: Grant) -> Result<Grant, Kind> {
    match (&ask.account_id, &grant.identity.account_id) {
        (None, _) => Ok(grant),
        (Some(_), None) => Err(Kind::Unusable(Flaw::NoAccount)),
        (Some(wanted), Some(account)) if wanted == account => Ok(grant),
        (Some(_), Some(_)) => Err(Kind::OtherAccount),
    }
}

/// A JSON object; serde would take a list for one, too.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())?
}

/// `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3); a date that has passed is no delay.
fn delay(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(text).ok()?.timestamp();
    Some(since(date, now))
}

/// As codes and ids are.
fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Eight characters of a secret in a row are a part of it, whatever stands around them.
fn is_echo(text: &str, secret: &str) -> bool {
    let part = |part: &[u8]| secret.as_bytes().windows(part.len()).any(|there| there == part);
    text.as_bytes().windows(8).any(part) || text.contains(secret)
}

#[cfg(test)]
mod tests;
