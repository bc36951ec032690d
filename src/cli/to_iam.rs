//! The flags of `run` that say which IAM is asked, and how.

use std::path::PathBuf;

use clap::Args;

use super::{Error, iam_client};
use crate::core::defaults::{Defaults, account_id};
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::schedule::RenewBefore;
use crate::iam::client::IamClient;

#[derive(Debug, Args)]
pub(super) struct ToIam {
    /// IAM endpoints that keys may be sent to, separated by commas
    #[arg(
        long,
        env = "IAM_TOKEN_OPERATOR_ALLOWED_ENDPOINTS",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "https://iam.cloud.ibm.com"
    )]
    allowed_endpoints: Vec<String>,

    /// The endpoint of IamTokens that name none; the first allowed one by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_DEFAULT_ENDPOINT", value_name = "URL")]
    default_endpoint: Option<String>,

    /// Endpoints that IamTokens which name none ask, in this order, where the default one fails: ways to the same IAM,
    /// of --allowed-endpoints, separated by commas; none by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_FAILOVER_ENDPOINTS", value_delimiter = ',', value_name = "URL")]
    failover_endpoints: Vec<String>,

    /// How long before expiry the tokens of IamTokens that don't say are refreshed: a share of the lifetime from 1% to
    /// 50%, or a duration such as 12m
    #[arg(long, env = "IAM_TOKEN_OPERATOR_DEFAULT_RENEW_BEFORE", default_value = "20%", value_name = "TIME")]
    default_renew_before: String,

    /// The account that the tokens of IamTokens that name none must be of; any by default
    #[arg(long, env = "IAM_TOKEN_OPERATOR_DEFAULT_ACCOUNT_ID", value_name = "ID")]
    default_account_id: Option<String>,

    /// A file of CA certificates in PEM that IAM may be signed by, beside those of the system; one that changes is read
    /// again
    #[arg(long, env = "IAM_TOKEN_OPERATOR_IAM_CA_FILE", value_name = "FILE")]
    iam_ca_file: Option<PathBuf>,

    /// For development only: allow endpoints with http, over which keys travel in the clear
    #[arg(long, env = "IAM_TOKEN_OPERATOR_ALLOW_INSECURE_HTTP")]
    allow_insecure_http: bool,
}

// === impl ToIam ===

impl ToIam {
    /// The client for it.
    pub(super) fn client(&self) -> Result<IamClient, Error> {
        iam_client(self.allow_insecure_http, self.iam_ca_file.as_deref())
    }

    /// What holds for IamTokens that don't say otherwise, and where keys may be sent.
    pub(super) fn defaults(&self) -> Result<Defaults, Error> {
        let renew_before = RenewBefore::parse(&self.default_renew_before).ok_or_else(|| {
            let text = &self.default_renew_before;
            format!("--default-renew-before {text}: it must be a share of the lifetime from 1% to 50%, or a duration such as 12m")
        })?;
        let account = self.default_account_id.as_deref().filter(|text| !text.is_empty());
        let account =
            account.map(|text| account_id(text).map_err(|error| format!("--default-account-id {text}: it {error}")));
        Ok(Defaults { endpoints: self.endpoints()?, renew_before, account_id: account.transpose()? })
    }

    fn endpoints(&self) -> Result<Endpoints, Error> {
        let parse = |flag: &str, text: &str| {
            Endpoint::parse(text, self.allow_insecure_http).map_err(|error| format!("--{flag} {text}: it {error}"))
        };
        let all = |flag: &str, texts: &[String]| {
            let texts = texts.iter().filter(|text| !text.is_empty());
            texts.map(|text| parse(flag, text)).collect::<Result<Vec<_>, _>>()
        };
        let mut allowed = all("allowed-endpoints", &self.allowed_endpoints)?;
        if let Some(text) = &self.default_endpoint {
            let default = parse("default-endpoint", text)?;
            let place = allowed.iter().position(|endpoint| *endpoint == default);
            let place = place.ok_or_else(|| format!("--default-endpoint {text}: add it to --allowed-endpoints"))?;
            allowed.swap(0, place);
        }
        let failover = all("failover-endpoints", &self.failover_endpoints)?;
        let endpoints = Endpoints::new(allowed).ok_or("--allowed-endpoints: name at least one")?;
        Ok(endpoints.with_failover(failover).map_err(|error| format!("--failover-endpoints: {error}"))?)
    }
}
