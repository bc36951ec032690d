//! What a token says of itself, as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The payload of a JSON Web Token (RFC 7519), not verified: IBM asks that tokens be treated as opaque.
#[must_use]
pub fn payload(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let payload = token.split('.').nth(1)?;
    URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok().map(Zeroizing::new)
}
