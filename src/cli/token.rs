use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Error, print};
use crate::clock::SystemClock;
use crate::core::credential::{self, LARGEST_VALUE};
use crate::core::endpoint::Endpoint;
use crate::core::failure::{Failure, Kind};
use crate::iam::client::IamClient;
use crate::iam::{Ask, Credential, Exchange as _};

const VARIABLE: &str = "IBMCLOUD_API_KEY";

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The file that holds the API key (raw, as `ibmcloud iam api-key-create --file` writes it, or an
    /// ibm-credentials.env); - reads standard input
    #[arg(long, value_name = "FILE")]
    apikey_file: Option<PathBuf>,

    /// The IAM endpoint
    #[arg(long, env = "IBMCLOUD_IAM_API_ENDPOINT", default_value = "https://iam.cloud.ibm.com", value_name = "URL")]
    endpoint: String,

    /// The account that the token must be of
    #[arg(long, value_name = "ID")]
    account_id: Option<String>,

    /// raw: the bare token; header: an Authorization header for `curl -H @FILE`; json: as `ibmcloud iam oauth-tokens
    /// --output json`. Without it, as `ibmcloud iam oauth-tokens`
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Output>,

    /// For development only: allow an endpoint with http, over which the key travels in the clear
    #[arg(long, env = "IAM_TOKEN_OPERATOR_ALLOW_INSECURE_HTTP")]
    allow_insecure_http: bool,

    /// Taken so that it can be refused without being repeated: it may be a key
    #[arg(hide = true)]
    argument: Vec<SecretString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Raw,
    Json,
    Header,
}

// === impl Token ===

impl Token {
    pub(super) async fn run(self) -> Result<(), Error> {
        if !self.argument.is_empty() {
            return Err(Error::Usage(format!("token takes no argument: put the key into a file or into {VARIABLE}")));
        }
        let endpoint = Endpoint::parse(&self.endpoint, self.allow_insecure_http)
            .map_err(|error| format!("--endpoint {}: it {error}", self.endpoint))?;
        let (origin, value) = self.value()?;
        let api_key = credential::parse(&value)
            .map_err(|problem| format!("{origin} {problem}. Put an IBM Cloud API key there."))?;
        let client = IamClient::new(Arc::new(SystemClock), self.allow_insecure_http)?;
        let ask = Ask { endpoint, credential: Credential::ApiKey(api_key), profile: None, account_id: self.account_id };
        let grant = client.exchange(ask).await.map_err(|failure| told(&failure))?;
        let token = grant.token.expose_secret();
        print(&Zeroizing::new(match self.output {
            None => format!("IAM token:  Bearer {token}\n"),
            Some(Output::Raw) => format!("{token}\n"),
            Some(Output::Json) => format!("{}\n", json!({"iam_token": format!("Bearer {token}")})),
            Some(Output::Header) => format!("Authorization: Bearer {token}\n"),
        }))
    }

    /// Where the key comes from, in words, and what is there.
    fn value(&self) -> Result<(String, Zeroizing<Vec<u8>>), Error> {
        if let Some(file) = &self.apikey_file {
            return read(file);
        }
        let given = std::env::var(VARIABLE).map(Zeroizing::new).map_err(|_| {
            format!("no API key: give its file with --apikey-file (- for standard input), or set {VARIABLE}")
        })?;
        match given.strip_prefix('@') {
            Some(file) => read(Path::new(file)),
            None => Ok((format!("The value of {VARIABLE}"), Zeroizing::new(given.as_bytes().to_vec()))),
        }
    }
}

/// What went wrong and what to do, for somebody at a terminal.
fn told(failure: &Failure) -> String {
    let action = match failure.kind {
        Kind::Unreachable(_) => "Check --endpoint, the network and the proxy",
        Kind::Untrusted => "Name the CA that signed it in SSL_CERT_FILE, or find out who answers in IAM's place",
        Kind::Unavailable(_) | Kind::Throttled(_) | Kind::Paced(_) | Kind::Unusable(_) => "Try again later",
        Kind::Redirected | Kind::RequestRejected => "Check --endpoint",
        Kind::Rejected(_) => "Use a valid key (ibmcloud iam service-api-key-create)",
        Kind::OtherAccount => "Use a key of that account, or correct --account-id",
    };
    failure.with_action(action)
}

/// At most one byte more than any key may have.
fn read(file: &Path) -> Result<(String, Zeroizing<Vec<u8>>), Error> {
    let limit = LARGEST_VALUE as u64 + 1;
    let mut value = Zeroizing::new(Vec::with_capacity(LARGEST_VALUE + 1));
    if file.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_end(&mut value)?;
        return Ok(("The standard input".into(), value));
    }
    let open = std::fs::File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
    open.take(limit).read_to_end(&mut value).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((format!("The content of {}", file.display()), value))
}
