//! The fake IBM Cloud IAM and the fake key-management service of the tests as one program, for trying the operator out.
//!
//! ```text
//! cargo run --example fake-iam -- --lifetime 60 --key payments=FAKE-…
//! ```
//!
//! It prints its URLs and runs until it is told to end. Its control API is described in `tests/support/src/fake_iam/control.rs`.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use testkit::fake_iam::{ApiKey, DEFAULT_ACCOUNT, FakeIam, Identity};
use testkit::fake_kms::{DEFAULT_INSTANCE, FakeKms};
use testkit::fake_services::FakeServices;
use testkit::interrupted;

/// A fake IBM Cloud IAM and a fake key-management service.
#[derive(Parser)]
struct Arguments {
    /// Where the IAM listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the key-management service listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen_kms: SocketAddr,
    /// Lifetime of tokens in seconds
    #[arg(long, default_value_t = 3600)]
    lifetime: u64,
    /// A service ID and its API key; never a real one
    #[arg(long = "key", value_name = "NAME=APIKEY", value_parser = name_and_key)]
    keys: Vec<(String, String)>,
    /// Serve the IAM over https and write the certificate of its authority to this file
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Put the services that the guides call behind a proxy, and write the certificate of their authority to this file:
    /// `HTTPS_PROXY` and `SSL_CERT_FILE` of a program that is to meet them
    #[arg(long)]
    services_ca_file: Option<PathBuf>,
}

fn name_and_key(argument: &str) -> Result<(String, String), &'static str> {
    match argument.split_once('=') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => Ok((name.into(), key.into())),
        _ => Err("expected NAME=APIKEY"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let iam = start(&arguments)?;
    let kms = FakeKms::start_on(&iam, arguments.listen_kms)?;
    let mut out = std::io::stdout();
    writeln!(out, "IAM      {}", iam.url())?;
    writeln!(out, "control  {}/_fake/", iam.url())?;
    writeln!(out, "KMS      {}/api/v2/keys", kms.url())?;
    writeln!(out, "instance {DEFAULT_INSTANCE}")?;
    let services = arguments.services_ca_file.map(|file| (file, FakeServices::start(&iam)));
    if let Some((file, services)) = &services {
        std::fs::write(file, services.ca_pem())?;
        writeln!(out, "proxy    {}", services.proxy())?;
    }
    out.flush()?;
    interrupted().await;
    Ok(())
}

fn start(arguments: &Arguments) -> Result<FakeIam, Box<dyn Error>> {
    let mut builder = FakeIam::builder().listen(arguments.listen).control_api();
    if arguments.ca_file.is_some() {
        builder = builder.tls();
    }
    let iam = builder.start()?;
    if let (Some(file), Some(pem)) = (&arguments.ca_file, iam.ca_pem()) {
        std::fs::write(file, pem)?;
    }
    iam.set_lifetime(arguments.lifetime);
    for (name, key) in &arguments.keys {
        let identity = Identity::service_id(name, DEFAULT_ACCOUNT);
        iam.add_key(key, ApiKey::new(name, &identity.iam_id));
        iam.add_identity(identity);
    }
    Ok(iam)
}
