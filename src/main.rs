//! The program: see `iam-token-operator --help`.

use std::alloc::System;
use std::process::ExitCode;

use iam_token_operator::cli::Cli;
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped before it is given back, so that neither a library's buffer nor a grown text leaves a key behind.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// One thread: a refresh is a few small requests, and each further thread costs memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The one TLS provider of the process, for the API server and for IAM. Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Cli::main().await
}
