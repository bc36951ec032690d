//! `completion`: a script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Error, Verdict, print};

/// Prints a script that completes the program's arguments.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell, which is to read the script: `source <(… completion bash)`
    shell: Shell,
}

// === impl Completion ===

impl Completion {
    /// For a program of this name with the arguments of `P`.
    pub(super) fn run<P: CommandFactory>(self, program: &str) -> Result<Verdict, Error> {
        let mut script = vec![];
        generate(self.shell, &mut P::command(), program, &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(Verdict::Well)
    }
}
