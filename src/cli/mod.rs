//! The commands.

mod run;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::api;

/// Keeps IBM Cloud IAM tokens alive on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "iam-token-operator", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch IamTokens and keep the tokens in their Secrets valid
    Run(run::Run),
    /// Print the CRD as YAML
    Crd,
    /// Exchange an API key for an access token and print it as `ibmcloud iam oauth-tokens` does
    Token(token::Token),
}

/// Anything that ends a command: its text is for the user and holds no secret.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

// === impl Cli ===

impl Cli {
    /// Runs the command of the process's arguments. Exit code 1 where it fails, 2 where the arguments are wrong.
    pub async fn main() -> ExitCode {
        let result = match Self::parse().command {
            Command::Run(run) => run.run().await,
            Command::Crd => crd(),
            Command::Token(token) => token.run().await,
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("iam-token-operator: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn crd() -> Result<(), Error> {
    print(&api::crd_yaml()?)
}

/// To standard output; a reader that has gone away is no error.
fn print(text: &str) -> Result<(), Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
