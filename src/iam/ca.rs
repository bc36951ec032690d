//! CAs of the admin's own, which IAM may be signed by beside the system's: a file of certificates in PEM.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The largest file that is read, in bytes. All CAs that Mozilla trusts have about 220,000.
const LARGEST_FILE: usize = 1 << 20;

/// A file of CAs.
#[derive(Clone, Debug)]
pub struct CaFile(PathBuf);

/// Why a file holds no CAs.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// It is not there, or may not be read.
    #[error("{0}: name a file that the operator may read, with the CA's certificates in PEM")]
    Unreadable(io::Error),
    /// It is larger than any file of CAs.
    #[error("it is over 1 MiB: name a file of the CA's certificates alone")]
    TooLarge,
    /// It holds nothing between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`, such as one in DER.
    #[error(
        "it holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----: put the CA's there (one in DER \
         becomes PEM by openssl x509 -inform der)"
    )]
    NoPem,
    /// One of its certificates, counted from 1, is none.
    #[error("certificate {0} in it is broken: put the CA's certificate there once more, whole")]
    Broken(usize),
}

// === impl CaFile ===

impl CaFile {
    /// The file of this path, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it holds now.
    ///
    /// # Errors
    /// [`CaError::Unreadable`] and [`CaError::TooLarge`].
    pub fn read(&self) -> Result<Vec<u8>, CaError> {
        let mut content = vec![];
        let file = File::open(&self.0).map_err(CaError::Unreadable)?;
        file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut content).map_err(CaError::Unreadable)?;
        if content.len() > LARGEST_FILE { Err(CaError::TooLarge) } else { Ok(content) }
    }
}

/// The certificates in a file of this content. Whatever else it holds in PEM is left out.
///
/// # Errors
/// [`CaError::NoPem`] and [`CaError::Broken`].
pub fn certificates(content: &[u8]) -> Result<Vec<Certificate>, CaError> {
    let mut certificates = vec![];
    for (number, der) in CertificateDer::pem_slice_iter(content).enumerate() {
        let broken = || CaError::Broken(number + 1);
        let der = der.map_err(|_| broken())?;
        certificates.push(Certificate::from_der(&der).map_err(|_| broken())?);
        RootCertStore::empty().add(der).map_err(|_| broken())?;
    }
    if certificates.is_empty() { Err(CaError::NoPem) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fake_iam::FakeIam;

    fn read(content: &[u8]) -> Result<usize, String> {
        certificates(content).map(|certificates| certificates.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn certificates_are_found_among_whatever_stands_beside_them() {
        let [one, two] = [(); 2].map(|()| FakeIam::start_tls().ca_pem().unwrap().to_owned());
        assert_eq!(read(one.as_bytes()), Ok(1));
        assert_eq!(read(format!("# ours\r\n{one}\n\nand the next:\n{two}").as_bytes()), Ok(2));
    }

    #[test]
    fn what_is_no_certificate_in_pem_is_refused() {
        let ca = FakeIam::start_tls().ca_pem().unwrap().to_owned();
        let key = ca.replace("CERTIFICATE", "PRIVATE KEY");
        for content in [b"".as_slice(), b"\n", b"no PEM", b"\x30\x82\x01\x0a", key.as_bytes()] {
            let complaint = read(content).unwrap_err();
            assert!(complaint.starts_with("it holds no certificate in PEM"), "{complaint}");
        }
        let cut = &ca[..ca.len() / 2];
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, number) in [(hollow.to_owned(), 1), (format!("{ca}{hollow}"), 2), (format!("{ca}{cut}"), 2)] {
            let complaint = read(content.as_bytes()).unwrap_err();
            assert!(complaint.starts_with(&format!("certificate {number} in it is broken")), "{complaint}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        for path in ["/no-such-file", "/"] {
            let error = CaFile::new(path.into()).read().unwrap_err();
            assert!(matches!(error, CaError::Unreadable(_)), "{error}");
        }
        assert!(matches!(CaFile::new("/dev/zero".into()).read(), Err(CaError::TooLarge)));
    }
}
