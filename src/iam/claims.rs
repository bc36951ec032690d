//! What a token says of itself. Read without verifying and at best effort: IBM asks that tokens be treated as opaque.

use serde::Deserialize;

use crate::api::Identity;
use crate::core::jwt;

/// The few claims that are shown. Names and e-mail addresses are not.
#[derive(Deserialize, Default)]
struct Claims {
    #[serde(default)]
    iam_id: Option<String>,
    #[serde(default)]
    sub_type: Option<String>,
    #[serde(default)]
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    bss: Option<String>,
}

/// Whose token it is; every part that cannot be read, or is no plain word of at most 128 characters, is missing.
#[must_use]
pub fn identity(token: &str) -> Identity {
    let claims = read(token).unwrap_or_default();
    Identity {
        // The claim is absent from users' tokens.
        subject_type: claims.sub_type.or_else(|| claims.iam_id.as_ref().map(|_| "User".to_owned())).and_then(plain),
        iam_id: claims.iam_id.and_then(plain),
        account_id: claims.account.and_then(|account| account.bss).and_then(plain),
    }
}

fn read(token: &str) -> Option<Claims> {
    serde_json::from_slice(&jwt::payload(token)?).ok()
}

fn plain(word: String) -> Option<String> {
    let fits = !word.is_empty() && word.len() <= 128;
    (fits && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))).then_some(word)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn reads_a_service_id() {
        let claims =
            r#"{"iam_id":"iam-ServiceId-1","sub_type":"ServiceId","account":{"valid":true,"bss":"0123"},"exp":1}"#;
        let identity = identity(&token(claims));
        assert_eq!(identity.iam_id.as_deref(), Some("iam-ServiceId-1"));
        assert_eq!(identity.subject_type.as_deref(), Some("ServiceId"));
        assert_eq!(identity.account_id.as_deref(), Some("0123"));
    }

    #[test]
    fn a_user_has_no_subject_type_of_its_own() {
        assert_eq!(identity(&token(r#"{"iam_id":"IBMid-1"}"#)).subject_type.as_deref(), Some("User"));
    }

    #[test]
    fn what_cannot_be_read_is_missing() {
        for text in
            ["", "opaque", "a.b.c", &token("[]"), &token(r#"{"iam_id":"two words"}"#), &token(r#"{"account":7}"#)]
        {
            assert_eq!(identity(text).iam_id, None, "{text}");
        }
    }
}
