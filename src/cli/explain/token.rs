//! A token in a text -> its header and claims.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What a token says, unverified. It holds nothing of the signature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Explained {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
}

/// Why a text can't be explained. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Empty,
    /// JSON in which no token was found.
    NoTokenInJson,
    /// Not three parts with dots between them.
    NotJwt,
    /// Five parts: it is encrypted (RFC 7516).
    Encrypted,
    /// Its header or its claims are no JSON object in base64url.
    Garbled,
}

/// The answers that carry a token: IAM's own, that of `ibmcloud iam oauth-tokens --output json`, and logins for images.
#[derive(Deserialize)]
struct Carrier {
    access_token: Option<SecretString>,
    iam_token: Option<SecretString>,
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    password: SecretString,
}

/// What may stand before a token, in small letters.
const BEFORE: [&str; 4] = ["authorization:", "bearer", "iam", "token:"];

// === impl Explained ===

impl Explained {
    /// Of the token in the text: bare, behind `Bearer` or as a whole header, as `ibmcloud iam oauth-tokens` prints it, or
    /// in JSON.
    pub(super) fn of(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Self::of_token(bare(text));
        }
        let carrier: Carrier = serde_json::from_str(text).map_err(|_| Unreadable::NoTokenInJson)?;
        let login = carrier.auths.into_values().next().map(|login| login.password);
        let token = carrier.access_token.or(carrier.iam_token).or(login).ok_or(Unreadable::NoTokenInJson)?;
        Self::of_token(bare(token.expose_secret()))
    }

    fn of_token(token: &str) -> Result<Self, Unreadable> {
        let parts: Vec<&str> = token.split('.').collect();
        match parts.as_slice() {
            [""] => Err(Unreadable::Empty),
            [header, claims, _signature] => Ok(Self { header: object(header)?, claims: object(claims)? }),
            [_, _, _, _, _] => Err(Unreadable::Encrypted),
            _ => Err(Unreadable::NotJwt),
        }
    }

    /// A claim that is a time (RFC 7519: seconds since 1970).
    pub(super) fn time(&self, claim: &str) -> Option<Timestamp> {
        Timestamp::from_second(self.claims.get(claim)?.as_i64()?).ok()
    }

    /// A claim, or one inside of another, that is text.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.claims.get(*first)?, |value, key| value.get(key))?.as_str()
    }

    /// Whether it says that it is good no more.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.time("exp").is_some_and(|at| at <= now)
    }
}

/// What stands behind the words that may stand before a token; all of it where there are others.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let Some((before, token)) = text.rsplit_once(char::is_whitespace) else { return text };
    let known = |word: &str| BEFORE.contains(&word.to_ascii_lowercase().as_str());
    if before.split_whitespace().all(known) { token } else { text }
}

fn object(part: &str) -> Result<Map<String, Value>, Unreadable> {
    let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| Unreadable::Garbled)?;
    serde_json::from_slice(&Zeroizing::new(json)).map_err(|_| Unreadable::Garbled)
}

// === impl Unreadable ===

impl fmt::Display for Unreadable {
    /// What stands behind "the value".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty. Give it a token.",
            Self::NoTokenInJson => {
                "is JSON without access_token or iam_token. Give it IAM's answer, or the token alone."
            }
            Self::NotJwt => "is no token: a JWT has three parts with dots between them. Is it an API key?",
            Self::Encrypted => "is an encrypted token, which only its reader can explain.",
            Self::Garbled => "is no token: its first parts are no JSON in base64url. Was it cut off?",
        })
    }
}

#[cfg(test)]
pub(super) fn sample(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&serde_json::json!({"alg": "RS256", "kid": "20261125"}));
    format!("{header}.{}.FAKE-signature", part(claims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_found_in_each_form_that_carries_one() {
        let token = sample(&json!({"iam_id": "iam-ServiceId-1"}));
        for text in [
            token.clone(),
            format!("  {token}\r\n"),
            format!("Bearer {token}"),
            format!("bearer {token}"),
            format!("Authorization: Bearer {token}\n"),
            format!("IAM token:  Bearer {token}\n"),
            json!({"access_token": token, "expires_in": 3600}).to_string(),
            json!({"iam_token": format!("Bearer {token}")}).to_string(),
            json!({"auths": {"us.icr.io": {"username": "iambearer", "password": token}}}).to_string(),
        ] {
            let explained = Explained::of(&text).unwrap();
            assert_eq!(explained.text(&["iam_id"]), Some("iam-ServiceId-1"));
            assert_eq!(explained.header["kid"], "20261125");
        }
    }

    #[test]
    fn the_signature_is_nowhere() {
        let explained = Explained::of(&sample(&json!({"sub": "s"}))).unwrap();
        assert!(!format!("{explained:?}{}", serde_json::to_string(&explained).unwrap()).contains("FAKE"));
    }

    #[test]
    fn what_is_no_token_is_said_without_repeating_it() {
        for (text, expected) in [
            ("", Unreadable::Empty),
            ("FAKE-api-key", Unreadable::NotJwt),
            ("FAKE a.b.c", Unreadable::Garbled),
            ("FAKE.b.c", Unreadable::Garbled),
            ("e30.W10.FAKE", Unreadable::Garbled),
            ("FAKE.b.c.d.e", Unreadable::Encrypted),
            (r#"{"apikey": "FAKE"}"#, Unreadable::NoTokenInJson),
            (r#"{"access_token": FAKE"#, Unreadable::NoTokenInJson),
        ] {
            assert_eq!(Explained::of(text), Err(expected), "{text}");
            assert!(!expected.to_string().contains("FAKE"));
        }
    }

    #[test]
    fn times_are_read_and_what_makes_no_sense_is_none() {
        let explained = Explained::of(&sample(&json!({"exp": 100, "iat": "soon", "nbf": i64::MAX}))).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!((explained.time("exp"), explained.time("iat"), explained.time("nbf")), (Some(at(100)), None, None));
        assert!(explained.has_expired(at(100)) && !explained.has_expired(at(99)));
    }
}
