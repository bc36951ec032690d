//! The key that the fake signs its tokens with, and the check that a service makes of them.
//!
//! IBM Cloud IAM signs access tokens with RS256 and publishes the public keys as a JWK set at `/identity/keys`; services
//! check a token by signature and expiry alone (IBM Cloud docs, account: "Invoking IBM Cloud service APIs").

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::OsRng;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Value, json};

/// An RSA key pair of 2048 bits, made when the process starts and never stored.
pub struct SigningKey {
    pair: RsaKeyPair,
    kid: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// Why a token was refused, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three base64url parts with JSON objects in the first two.
    Malformed,
    /// Another `alg` or `kid` than this key's.
    OtherKey,
    /// The signature is not this key's.
    Signature,
    /// `iss` is not the expected issuer.
    Issuer,
    /// `exp` is missing or has passed.
    Expired,
}

impl SigningKey {
    /// A new key pair. Takes some tenths of a second; [`SigningKey::of_this_process`] makes only one.
    ///
    /// # Panics
    /// When the system gives no random numbers.
    pub fn generate() -> Self {
        let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).expect("an RSA key is generated");
        // ring wants the larger prime first.
        let mut primes = key.primes().to_vec();
        primes.sort_by(|one, other| other.cmp(one));
        let key = rsa::RsaPrivateKey::from_components(key.n().clone(), key.e().clone(), key.d().clone(), primes)
            .expect("the same key with its primes in order");
        let document = key.to_pkcs8_der().expect("an RSA key has a PKCS#8 form");
        let pair = RsaKeyPair::from_pkcs8(document.as_bytes()).expect("a fresh RSA key is well-formed");
        let (modulus, exponent) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        let kid = hex(&digest::digest(&digest::SHA256, &modulus).as_ref()[..8]);
        Self { pair, kid, modulus, exponent }
    }

    /// The one key pair that all fakes of this process share unless told otherwise.
    pub fn of_this_process() -> Arc<Self> {
        static KEY: OnceLock<Arc<SigningKey>> = OnceLock::new();
        Arc::clone(KEY.get_or_init(|| Arc::new(Self::generate())))
    }

    /// The key's id, as in the header of a token and in the JWK set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims as a compact JWT, signed RS256.
    ///
    /// # Panics
    /// When signing fails, which a well-formed key doesn't.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"kid": self.kid, "alg": "RS256"});
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .expect("a well-formed key signs");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that this key signed for `issuer` and that is valid at `now` (seconds since the epoch).
    pub fn verify(&self, token: &str, issuer: &str, now: i64) -> Result<Value, TokenError> {
        let claims = self.verify_signature(token)?;
        if claims["iss"].as_str() != Some(issuer) {
            return Err(TokenError::Issuer);
        }
        match claims["exp"].as_i64() {
            Some(exp) if exp > now => Ok(claims),
            _ => Err(TokenError::Expired),
        }
    }

    fn verify_signature(&self, token: &str) -> Result<Value, TokenError> {
        let (text, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = text.split_once('.').ok_or(TokenError::Malformed)?;
        let header = decode_object(header)?;
        if header["alg"] != "RS256" || header["kid"] != self.kid {
            return Err(TokenError::OtherKey);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent }
            .verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        decode_object(claims)
    }

    /// The JWK set with this key's public half.
    pub fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "RSA",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        }]})
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The claims of a JWT, without any check of its signature.
pub fn claims_unverified(token: &str) -> Result<Value, TokenError> {
    decode_object(token.split('.').nth(1).ok_or(TokenError::Malformed)?)
}

fn decode_object(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    match serde_json::from_slice(&bytes) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(TokenError::Malformed),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a text.
pub(crate) fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// A random number of `bytes` bytes, in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> String {
    use ring::rand::SecureRandom as _;
    let mut value = vec![0; bytes];
    SystemRandom::new().fill(&mut value).expect("the system gives random numbers");
    hex(&value)
}
