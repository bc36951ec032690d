//! `kubectl iamtoken`: this program under the name `kubectl-iamtoken`. It asks the API server as whoever calls it.

pub(super) mod complete;
mod desk;
mod events;
mod glance;
mod list;
mod next;
mod refresh;
#[cfg(test)]
mod samples;
mod status;
mod suspend;

use clap::{Parser, Subcommand};

use self::desk::Desk;
pub(super) use self::desk::listed;
pub(super) use self::glance::target;
use super::cluster::Site;
use super::completion::Completion;
use super::explain::Explain;
use super::text::{Style, When};
use super::{Error, VERSION, Verdict};

const EXIT_CODES: &str = "Exit codes:
  0  done; of status, the token is valid now; of explain, it has not expired
  1  it failed: not found, not allowed, no answer
  2  the arguments are wrong
  3  not ready: of status, there is no valid token; of refresh, it is suspended or no new token came;
     of explain, the token has expired";

/// Looks after IamTokens: IBM Cloud IAM tokens, kept valid in Secrets
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-iamtoken",
    bin_name = "kubectl iamtoken",
    version = VERSION,
    about,
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
pub(super) struct Plugin {
    #[command(flatten)]
    site: Site,

    /// When text is coloured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: When,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List IamTokens, with the life that is left of their tokens
    List(list::List),
    /// Tell how an IamToken is, what happened to it, and what to do
    Status(status::Status),
    /// Fetch a new token now
    Refresh(refresh::Refresh),
    /// Refresh no more: the token dies in its time
    Suspend(suspend::Suspend),
    /// Refresh again
    Resume(suspend::Suspend),
    /// Show the events of an IamToken
    Events(events::Events),
    /// Say what a token says of itself: that of an IamToken, or one on standard input
    Explain(Explain),
    /// Print a script that completes this command's arguments
    Completion(Completion),
}

// === impl Plugin ===

impl Plugin {
    pub(super) async fn run(self) -> Result<Verdict, Error> {
        let Self { site, color, command } = self;
        let style = Style::of_stdout(color);
        let desk = async || Ok::<_, Error>(Desk { cluster: site.connect().await?, style });
        match command {
            Command::List(list) => list.run(&desk().await?).await,
            Command::Status(status) => status.run(&desk().await?).await,
            Command::Refresh(refresh) => refresh.run(&desk().await?).await,
            Command::Suspend(suspend) => suspend.run(&desk().await?, true).await,
            Command::Resume(suspend) => suspend.run(&desk().await?, false).await,
            Command::Events(events) => events.run(&desk().await?).await,
            Command::Explain(explain) => explain.run(&site, style).await,
            Command::Completion(completion) => completion.run::<Self>("kubectl-iamtoken"),
        }
    }
}
