//! `explain`: what a token says of itself. Its signature is never printed.

mod token;
mod told;

use std::io::{IsTerminal as _, Read as _};

use clap::Args;
use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use self::token::Explained;
use super::cluster::{Cluster, Site};
use super::output::Form;
use super::text::Style;
use super::{Error, Verdict, plugin, print};
use crate::clock::{Clock as _, SystemClock};

/// The largest that is read: as large as a Secret can be, in bytes.
const LARGEST: u64 = 1 << 20;

/// Says what a token says of itself: whose it is, and how long it is good. Never its signature.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The IamToken whose token is meant. Without it and --secret, the token is read from standard input: bare, as a
    /// header, or as the JSON that IAM or `ibmcloud iam oauth-tokens` gives
    #[arg(value_name = "NAME", conflicts_with = "secret")]
    name: Option<SecretString>,

    /// The Secret that holds the token
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,

    /// The key in the Secret's data; by default one that holds a token
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Header and claims of the token, in place of words
    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    /// Taken so that it can be refused without being repeated: it may be a token
    #[arg(hide = true)]
    more: Vec<SecretString>,
}

// === impl Explain ===

impl Explain {
    pub(super) async fn run(self, site: &Site, style: Style) -> Result<Verdict, Error> {
        let name = self.name()?;
        if self.key.is_some() && name.is_none() && self.secret.is_none() {
            return Err(Error::Usage("--key needs the name of an IamToken, or --secret".into()));
        }
        let explained = match (name, &self.secret) {
            (Some(name), _) => {
                let cluster = site.connect().await?;
                let object = cluster.get(&name).await?;
                let token = plugin::listed(&object)?;
                self.in_secret(&cluster, plugin::target(&token)).await?
            }
            (None, Some(secret)) => self.in_secret(&site.connect().await?, secret).await?,
            (None, None) => Explained::of(&given()?).map_err(|why| format!("the standard input {why}"))?,
        };
        let now = SystemClock.now();
        print(&match self.output {
            Some(form) => form.text(&explained)?,
            None => told::text(style, &explained, now),
        })?;
        Ok(if explained.has_expired(now) { Verdict::NotReady } else { Verdict::Well })
    }

    /// The name of an IamToken. Whatever else was given isn't repeated.
    fn name(&self) -> Result<Option<String>, Error> {
        let name = self.name.as_ref().map(ExposeSecret::expose_secret);
        if self.more.is_empty() && name.is_none_or(is_name) {
            return Ok(name.map(str::to_owned));
        }
        Err(Error::Usage(
            "explain takes the name of one IamToken. Give a token on standard input: others can see it in an argument"
                .into(),
        ))
    }

    async fn in_secret(&self, cluster: &Cluster, name: &str) -> Result<Explained, Error> {
        let data = cluster.secret(name).await?.data.unwrap_or_default();
        let place = format!("Secret {name} in namespace {}", cluster.namespace);
        let keys =
            || if data.is_empty() { "nothing".into() } else { data.keys().cloned().collect::<Vec<_>>().join(", ") };
        let explained = |value: &ByteString| Explained::of(&String::from_utf8_lossy(&value.0));
        if let Some(key) = &self.key {
            let value = data.get(key).ok_or_else(|| format!("{place} has no key {key}. It holds: {}.", keys()))?;
            return Ok(explained(value).map_err(|why| format!("key {key} of {place} {why}"))?);
        }
        let found = data.values().find_map(|value| explained(value).ok());
        Ok(found.ok_or_else(|| format!("{place} holds no token. It holds: {}. Name a key with --key.", keys()))?)
    }
}

/// A name as Kubernetes takes it (RFC 1123 subdomain); no token is one, as all begin with `eyJ`.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

fn given() -> Result<Zeroizing<String>, Error> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Paste a token, then press Enter and Ctrl-D.");
    }
    let mut bytes = Zeroizing::new(vec![]);
    (&mut stdin).take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}
