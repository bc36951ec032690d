//! What IAM says of an API key: the headers of the question and its answer. Pure.
//!
//! `GET {endpoint}/v1/apikeys/details`, with the key itself in `IAM-ApiKey` and a token of an identity that may read it
//! (IBM's OpenAPI of IAM Identity, `getApiKeysDetails`). Users may read their own keys, a service ID only with the action
//! `iam-identity.apikey.get` (IBM Cloud docs, "IAM roles and actions").

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::wire::object;
use crate::core::key_health::KeyHealth;

/// The fields that are read. The answer can hold the key itself, as `apikey`.
#[derive(Deserialize)]
struct Details {
    locked: bool,
    #[serde(default)]
    disabled: Value,
    #[serde(default)]
    expires_at: Value,
}

/// The headers of the question, those with secrets marked so that nobody logs or indexes them; `None` where one of the
/// secrets fits into no header.
#[must_use]
pub fn headers(key: &SecretString, token: &SecretString) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/json")),
        (AUTHORIZATION, secret(&["Bearer ", token.expose_secret()])?),
        (HeaderName::from_static("iam-apikey"), secret(&[key.expose_secret()])?),
    ]))
}

/// Wiped after use, as far as it is in our hands.
fn secret(parts: &[&str]) -> Option<HeaderValue> {
    let mut text = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What the answer says; `None` where it says nothing that can be relied upon.
#[must_use]
pub fn read(status: u16, body: &[u8]) -> Option<KeyHealth> {
    let details: Details = (status == 200).then(|| object(body))??;
    Some(KeyHealth {
        expires_at: details.expires_at.as_str().and_then(time),
        locked: details.locked,
        disabled: details.disabled == Value::Bool(true),
    })
}

/// `yyyy-MM-ddTHH:mm+0000` says the OpenAPI; RFC 3339 is read too. Before 1970 is no expiry: there was no IAM, and the API
/// server would refuse a status that tells of a year before 0.
fn time(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok().filter(|at| *at >= Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: &str = "2027-01-15T09:00:00Z";

    fn details(more: &str) -> String {
        format!(r#"{{"id":"ApiKey-1","iam_id":"iam-ServiceId-1","apikey":"FAKE-key","locked":false{more}}}"#)
    }

    fn expiry(text: &str) -> Option<String> {
        let body = details(&format!(r#","expires_at":"{text}""#));
        read(200, body.as_bytes()).unwrap().expires_at.map(|at| at.to_string())
    }

    #[test]
    fn the_secrets_are_in_their_headers_and_in_no_text() {
        let headers = headers(&"FAKE-key".into(), &"FAKE-token".into()).unwrap();
        assert_eq!(headers["iam-apikey"], "FAKE-key");
        assert_eq!(headers["authorization"], "Bearer FAKE-token");
        assert_eq!(headers["accept"], "application/json");
        assert_eq!(headers.len(), 3);
        assert!(!format!("{headers:?}").contains("FAKE"), "{headers:?}");
    }

    #[test]
    fn what_fits_into_no_header_is_not_sent() {
        assert!(headers(&"FAKE\nkey".into(), &"FAKE-token".into()).is_none());
        assert!(headers(&"FAKE-key".into(), &"FAKE\0token".into()).is_none());
    }

    #[test]
    fn times_are_read_as_documented_and_as_rfc_3339() {
        for text in [
            "2027-01-15T09:00+0000",
            EXPIRES,
            "2027-01-15T10:00:00.000+01:00",
            "2027-01-15T09:00Z",
            " 2027-01-15T09:00+0000 ",
        ] {
            assert_eq!(expiry(text).as_deref(), Some(EXPIRES), "{text}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_none() {
        for text in [
            "",
            "never",
            "2027-01-15T09:00",
            "2027-13-15T09:00+0000",
            "1800000000",
            "99999-01-01T00:00Z",
            "-009998-01-15T09:00Z",
        ] {
            assert_eq!(expiry(text), None, "{text}");
        }
        for value in ["null", "1800000000", "[]", "{}", "false"] {
            let health = read(200, details(&format!(r#","expires_at":{value}"#)).as_bytes());
            assert_eq!(health, Some(KeyHealth::default()), "{value}");
        }
    }

    #[test]
    fn locked_and_disabled_are_told_apart() {
        let health = |more: &str| read(200, details(more).as_bytes()).unwrap();
        assert_eq!(health(""), KeyHealth::default());
        assert_eq!(health(r#","disabled":true"#), KeyHealth { disabled: true, ..KeyHealth::default() });
        for odd in [r#""true""#, "1", "null", "[true]"] {
            assert_eq!(health(&format!(r#","disabled":{odd}"#)), KeyHealth::default(), "{odd}");
        }
        let locked = read(200, br#"{"locked":true}"#);
        assert_eq!(locked, Some(KeyHealth { locked: true, ..KeyHealth::default() }));
    }

    #[test]
    fn anything_else_says_nothing() {
        for body in ["", "{}", "[]", "null", "<html>", r#"{"locked":"no"}"#, "[false,null,null]", r#"{"locked":false"#]
        {
            assert_eq!(read(200, body.as_bytes()), None, "{body}");
        }
        for status in [201, 204, 302, 400, 401, 403, 404, 429, 500, 503] {
            assert_eq!(read(status, details("").as_bytes()), None, "{status}");
        }
    }
}
