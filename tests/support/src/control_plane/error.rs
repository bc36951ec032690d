//! What went wrong, in words.

use std::fmt;

/// Why a control plane does not run; where one of its processes is to blame, with the end of its log.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Another process took a port between choosing it and listening on it.
    pub(super) fn is_port_conflict(&self) -> bool {
        self.0.contains("address already in use")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self(format!("cannot make a certificate: {error}"))
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self(error.to_string())
    }
}
