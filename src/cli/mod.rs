//! The commands.

mod cluster;
mod completion;
mod explain;
mod harden;
mod output;
mod plugin;
mod run;
mod text;
mod to_iam;
mod token;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::api;
use crate::clock::SystemClock;
use crate::iam::ca::CaFile;
use crate::iam::client::{ClientError, IamClient};
use crate::iam::proxy;

/// What `--version` says: build.rs finds out commit and compiler.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BUILD_COMMIT"), ", rustc ", env!("BUILD_RUSTC"), ")");

/// Keeps IBM Cloud IAM tokens alive on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "iam-token-operator", version = VERSION, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch IamTokens and keep the tokens in their Secrets valid
    Run(Box<run::Run>),
    /// Print the CRDs as YAML
    Crd,
    /// Exchange an API key for an access token and print it as `ibmcloud iam oauth-tokens` does
    ///
    /// The key is read from --apikey-file or --apikey @FILE, or from the environment variable IBMCLOUD_API_KEY (the key,
    /// or @FILE), never from an argument, which other users of the machine could see.
    Token(token::Token),
    /// Say what a token says of itself: one on standard input, or that of an IamToken or Secret
    Explain(Explaining),
    /// Print a script that completes this program's arguments
    Completion(completion::Completion),
}

/// `explain` with the flags that the plugin has for all of its commands.
#[derive(Debug, Args)]
struct Explaining {
    #[command(flatten)]
    site: cluster::Site,

    /// When text is coloured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: text::When,

    #[command(flatten)]
    explain: explain::Explain,
}

/// What a command found, having done what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Well,
    /// There is no valid token.
    NotReady,
}

/// What ends a command: its text is for the user and holds no secret.
#[derive(Debug)]
pub enum Error {
    /// The arguments are wrong.
    Usage(String),
    /// Anything else.
    Failed(String),
}

impl<E: ToString> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

// === impl Cli ===

impl Cli {
    /// Runs the command of the process's arguments. The program's name decides whose they are: it is a plugin of
    /// `kubectl` too. Exit code 1 where it fails, 2 where the arguments are wrong, 3 where there is no valid token.
    pub async fn main() -> ExitCode {
        let mut arguments = std::env::args_os();
        let path = arguments.next().unwrap_or_default();
        match Path::new(&path).file_stem().and_then(OsStr::to_str) {
            Some("kubectl-iamtoken") => finish("kubectl iamtoken", plugin::Plugin::parse().run().await),
            Some("kubectl_complete-iamtoken") => {
                let words = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
                finish("kubectl_complete-iamtoken", plugin::complete::run(words).await)
            }
            _ => finish("iam-token-operator", Self::parse().run().await),
        }
    }

    async fn run(self) -> Result<Verdict, Error> {
        match self.command {
            Command::Run(run) => run.run().await?,
            Command::Crd => crd()?,
            Command::Token(token) => token.run().await?,
            Command::Explain(it) => return it.explain.run(&it.site, text::Style::of_stdout(it.color)).await,
            Command::Completion(completion) => return completion.run::<Self>("iam-token-operator"),
        }
        Ok(Verdict::Well)
    }
}

fn finish(program: &str, result: Result<Verdict, Error>) -> ExitCode {
    let (code, text) = match result {
        Ok(Verdict::Well) => return ExitCode::SUCCESS,
        Ok(Verdict::NotReady) => return ExitCode::from(3),
        Err(Error::Failed(text)) => (1, text),
        Err(Error::Usage(text)) => (2, text),
    };
    eprintln!("{program}: {text}");
    ExitCode::from(code)
}

/// A client for IAM; http is spoken only with `allow_http`. `ca_file` is that of `--iam-ca-file`.
fn iam_client(allow_http: bool, ca_file: Option<&Path>) -> Result<IamClient, Error> {
    proxy::check(|name| std::env::var(name).ok()).map_err(|error| Error::Usage(error.to_string()))?;
    let file = ca_file.map(|path| CaFile::new(path.to_owned()));
    IamClient::trusting(Arc::new(SystemClock), allow_http, file).map_err(|error| match error {
        ClientError::Ca(error) => {
            Error::Usage(format!("--iam-ca-file {}: {error}", ca_file.unwrap_or(Path::new("")).display()))
        }
        ClientError::Roots(error) => Error::Failed(format!(
            "no HTTPS client for IAM ({error}): no CA certificates were found. Install them (package ca-certificates), or \
             correct SSL_CERT_FILE, which names a file of them in PEM"
        )),
    })
}

fn crd() -> Result<(), Error> {
    print(&api::crds_yaml()?.concat())
}

/// To standard output; a reader that has gone away is no error.
fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
