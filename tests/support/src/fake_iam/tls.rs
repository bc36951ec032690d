//! What the fake needs to speak TLS.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Authority;

/// What https needs.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// The authority's certificate, which no system trusts.
    pub(crate) ca_pem: String,
}

/// A server certificate for `names` (DNS names or addresses), signed by an authority made for it.
pub(crate) fn self_signed(names: &[String]) -> Result<Tls, Box<dyn std::error::Error + Send + Sync>> {
    let authority = Authority::new("fake IAM")?;
    let pair = authority.server(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: authority.pem })
}
