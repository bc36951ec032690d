//! The form that IAM wants and the answer that it gives. Pure.
//!
//! `POST {endpoint}/identity/token` with `grant_type=urn:ibm:params:oauth:grant-type:apikey` (IBM Cloud Hyper Protect
//! Crypto Services, "Retrieving an access token"; IBM's OpenAPI of IAM Identity).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::rfc2822;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Ask, Grant, claims};
use crate::core::failure::{Failure, Flaw, Kind};
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

/// The body of the request: `application/x-www-form-urlencoded`.
#[must_use]
pub fn form(ask: &Ask) -> Zeroizing<Vec<u8>> {
    let key = ask.api_key.expose_secret();
    // Room for every byte escaped, so that no copy is left behind by growing.
    let mut body = Zeroizing::new(Vec::with_capacity(128 + 3 * key.len()));
    body.extend_from_slice(b"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=");
    for escaped in form_urlencoded::byte_serialize(key.as_bytes()) {
        body.extend_from_slice(escaped.as_bytes());
    }
    body
}

/// What the answer to `ask`, which was sent at `asked_at` and answered at `now`, means.
///
/// # Errors
/// The [`Failure`] for anything but a token that is fit to be written.
pub fn read(ask: &Ask, answer: &Answer<'_>, asked_at: Timestamp, now: Timestamp) -> Result<Grant, Failure> {
    let failed = |kind, code, id| Failure {
        kind,
        endpoint: ask.endpoint.to_string(),
        status: Some(answer.status),
        code,
        request_id: id,
    };
    let shown = |text: &str| plain_id(text, ask.api_key.expose_secret());
    let transaction_id = answer.transaction_id.and_then(shown);
    if answer.status != 200 {
        let refusal: Refusal = object(answer.body).unwrap_or_default();
        let code = refusal.code.as_deref().and_then(shown);
        let request_id = refusal.context.and_then(|context| shown(&context.request_id?));
        let retry_after = answer.retry_after.and_then(|text| delay(text, now));
        let kind = Failure::classify(answer.status, code.as_deref(), retry_after);
        return Err(failed(kind, code, request_id.or(transaction_id)));
    }
    // A clock that was set back meanwhile must not make the token look younger.
    grant(answer.body, asked_at.min(now))
        .and_then(|grant| if now < grant.life.expires_at() { Ok(grant) } else { Err(Kind::Unusable(Flaw::Expired)) })
        .and_then(|grant| of_account(ask, grant))
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
fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
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

/// A code or an id that may be shown: short and plain, and no part of the key.
fn plain_id(text: &str, key: &str) -> Option<String> {
    let plain = (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let echo = key.contains(text) && text.len() >= 8 || text.contains(key);
    (plain && !echo).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::endpoint::Endpoint;
    use crate::core::failure::Verdict;
    use serde_json::json;

    const KEY: &str = "FAKE+key/with=signs&and%more";

    fn ask(account_id: Option<&str>) -> Ask {
        Ask {
            endpoint: Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap(),
            api_key: KEY.into(),
            account_id: account_id.map(str::to_owned),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn answer(status: u16, body: &[u8]) -> Result<Grant, Failure> {
        read(&ask(None), &Answer { status, retry_after: None, transaction_id: Some("t-1"), body }, at(0), at(0))
    }

    #[test]
    fn the_form_is_the_one_of_the_document() {
        let expected =
            "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=FAKE%2Bkey%2Fwith%3Dsigns%26and%25more";
        assert_eq!(form(&ask(None)).as_slice(), expected.as_bytes());
    }

    #[test]
    fn a_token_is_read() {
        let body = json!({"access_token": "abc", "refresh_token": "not_supported", "token_type": "Bearer",
            "expires_in": 3600, "expiration": 1_800_003_700_i64, "scope": "ibm openid"});
        let grant = answer(200, body.to_string().as_bytes()).unwrap();
        assert_eq!(grant.token.expose_secret(), "abc");
        assert_eq!((grant.life.expires_at(), grant.skew), (at(3600), 100));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = json!({"access_token": "abc", "expires_in": 3600});
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body.to_string()
        };
        let table = [
            ("<html>".to_owned(), Flaw::NotJson),
            ("{\"access_token\":\"a".to_owned(), Flaw::NotJson),
            ("[\"abc\",\"Bearer\",3600,1]".to_owned(), Flaw::NotJson),
            (json!({"expires_in": 3600}).to_string(), Flaw::NoToken),
            (with("access_token", json!("")), Flaw::NoToken),
            (with("access_token", json!("a\nb")), Flaw::NotHeaderSafe),
            (with("access_token", json!("a b")), Flaw::NotHeaderSafe),
            (with("access_token", json!("\u{e9}")), Flaw::NotHeaderSafe),
            (with("token_type", json!("mac")), Flaw::NotBearer),
            (json!({"access_token": "abc"}).to_string(), Flaw::Lifetime),
            (with("expires_in", json!(0)), Flaw::Lifetime),
            (with("expires_in", json!(-1)), Flaw::Lifetime),
            (with("expires_in", json!("3600")), Flaw::Lifetime),
            (with("expires_in", json!(1e12)), Flaw::Lifetime),
            (with("expires_in", json!(86_401)), Flaw::Lifetime),
        ];
        for (body, flaw) in table {
            let failure = answer(200, body.as_bytes()).unwrap_err();
            assert_eq!(failure.kind, Kind::Unusable(flaw), "{body}");
        }
    }

    #[test]
    fn a_refusal_shows_code_and_id_and_nothing_that_echoes_the_key() {
        let body = json!({"errorCode": "BXNIM0415E", "errorMessage": KEY, "errorDetails": KEY, "context": {"requestId": "r-1"}});
        let failure = answer(400, body.to_string().as_bytes()).unwrap_err();
        assert_eq!(failure.kind, Kind::Rejected(Verdict::NotFound));
        assert_eq!(failure.request_id.as_deref(), Some("r-1"));
        assert!(!failure.to_string().contains(KEY) && failure.to_string().contains("BXNIM0415E"), "{failure}");
        let body = json!({"errorCode": KEY, "context": {"requestId": "with=signs"}});
        let failure = answer(401, body.to_string().as_bytes()).unwrap_err();
        assert_eq!((failure.code, failure.request_id.as_deref()), (None, Some("t-1")));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(delay(" 7 ", at(0)), Some(Duration::from_secs(7)));
        assert_eq!(delay("Fri, 15 Jan 2027 08:00:30 GMT", at(0)), Some(Duration::from_secs(30)));
        assert_eq!(delay("Fri, 15 Jan 2027 07:00:00 GMT", at(0)), Some(Duration::ZERO));
        for bad in ["", "soon", "-5", "7.5"] {
            assert_eq!(delay(bad, at(0)), None, "{bad}");
        }
    }

    #[test]
    fn a_plain_text_429_is_throttling() {
        let body = b"ApiKey based rate limit for calls to /token";
        assert_eq!(answer(429, body).unwrap_err().kind, Kind::Throttled(None));
    }

    #[test]
    fn the_account_is_checked() {
        let body = json!({"access_token": "opaque", "expires_in": 3600}).to_string();
        let answer = Answer { status: 200, retry_after: None, transaction_id: None, body: body.as_bytes() };
        let failure = read(&ask(Some("0123")), &answer, at(0), at(0)).unwrap_err();
        assert_eq!(failure.kind, Kind::Unusable(Flaw::NoAccount));
    }
}
