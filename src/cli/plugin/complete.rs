//! Completion of the plugin's arguments by `kubectl`: this program under the name `kubectl_complete-iamtoken`.
//!
//! `kubectl` calls it with the words after `kubectl iamtoken`, the last of which is to be completed, and reads from its
//! output one candidate a line, with a tab before what explains it, and at the end a directive of Cobra (KEP-2379,
//! "Shell Completion Support").

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory as _};

use super::Plugin;
use crate::cli::cluster::Site;
use crate::cli::text::clean;
use crate::cli::{Error, Verdict, print};

/// How long anybody waits for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// Cobra's directives: files are the candidates where there are no others, or they are not.
const FILES: &str = ":0";
const NO_FILES: &str = ":4";

/// What can stand where the cursor is.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// One of these, each with what explains it.
    Words(Vec<(String, String)>),
    /// The name of an IamToken, of none that stands there already.
    Name(BTreeSet<String>),
    File,
    Nothing,
}

/// Prints what can stand where the cursor is, which is in the last of the words.
pub(in crate::cli) async fn run(words: Vec<String>) -> Result<Verdict, Error> {
    let (word, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let (mut lines, mut directive) = (vec![], NO_FILES);
    match wanted(&Plugin::command(), before, word) {
        Wanted::Words(words) => lines = words,
        Wanted::Name(taken) => {
            let names = tokio::time::timeout(PATIENCE, names(before)).await;
            let names = names.ok().and_then(Result::ok).unwrap_or_default();
            lines = names.into_iter().filter(|name| !taken.contains(name)).map(|name| (name, String::new())).collect();
        }
        Wanted::File => directive = FILES,
        Wanted::Nothing => {}
    }
    let lines = lines.iter().filter(|(candidate, _)| candidate.starts_with(word)).map(line);
    print(&lines.chain([format!("{directive}\n")]).collect::<String>())?;
    Ok(Verdict::Well)
}

fn line((candidate, help): &(String, String)) -> String {
    let (candidate, help) = (clean(candidate), clean(help));
    if help.is_empty() { format!("{candidate}\n") } else { format!("{candidate}\t{help}\n") }
}

/// The IamTokens of the namespace that the words before name.
async fn names(before: &[String]) -> Result<Vec<String>, Error> {
    let site = Site {
        namespace: value_of(before, "namespace", Some('n')),
        context: value_of(before, "context", None),
        kubeconfig: value_of(before, "kubeconfig", None).map(Into::into),
    };
    let objects = site.connect().await?.list(false, None).await?;
    Ok(objects.into_iter().filter_map(|object| object.metadata.name).collect())
}

/// The value of a flag, if it stands there.
fn value_of(words: &[String], long: &str, short: Option<char>) -> Option<String> {
    let (long, short) = (format!("--{long}"), short.map(|c| format!("-{c}")));
    let at = words.iter().position(|word| *word == long || Some(word) == short.as_ref());
    let glued = words.iter().find_map(|word| word.strip_prefix(&format!("{long}=")));
    at.and_then(|at| words.get(at + 1).cloned()).or_else(|| glued.map(str::to_owned))
}

fn wanted(plugin: &Command, before: &[String], word: &str) -> Wanted {
    let mut command = plugin;
    let (mut taken, mut open) = (BTreeSet::new(), None);
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            open = flags(plugin, command).into_iter().find(|flag| takes_value(flag) && is(flag, word));
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
        } else {
            taken.insert(word.clone());
        }
    }
    if let Some(flag) = open {
        return of_value(flag);
    }
    if word.starts_with('-') {
        return Wanted::Words(flags(plugin, command).into_iter().filter_map(of_flag).collect());
    }
    if command.has_subcommands() {
        let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        return Wanted::Words(subs.map(|sub| (sub.get_name().to_owned(), first_line(sub.get_about()))).collect());
    }
    match command.get_positionals().find(|it| !it.is_hide_set()) {
        Some(it) if it.get_possible_values().is_empty() && (taken.is_empty() || is_many(it)) => Wanted::Name(taken),
        Some(it) if taken.is_empty() => of_value(it),
        _ => Wanted::Nothing,
    }
}

fn is_many(it: &Arg) -> bool {
    it.get_num_args().is_some_and(|range| range.max_values() > 1) || matches!(it.get_action(), clap::ArgAction::Append)
}

/// Those of the command and those of every command.
fn flags<'a>(plugin: &'a Command, command: &'a Command) -> Vec<&'a Arg> {
    let all = plugin.get_opts().filter(|it| it.is_global_set());
    let own = command.get_arguments().filter(|it| !it.is_positional() && !it.is_global_set() && !it.is_hide_set());
    own.chain(all).collect()
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values()
}

fn is(flag: &Arg, word: &str) -> bool {
    flag.get_long().is_some_and(|long| word == format!("--{long}"))
        || flag.get_short().is_some_and(|short| word == format!("-{short}"))
}

fn of_flag(flag: &Arg) -> Option<(String, String)> {
    Some((format!("--{}", flag.get_long()?), first_line(flag.get_help())))
}

fn of_value(flag: &Arg) -> Wanted {
    let values = flag.get_possible_values();
    if values.is_empty() {
        return if flag.get_id() == "kubeconfig" { Wanted::File } else { Wanted::Nothing };
    }
    Wanted::Words(values.iter().map(|value| (value.get_name().to_owned(), first_line(value.get_help()))).collect())
}

fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Wanted {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (word, before) = words.split_last().unwrap();
        wanted(&Plugin::command(), before, word)
    }

    fn words(line: &str) -> Vec<String> {
        let Wanted::Words(words) = of(line) else { panic!("{line}: {:?}", of(line)) };
        words.into_iter().map(|(word, _)| word).collect()
    }

    fn names(taken: &[&str]) -> Wanted {
        Wanted::Name(taken.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn commands_come_first() {
        let commands =
            ["list", "status", "refresh", "suspend", "resume", "events", "explain", "completion"].map(str::to_owned);
        assert_eq!(words(""), commands);
        assert_eq!(words("-n payments "), commands);
        assert_eq!(words("--namespace=payments "), commands);
    }

    #[test]
    fn names_stand_where_names_are_taken() {
        for line in ["status ", "refresh ", "events h", "-n payments status ", "status -o json "] {
            assert_eq!(of(line), names(&[]), "{line}");
        }
        assert_eq!(of("refresh hpcs --wait "), names(&["hpcs"]));
        assert_eq!(of("status hpcs "), Wanted::Nothing);
        assert_eq!(of("list "), Wanted::Nothing);
    }

    #[test]
    fn flags_and_their_values_are_known() {
        let flags = words("refresh --");
        for flag in ["--wait", "--timeout", "--all", "--output", "--namespace", "--context", "--color"] {
            assert!(flags.iter().any(|known| known == flag), "{flag}: {flags:?}");
        }
        assert_eq!(words("list -o "), ["wide", "json", "yaml", "name"]);
        assert_eq!(words("--color "), ["auto", "always", "never"]);
        assert!(words("completion ").contains(&"bash".to_owned()));
        assert_eq!(of("--kubeconfig "), Wanted::File);
        assert_eq!(of("-n "), Wanted::Nothing);
    }

    #[test]
    fn the_namespace_is_that_of_the_words() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in ["status -n payments", "--namespace payments status", "status --namespace=payments"] {
            assert_eq!(value_of(&words(line), "namespace", Some('n')).as_deref(), Some("payments"), "{line}");
        }
        assert_eq!(value_of(&words("status"), "namespace", Some('n')), None);
        assert_eq!(value_of(&words("status -n"), "namespace", Some('n')), None);
    }
}
