//! Digests that are kept in place of what may not be kept.

use ring::{digest, hmac};
use serde::Serialize;

use super::short::Short;

/// A keyed digest of a secret, 32 hex digits. The key is the uid of the `IamToken` that it belongs to, so that equal
/// secrets of two `IamTokens` do not look equal.
#[must_use]
pub fn of_secret(uid: &str, secret: &str) -> Short {
    let key = hmac::Key::new(hmac::HMAC_SHA256, uid.as_bytes());
    hex(&hmac::sign(&key, secret.as_bytes()).as_ref()[..16]).into()
}

/// A digest of a value as JSON, 16 hex digits; the same in every process and version as long as the JSON is.
#[must_use]
pub fn of_json(value: &impl Serialize) -> Short {
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex(&digest::digest(&digest::SHA256, &json).as_ref()[..8]).into()
}

/// The full SHA-256 of some parts, each ended so that no two lists of parts look alike.
#[must_use]
pub fn of_parts(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of_parts(&["ab", "c"]), of_parts(&["a", "bc"]));
        assert_eq!(of_parts(&["ab", "c"]), of_parts(&["ab", "c"]));
    }

    #[test]
    fn a_secret_looks_different_to_each_owner() {
        assert_ne!(of_secret("uid-1", "FAKE-secret"), of_secret("uid-2", "FAKE-secret"));
        assert_eq!(of_secret("uid-1", "FAKE-secret").to_string().len(), 32);
    }
}
