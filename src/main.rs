//! The program: see `iam-token-operator --help`.

use std::process::ExitCode;

use iam_token_operator::cli::Cli;

/// One thread: a refresh is a few small requests, and each further thread costs memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The one TLS provider of the process, for the API server and for IAM. Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Cli::main().await
}
