//! The demo, `make demo`: a real API server, a fake IAM, a fake key-management service and the operator, whose token is
//! used all the time while things happen to it.
#![allow(clippy::disallowed_methods, reason = "it watches real time pass")]

mod caller;
mod cluster;
mod operator;
mod reader;
mod report;
mod say;
mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use testkit::fake_kms::DEFAULT_INSTANCE;
use testkit::interrupted;

use say::{Say, block};
use stage::Stage;

/// What a shell makes of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Watch a token being kept alive.
#[derive(Parser)]
struct Arguments {
    /// The operator's program
    #[arg(long, value_name = "FILE")]
    operator: PathBuf,
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// The instance that the workload asks for; any but the default is refused, which shows how the demo fails
    #[arg(long, value_name = "GUID", default_value = DEFAULT_INSTANCE)]
    kms_instance: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The one TLS provider of the process. Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let say = Say::new();
    let outcome = tokio::select! {
        biased;
        () = interrupted() => {
            say.line("interrupted: everything is ended");
            return INTERRUPTED.into();
        }
        outcome = play(&arguments, &say) => outcome,
    };
    match outcome {
        Ok(stage) if arguments.keep => keep(&stage, &say).await,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say.failure(&error);
            ExitCode::FAILURE
        }
    }
}

/// Everything but the end. An error holds all that is known of it.
async fn play(arguments: &Arguments, say: &Say) -> Result<Stage> {
    let stage = Stage::set(&arguments.operator, &arguments.kms_instance, say).await?;
    let outcome = tokio::select! {
        biased;
        error = stage.broken() => Err(error),
        outcome = story::tell(&stage, say) => outcome,
    };
    match outcome {
        Ok(()) => Ok(stage),
        Err(error) => Err(format!("{error}\n\n{}", stage.what_is_known().await).into()),
    }
}

async fn keep(stage: &Stage, say: &Say) -> ExitCode {
    block(&stage.how_to_look_around());
    tokio::select! {
        biased;
        () = interrupted() => {
            say.line(&format!("ended after {}", stage.calls()));
            ExitCode::SUCCESS
        }
        error = stage.broken() => {
            say.failure(&format!("{error}\n\n{}", stage.what_is_known().await).into());
            ExitCode::FAILURE
        }
    }
}
