//! The certificate that scrapes are answered with: a folder with `tls.crt` and `tls.key` in PEM, as kubelet mounts a Secret
//! of type `kubernetes.io/tls`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::core::digest;

/// The files, by the names that Kubernetes gives them.
const FILES: [&str; 2] = ["tls.crt", "tls.key"];

/// The largest file that is read, in bytes: that of a Secret.
const LARGEST_FILE: u64 = 1 << 20;

/// A certificate that is taken up anew when its files change.
pub struct Certificate {
    folder: PathBuf,
    made: Mutex<Made>,
}

/// What the files came to last.
struct Made {
    config: Arc<ServerConfig>,
    /// Of the files' content then.
    digest: [u8; 32],
    /// What is wrong with them since, as it was told.
    told: Option<String>,
}

/// Why a folder holds no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is not there, may not be read or is no text.
    #[error(
        "{0}: {1}: the folder must hold tls.crt and tls.key in PEM, as a Secret of type kubernetes.io/tls is mounted"
    )]
    Unreadable(&'static str, io::Error),
    /// `tls.crt` holds no certificate, or a broken one.
    #[error("tls.crt holds no certificate in PEM: put the server's there, and after it those that it is signed by")]
    NoCertificate,
    /// `tls.key` holds no private key.
    #[error("tls.key holds no private key in PEM: put the key of tls.crt there")]
    NoKey,
    /// They are of no use together.
    #[error("tls.crt and tls.key are of no use together ({0}): put a certificate and its own key there")]
    NoPair(rustls::Error),
}

// === impl Certificate ===

impl Certificate {
    /// That of this folder. The files are read anew for each connection.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn of(folder: PathBuf) -> Result<Self, CertificateError> {
        let content = read(&folder)?;
        let made = Made { config: make(&content)?, digest: digest_of(&content), told: None };
        Ok(Self { folder, made: Mutex::new(made) })
    }

    /// Answers with what the files hold now; with what they held before, where that is of no use.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.display();
        let renewed = read(&self.folder).and_then(|content| {
            let digest = digest_of(&content);
            let config = (digest != made.digest).then(|| make(&content)).transpose()?;
            Ok(config.map(|config| Made { config, digest, told: None }))
        });
        match renewed {
            Ok(Some(new)) => {
                info!("--metrics-cert-path {path}: it has changed, and scrapes are answered with what it holds now");
                *made = new;
            }
            Ok(None) => made.told = None,
            Err(error) => {
                let told = Some(error.to_string());
                if made.told != told {
                    warn!("--metrics-cert-path {path}: {error}. Scrapes are answered with what it held before");
                    made.told = told;
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&made.config))
    }
}

type Content = [Zeroizing<String>; 2];

/// Both files. kubelet lays a new pair into a new folder and turns the link `..data` there, so one look at the link keeps
/// the two together.
fn read(folder: &Path) -> Result<Content, CertificateError> {
    let folder = fs::canonicalize(folder.join("..data")).unwrap_or_else(|_| folder.to_owned());
    let file = |name: &'static str| {
        let mut content = Zeroizing::new(String::new());
        let read = File::open(folder.join(name)).and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut content));
        read.map(|_| content).map_err(|error| CertificateError::Unreadable(name, error))
    };
    Ok([file(FILES[0])?, file(FILES[1])?])
}

/// TLS 1.2 or later, HTTP/1.1.
fn make([certificates, key]: &Content) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CertificateError::NoKey)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(CertificateError::NoPair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn digest_of(content: &Content) -> [u8; 32] {
    digest::of_parts(&[&content[0], &content[1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::certificate::{Authority, Pair};

    fn pair() -> Pair {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Authority::new("scrapes").unwrap().server(&["localhost"]).unwrap()
    }

    /// What is wrong with these two files.
    fn complaint(certificate: &str, key: &str) -> String {
        let content = [certificate.to_owned().into(), key.to_owned().into()];
        make(&content).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_pair_is_taken_and_each_other_two_files_get_their_complaint() {
        let (one, other) = (pair(), pair());
        assert_eq!(complaint(&one.certificate, &one.key), "");
        for (certificate, key, words) in [
            ("", one.key.as_str(), "tls.crt holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &one.key, "tls.crt holds no certificate"),
            (&one.certificate, "", "tls.key holds no private key"),
            (&one.certificate, &one.certificate, "tls.key holds no private key"),
            (&one.certificate, &other.key, "are of no use together"),
        ] {
            let complaint = complaint(certificate, key);
            assert!(complaint.contains(words), "{complaint}");
            assert!(!complaint.contains("PRIVATE KEY"));
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Certificate::of("/no-such-folder".into()).err().unwrap().to_string();
        assert!(error.starts_with("tls.crt: No such file"), "{error}");
    }
}
