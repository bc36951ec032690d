//! What the probes say: `/readyz`, which of the things that a controller begins with are done and what is pending;
//! `/livez`, what hangs.

use std::fmt::Write as _;

use super::watchdog::Finding;

/// How far one controller has come, whose watches are on one namespace, or on all.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The namespace; all where `None`.
    pub namespace: Option<String>,
    /// What the CRD is waited for, as long as it is.
    pub crd: Result<(), String>,
    /// Whether the first list of `IamTokens` is complete.
    pub tokens: bool,
    /// The first list of Secrets.
    pub secrets: Secrets,
}

/// The first list of Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Is awaited.
    Pending,
    /// Takes long: `IamTokens` are looked at without it.
    Late,
    /// Is complete.
    Listed,
}

/// An answer of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all is well.
    pub good: bool,
    /// What is, one thing a line.
    pub text: String,
}

// === impl Progress ===

impl Progress {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(namespace: Option<String>) -> Self {
        let crd = Err("the API server is being asked for it".to_owned());
        Self { namespace, crd, tokens: false, secrets: Secrets::Pending }
    }
}

/// Whether the process is ready, `leads` saying which of the replicas it is. None of `all` is known before the start.
#[must_use]
pub fn verdict(all: &[Progress], leads: bool, stopping: bool) -> Verdict {
    let mut text = String::new();
    let mut good = !all.is_empty() && !stopping;
    if all.is_empty() {
        text += "[-]controller: starting\n";
    }
    if stopping {
        text += "[-]shutdown: what is in flight is finished\n";
    }
    let parts: [(&str, Pending); 3] =
        [("crd", pending_crd), ("iamtokens", pending_tokens), ("secrets", pending_secrets)];
    for (name, pending) in parts {
        let open: Vec<_> = all.iter().filter_map(|progress| Some((progress, pending(progress)?))).collect();
        for (progress, why) in &open {
            let place = progress.namespace.as_ref().map_or(String::new(), |name| format!(" (namespace {name})"));
            let _ = writeln!(text, "[-]{name}: {why}{place}");
        }
        if open.is_empty() && !all.is_empty() {
            let late = name == "secrets" && all.iter().any(|progress| progress.secrets == Secrets::Late);
            let _ = writeln!(text, "[+]{name} ok{}", if late { ": the list takes long, see the log" } else { "" });
        }
        good &= open.is_empty();
    }
    let role = if leads { "this replica leads" } else { "this replica stands by" };
    let _ = writeln!(text, "[+]lead ok: {role}");
    Verdict { good, text }
}

/// Whether the process is alive, which it is but for what was found.
#[must_use]
pub fn alive(findings: &[Finding]) -> Verdict {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "[-]watchdog: {finding}");
    }
    if findings.is_empty() {
        text += "[+]watchdog ok\n";
    }
    Verdict { good: findings.is_empty(), text }
}

/// Why a part is pending, if it is.
type Pending = fn(&Progress) -> Option<String>;

fn pending_crd(progress: &Progress) -> Option<String> {
    progress.crd.clone().err()
}

fn pending_tokens(progress: &Progress) -> Option<String> {
    let why = if progress.crd.is_err() { "waits for crd" } else { "listing" };
    (!progress.tokens).then(|| why.to_owned())
}

fn pending_secrets(progress: &Progress) -> Option<String> {
    let why = if progress.tokens { "listing" } else { "waits for iamtokens" };
    (progress.secrets == Secrets::Pending).then(|| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(namespace: Option<&str>) -> Progress {
        let namespace = namespace.map(str::to_owned);
        Progress { namespace, crd: Ok(()), tokens: true, secrets: Secrets::Listed }
    }

    #[test]
    fn before_the_start_nothing_is_ready() {
        let verdict = verdict(&[], true, false);
        assert!(!verdict.good && verdict.text.contains("[-]controller: starting"), "{verdict:?}");
    }

    #[test]
    fn what_is_pending_is_named_line_by_line() {
        let mut progress = Progress::new(None);
        progress.crd = Err("it is not installed".into());
        let first = verdict(std::slice::from_ref(&progress), true, false);
        let text = "[-]crd: it is not installed\n[-]iamtokens: waits for crd\n[-]secrets: waits for iamtokens\n\
            [+]lead ok: this replica leads\n";
        assert_eq!(first, Verdict { good: false, text: text.into() });
        progress.crd = Ok(());
        assert!(verdict(&[progress.clone()], true, false).text.contains("[+]crd ok\n[-]iamtokens: listing\n"));
        progress.tokens = true;
        assert!(verdict(&[progress], true, false).text.contains("[+]iamtokens ok\n[-]secrets: listing\n"));
    }

    #[test]
    fn all_done_is_ready_and_a_replica_that_stands_by_is_too() {
        for (leads, role) in [(true, "this replica leads"), (false, "this replica stands by")] {
            let text = format!("[+]crd ok\n[+]iamtokens ok\n[+]secrets ok\n[+]lead ok: {role}\n");
            assert_eq!(verdict(&[done(None), done(None)], leads, false), Verdict { good: true, text });
        }
    }

    #[test]
    fn a_list_of_secrets_that_takes_long_is_said_and_is_no_obstacle() {
        let late = Progress { secrets: Secrets::Late, ..done(None) };
        let verdict = verdict(&[late], true, false);
        assert!(verdict.good && verdict.text.contains("[+]secrets ok: the list takes long"), "{verdict:?}");
    }

    #[test]
    fn one_namespace_of_several_that_is_not_ready_is_named() {
        let verdict = verdict(&[done(Some("a")), Progress { tokens: false, ..done(Some("b")) }], true, false);
        assert!(!verdict.good && verdict.text.contains("[-]iamtokens: listing (namespace b)\n"), "{verdict:?}");
    }

    #[test]
    fn what_is_ending_is_not_ready() {
        let verdict = verdict(&[done(None)], true, true);
        assert!(!verdict.good && verdict.text.contains("[-]shutdown"), "{verdict:?}");
    }
}
