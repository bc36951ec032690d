use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Error, iam_client, print};
use crate::core::asker::Profile;
use crate::core::credential::{self, LARGEST_VALUE};
use crate::core::endpoint::Endpoint;
use crate::core::failure::{Cause, Failure, Kind, Verdict};
use crate::core::view::Key;
use crate::iam::{Ask, Credential, Exchange as _};

const VARIABLE: &str = "IBMCLOUD_API_KEY";

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The file that holds the API key (raw, as `ibmcloud iam api-key-create --file` writes it, or an
    /// ibm-credentials.env); - reads standard input
    #[arg(long, value_name = "FILE")]
    apikey_file: Option<PathBuf>,

    /// The same as --apikey-file FILE, as `ibmcloud login` has it
    #[arg(long, value_name = "@FILE", conflicts_with = "apikey_file")]
    apikey: Option<SecretString>,

    /// In place of an API key: the file with a token of this pod's ServiceAccount for the audience iam, as a projected
    /// volume gives it; needs --trusted-profile
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apikey_file", "apikey"], requires = "trusted_profile")]
    cr_token_file: Option<PathBuf>,

    /// The trusted profile that the credential becomes: its id (Profile-…), CRN or name; a name with an API key needs
    /// --account-id
    #[arg(long, value_name = "PROFILE", value_parser = NonEmptyStringValueParser::new())]
    trusted_profile: Option<String>,

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

    /// A file of CA certificates in PEM that IAM may be signed by, beside those of the system
    #[arg(long, env = "IAM_TOKEN_OPERATOR_IAM_CA_FILE", value_name = "FILE")]
    iam_ca_file: Option<PathBuf>,

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
        let credential = self.credential()?;
        let profile = self.trusted_profile.as_deref().map(profile);
        if let (Credential::ApiKey(_), Some(Profile::Name(_)), None) = (&credential, &profile, &self.account_id) {
            return Err(Error::Usage("--trusted-profile by name needs --account-id: give that, or the id".into()));
        }
        let client = iam_client(self.allow_insecure_http, self.iam_ca_file.as_deref())?;
        let ask = Ask { endpoint, failover: vec![], credential, profile, account_id: self.account_id };
        let grant = client.exchange(ask).await.map_err(|failure| told(&failure))?;
        let token = grant.token.expose_secret();
        print(&Zeroizing::new(match self.output {
            None => format!("IAM token:  Bearer {token}\n"),
            Some(Output::Raw) => format!("{token}\n"),
            Some(Output::Json) => format!("{}\n", json!({"iam_token": format!("Bearer {token}")})),
            Some(Output::Header) => format!("Authorization: Bearer {token}\n"),
        }))
    }

    fn credential(&self) -> Result<Credential, Error> {
        if let Some(file) = &self.cr_token_file {
            let (origin, value) = read(file)?;
            let text = std::str::from_utf8(&value).unwrap_or_default().trim();
            if value.len() > LARGEST_VALUE || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(
                    format!("{origin} is no token of a ServiceAccount. Name the file of a projected one.").into()
                );
            }
            let who = Key::new("", "");
            return Ok(Credential::ServiceAccount { who, token: text.into() });
        }
        let (origin, value) = self.value()?;
        let key = credential::parse(&value);
        let key = key.map_err(|problem| format!("{origin} {problem}. Put an IBM Cloud API key there."))?;
        Ok(Credential::ApiKey(key))
    }

    /// Where the key comes from, in words, and what is there.
    fn value(&self) -> Result<(String, Zeroizing<Vec<u8>>), Error> {
        if let Some(file) = &self.apikey_file {
            return read(file);
        }
        if let Some(given) = &self.apikey {
            let file = given.expose_secret().strip_prefix('@').ok_or_else(|| {
                Error::Usage(
                    "--apikey takes @FILE: others can see a key that is an argument, put it into a file".into(),
                )
            })?;
            return read(Path::new(file));
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

/// By what it is named is told from its form.
fn profile(text: &str) -> Profile {
    match text {
        id if id.starts_with("Profile-") => Profile::Id(id.into()),
        crn if crn.starts_with("crn:") => Profile::Crn(crn.into()),
        name => Profile::Name(name.into()),
    }
}

/// What went wrong and what to do, for somebody at a terminal.
fn told(failure: &Failure) -> String {
    let action = match failure.kind {
        Kind::Unreachable(Cause::ProxyGone | Cause::ProxyCredentials) => "Check HTTPS_PROXY and NO_PROXY",
        Kind::Unreachable(Cause::ProxyRefused) => "Have the proxy let you through, or name the endpoint in NO_PROXY",
        Kind::Unreachable(_) => "Check --endpoint, the network and the proxy",
        Kind::Untrusted => "Name the CA that signed it with --iam-ca-file, or find out who answers in IAM's place",
        Kind::Unavailable(_) | Kind::Throttled(_) | Kind::Paced(_) | Kind::Unusable(_) => "Try again later",
        Kind::Redirected | Kind::RequestRejected => "Check --endpoint",
        Kind::Rejected(Verdict::ProfileNotEligible | Verdict::Profile) => {
            "Check --trusted-profile, and that the profile trusts this identity or ServiceAccount"
        }
        Kind::Rejected(Verdict::ServiceAccount) => {
            "Use a fresh token of an IKS or ROKS cluster, for the audience iam and at most an hour"
        }
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
