//! Who asks, and how: clients and kubeconfigs.

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::{Client, Config, config::AuthInfo};
use serde_json::{Value, json};

use super::{Error, pki::Pair};

/// Where the API server is, and how to know that it is the right one.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) authority_pem: String,
    pub(super) authority_der: Vec<u8>,
}

/// What a request proves who it is from with.
#[derive(Debug)]
pub(super) enum Identity {
    /// A user, by a client certificate.
    Certificate(Pair),
    /// A ServiceAccount, by a bearer token.
    Token(String),
}

impl Endpoint {
    /// A client of its own, bound to the current tokio runtime. It repeats no failed request.
    pub(super) fn client(&self, identity: &Identity) -> Result<Client, Error> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = self.url.parse().map_err(|e| Error::new(format!("{}: {e}", self.url)))?;
        let mut config = Config::new(url);
        config.root_cert = Some(vec![self.authority_der.clone()]);
        config.auth_info = identity.auth_info();
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// Writes a kubeconfig that only this user may read.
    pub(super) fn write_kubeconfig(&self, identity: &Identity, path: &Path) -> Result<(), Error> {
        let content = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url,
                "certificate-authority-data": BASE64_STANDARD.encode(&self.authority_pem),
            }}],
            "users": [{"name": "test", "user": identity.kubeconfig_user()}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        write_private(path, &content.to_string())
    }
}

impl Identity {
    fn auth_info(&self) -> AuthInfo {
        match self {
            Self::Certificate(pair) => AuthInfo {
                client_certificate_data: Some(BASE64_STANDARD.encode(&pair.certificate)),
                client_key_data: Some(BASE64_STANDARD.encode(&pair.key).into()),
                ..AuthInfo::default()
            },
            Self::Token(token) => AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() },
        }
    }

    fn kubeconfig_user(&self) -> Value {
        match self {
            Self::Certificate(pair) => json!({
                "client-certificate-data": BASE64_STANDARD.encode(&pair.certificate),
                "client-key-data": BASE64_STANDARD.encode(&pair.key),
            }),
            Self::Token(token) => json!({"token": token}),
        }
    }
}

/// Writes a file that only this user may read.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
    Ok(file.write_all(content.as_bytes())?)
}
