//! From the value in a source Secret to an API key.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The largest value that is read as a key, in bytes. IBM Cloud API keys have 44.
pub const LARGEST_VALUE: usize = 4096;

/// Why a value is no API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// Over [`LARGEST_VALUE`].
    #[error("is over 4 KiB, which no API key is")]
    TooLarge,
    /// Not text.
    #[error("is not UTF-8 text (was it encoded twice?)")]
    NotUtf8,
    /// It begins as JSON and does not go on so.
    #[error("looks like JSON but is not")]
    BadJson,
    /// A JSON object without a text in `apikey`.
    #[error("is JSON without an \"apikey\" text")]
    NoApiKeyInJson,
    /// An ibm-credentials.env without a line for the key.
    #[error("is an ibm-credentials.env without IBMCLOUD_APIKEY or another *_APIKEY line")]
    NoApiKeyInEnv,
    /// White space, control or non-ASCII characters inside.
    #[error("has characters that no API key has")]
    BadCharacters,
}

/// The field that both `ibmcloud iam api-key-create --file` and service credentials keep the key in.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(default)]
    apikey: Option<SecretString>,
}

/// Reads a raw key, a key file or service credential (JSON), or an `ibm-credentials.env`. Surrounding white space,
/// which editors and `kubectl --from-file` add, is dropped.
///
/// # Errors
/// [`KeyProblem`] says what the value is instead. No error holds any part of it.
pub fn parse(value: &[u8]) -> Result<SecretString, KeyProblem> {
    if value.len() > LARGEST_VALUE {
        return Err(KeyProblem::TooLarge);
    }
    let text = std::str::from_utf8(value).map_err(|_| KeyProblem::NotUtf8)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let key = if text.starts_with('{') {
        from_json(text)?
    } else if text.contains('=') || text.starts_with('#') {
        from_env(text)?
    } else {
        SecretString::from(text)
    };
    check(key.expose_secret())?;
    Ok(key)
}

fn from_json(text: &str) -> Result<SecretString, KeyProblem> {
    let file = serde_json::from_str::<KeyFile>(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => KeyProblem::NoApiKeyInJson,
        _ => KeyProblem::BadJson,
    })?;
    let key = file.apikey.ok_or(KeyProblem::NoApiKeyInJson)?;
    Ok(SecretString::from(key.expose_secret().trim()))
}

/// `IBMCLOUD_APIKEY` (IBM/secret-utils-lib) or the SDKs' `<SERVICE>_APIKEY` (IBM/go-sdk-core, `core/config_utils.go`).
fn from_env(text: &str) -> Result<SecretString, KeyProblem> {
    let lines = || {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
    };
    let named = lines().find(|(name, _)| name.eq_ignore_ascii_case("IBMCLOUD_APIKEY"));
    let any = || lines().find(|(name, _)| name.to_ascii_uppercase().ends_with("_APIKEY"));
    let (_, value) = named.or_else(any).ok_or(KeyProblem::NoApiKeyInEnv)?;
    Ok(SecretString::from(value))
}

fn check(key: &str) -> Result<(), KeyProblem> {
    if key.is_empty() {
        return Err(KeyProblem::Empty);
    }
    key.bytes().all(|b| b.is_ascii_graphic()).then_some(()).ok_or(KeyProblem::BadCharacters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "FAKE-key_0123456789012345678901234567890123";

    fn read(value: impl AsRef<[u8]>) -> Result<String, KeyProblem> {
        parse(value.as_ref()).map(|key| key.expose_secret().to_owned())
    }

    #[test]
    fn reads_every_form() {
        for value in [
            KEY.to_owned(),
            format!("  {KEY}\r\n"),
            format!("\u{feff}{KEY}"),
            format!(r#"{{"name":"k","description":"","apikey":"{KEY}","iam_id":"iam-ServiceId-1"}}"#),
            format!(r#"{{"apikey":"{KEY}\n","iam_apikey_name":"n","iam_role_crn":"crn:v1"}}"#),
            format!("IBMCLOUD_AUTHTYPE=iam\nIBMCLOUD_APIKEY={KEY}\n"),
            format!("# comment = x\n HPCS_AUTH_TYPE = iam \n HPCS_APIKEY = {KEY} \r\n"),
            format!("OTHER_APIKEY=wrong\nIBMCLOUD_APIKEY={KEY}"),
        ] {
            assert_eq!(read(&value).as_deref(), Ok(KEY), "{value}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let table: [(&[u8], KeyProblem); 10] = [
            (b"", KeyProblem::Empty),
            (b" \n", KeyProblem::Empty),
            (b"IBMCLOUD_APIKEY=", KeyProblem::Empty),
            (b"\xff\xfe", KeyProblem::NotUtf8),
            (b"{\"name\":\"x\"}", KeyProblem::NoApiKeyInJson),
            (b"{\"apikey\":5}", KeyProblem::NoApiKeyInJson),
            (b"{\"apikey\":\"x", KeyProblem::BadJson),
            (b"IBMCLOUD_AUTHTYPE=iam\nIBMCLOUD_PROFILEID=p", KeyProblem::NoApiKeyInEnv),
            (b"two words", KeyProblem::BadCharacters),
            ("k\u{e9}y".as_bytes(), KeyProblem::BadCharacters),
        ];
        for (value, problem) in table {
            assert_eq!(read(value), Err(problem), "{value:?}");
        }
        assert_eq!(read(vec![b'x'; LARGEST_VALUE + 1]), Err(KeyProblem::TooLarge));
        assert!(read(vec![b'x'; LARGEST_VALUE]).is_ok());
    }
}
