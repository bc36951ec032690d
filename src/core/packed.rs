//! JSON that is kept small: compressed against what most of it looks like, which leaves a third.

use lz4_flex::block::{compress_with_dict, decompress_with_dict};

/// What the specs and statuses of most `IamTokens` have in common, as the API server sends them.
const LIKELY: &str = concat!(
    r#"{"credentialRef":{"name":""}{"apiKeySecretRef":{"key":"apikey","name":""},"endpoint":"https://iam.cloud.ibm.com","#,
    r#""renewBefore":"20%","suspend":true,"target":{"data":[{"format":"Token","key":"token"}],"labels":{"}}"#,
    r#"{"apiKeyExpiresAt":"2026-10-01T00:00:00Z","conditions":[{"lastTransitionTime":"2026-11-01T00:00:00Z","message":"#,
    r#""The token is valid until 2026-12-01T00:00:00Z, but all is not well. ","observedGeneration":1,"reason":""#,
    r#"RefreshFailing","status":"True","type":"Reconciling"},{"lastTransitionTime":"2027-01-01T00:00:00Z","message":"#,
    r#""The token is valid until 2027-02-01T00:00:00Z.","observedGeneration":1,"reason":"TokenValid","status":"True","#,
    r#""type":"Ready"}],"expiresAt":"2027-03-01T00:00:00Z","identity":{"accountId":"","iamId":"iam-ServiceId-","#,
    r#""subjectType":"ServiceId"},"observedGeneration":1,"refreshAt":"2027-04-01T00:00:00Z","refreshedAt":"#,
    r#""2027-05-01T00:00:00Z","target":{"name":""}}"#,
);

/// A text, compressed.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// How long the text is, in bytes.
    length: u32,
}

// === impl Packed ===

impl Packed {
    /// The text, packed. One that is longer than 4 GiB, which no API server takes, is as an empty one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or_default();
        let bytes = compress_with_dict(&text.as_bytes()[..length as usize], LIKELY.as_bytes());
        Self { bytes: bytes.into_boxed_slice(), length }
    }

    /// The text. Never empty but where it was.
    #[must_use]
    pub fn unpack(&self) -> String {
        let bytes = decompress_with_dict(&self.bytes, self.length as usize, LIKELY.as_bytes());
        bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in ["", "{", "é", LIKELY, &LIKELY[7..40], &"0123456789".repeat(10_000)] {
            assert_eq!(Packed::new(text).unpack(), text);
        }
        let mut chance = fastrand::Rng::with_seed(1);
        for length in 0..2000 {
            let text: String = std::iter::repeat_with(|| chance.alphanumeric()).take(length).collect();
            assert_eq!(Packed::new(&text).unpack(), text);
        }
    }

    #[test]
    fn what_most_look_like_is_small() {
        let status = concat!(
            r#"{"conditions":[{"lastTransitionTime":"2026-11-27T09:41:07Z","message":"The token is valid until "#,
            r#"2026-11-27T15:20:33Z.","observedGeneration":1,"reason":"TokenValid","status":"True","type":"Ready"}],"#,
            r#""expiresAt":"2026-11-27T15:20:33Z","identity":{"accountId":"5f9c6b2a1e0d4c7f8a3b2d1e0f9c8b7a","iamId":"#,
            r#""iam-ServiceId-1c7e9a52-3b4d-4f6e-8a90-b1c2d3e4f5a6","subjectType":"ServiceId"},"observedGeneration":1,"#,
            r#""refreshAt":"2026-11-27T15:08:12Z","refreshedAt":"2026-11-27T14:20:33Z","target":{"name":"hpcs-token"}}"#,
        );
        let packed = Packed::new(status).bytes.len();
        assert!(packed * 5 < status.len() * 2, "{packed} of {}", status.len());
    }
}
