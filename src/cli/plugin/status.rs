//! `status`: all that is known of one IamToken, in words, and what to do next.

use std::fmt::Write as _;

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::desk::{Desk, listed, now};
use super::events::{Told, history, merged};
use super::glance::{Glance, State};
use super::next::next;
use crate::api::{CONDITION_READY, IamTokenSpec, TrustedProfile};
use crate::cli::output::ObjectForm;
use crate::cli::text::bar::bar;
use crate::cli::text::span::{between, words};
use crate::cli::text::table::{Cell, table};
use crate::cli::text::{Style, Tone, clean, indented};
use crate::cli::{Error, Verdict, print};
use crate::core::asker::DEFAULT_KEY;
use crate::core::status::trouble;

/// How many events are shown.
const EVENTS: usize = 8;

/// Tells how an IamToken is and what to do. Exit code 3 where it is not ready.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// The IamToken
    name: String,

    /// The object itself, in place of words
    #[arg(long, short, value_name = "FORM")]
    output: Option<ObjectForm>,
}

// === impl Status ===

impl Status {
    pub(super) async fn run(self, desk: &Desk) -> Result<Verdict, Error> {
        let object = desk.cluster.get(&self.name).await?;
        let token = listed(&object)?;
        let glance = Glance::new(&token, now());
        let text = if let Some(form) = self.output {
            form.one(&object)?
        } else {
            // Who may see IamTokens may perhaps not see events: then there is just no history.
            let events = desk.cluster.events_of(&object).await;
            text(desk.style, &glance, events.as_deref().map(merged).ok().as_deref())
        };
        print(&text)?;
        Ok(if glance.state.is_ready() { Verdict::Well } else { Verdict::NotReady })
    }
}

/// `events` is `None` where they may not be read.
fn text(style: Style, glance: &Glance<'_>, events: Option<&[Told]>) -> String {
    let title = |text: &str| style.paint(Tone::Strong, text);
    let mut text = format!(
        "{}\n{}",
        title(&format!("{} in namespace {}", clean(glance.name), clean(glance.namespace))),
        facts(style, glance)
    );
    let status = glance.status();
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    if !conditions.is_empty() {
        let _ = write!(text, "\n{}\n", title("Conditions"));
        // What is wrong stands in Ready too.
        let told = status.and_then(trouble).map(|trouble| trouble.message.as_str());
        for condition in conditions {
            let again = condition.type_ == CONDITION_READY && told.is_some_and(|told| condition.message.contains(told));
            text += &of_condition(style, glance, condition, !again);
        }
    }
    let _ = write!(text, "\n{}\n", title("History"));
    let inner = Style { width: style.width.map(|width| width.saturating_sub(2)), ..style };
    text += &match events {
        None => style.wrapped("You may not list events in this namespace.", 2),
        Some([]) => style.wrapped("No events. The API server forgets them after an hour or so.", 2),
        Some(all) => indented(&history(inner, &all[all.len().saturating_sub(EVENTS)..], glance.now), 2),
    };
    let _ = write!(text, "\n{}\n{}", title("Next"), style.wrapped(&clean(&next(glance)), 2));
    text
}

fn of_condition(style: Style, glance: &Glance<'_>, condition: &Condition, with_message: bool) -> String {
    let since = words(between(condition.last_transition_time.0, glance.now));
    let tone = match (condition.type_.as_str(), condition.status.as_str()) {
        (CONDITION_READY, "True") if glance.state.is_ready() => Tone::Good,
        (CONDITION_READY, _) => Tone::Bad,
        _ => Tone::Warn,
    };
    let head = style.paint(tone, &clean(&format!("{} is {}", condition.type_, condition.status)));
    let message = if with_message { style.wrapped(&clean(&condition.message), 4) } else { String::new() };
    format!("  {head} for {since}: {}\n{message}", clean(&condition.reason))
}

fn facts(style: Style, glance: &Glance<'_>) -> String {
    let row = |label: &str, value: Cell| vec![Cell::new(style, Tone::Faint, label), value];
    let plain = |text: &str| Cell::new(style, Tone::Plain, text);
    let tone = glance.state.tone();
    let mut rows = vec![row("State", Cell::new(style, tone, &glance.state.words()))];
    if let Some(life) = &glance.life {
        let lasts = words(between(life.since, life.expires_at));
        let left = match glance.left() {
            left if left == "expired" => format!("expired {} ago, at", words(between(life.expires_at, glance.now))),
            left => format!("{left} of {lasts} left, until"),
        };
        let line = format!("{}  {left} {}", bar(style, tone, life, glance.now), life.expires_at);
        rows.push(row("Token", Cell::painted(line, 1)));
    }
    if let Some(at) = glance.life.and_then(|life| life.refresh_at) {
        rows.push(row("Refresh", plain(&format!("{}, {at}", glance.refresh()))));
    }
    rows.push(row("Secret", plain(glance.target())));
    if let Some(spec) = glance.spec() {
        rows.push(row("Credential", plain(&credential(spec))));
        rows.extend(spec.trusted_profile.as_ref().map(|it| row("Profile", plain(&profile(it)))));
        rows.extend(spec.endpoint.as_ref().map(|endpoint| row("Endpoint", plain(endpoint))));
    }
    rows.extend(identity(glance).map(|identity| row("Identity", plain(&identity))));
    if glance.is_behind() && glance.state != State::New {
        rows.push(row("Note", plain("the operator has not seen the last change of spec yet")));
    }
    indented(&table(&rows), 2)
}

fn credential(spec: &IamTokenSpec) -> String {
    if let Some(source) = &spec.api_key_secret_ref {
        return format!("API key in Secret {}, key {}", source.name, source.key.as_deref().unwrap_or(DEFAULT_KEY));
    }
    if let Some(account) = &spec.service_account_ref {
        return format!("ServiceAccount {}", account.name);
    }
    spec.credential_ref.as_ref().map(|it| format!("ClusterIamCredential {}", it.name)).unwrap_or_default()
}

fn profile(profile: &TrustedProfile) -> String {
    let TrustedProfile { id, name, crn } = profile;
    id.as_ref().or(name.as_ref()).or(crn.as_ref()).cloned().unwrap_or_default()
}

fn identity(glance: &Glance<'_>) -> Option<String> {
    let identity = glance.status()?.identity.as_ref()?;
    let mut text = identity.iam_id.clone()?;
    text.extend(identity.subject_type.as_ref().map(|kind| format!(" ({kind})")));
    text.extend(identity.account_id.as_ref().map(|account| format!(", account {account}")));
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NAMES, NOW, compare, minutes, token};
    use super::*;
    use crate::cli::text::{PLAIN, TERMINAL};
    use k8s_openapi::jiff::Timestamp;

    fn of(name: &str, style: Style, events: Option<&[Told]>) -> String {
        let token = token(name);
        text(style, &Glance::new(&token, NOW.parse().unwrap()), events)
    }

    fn told(reason: &str, text: &str, ago: i64) -> Told {
        let at: Timestamp = serde_json::from_value(minutes(-ago)).unwrap();
        Told {
            warning: reason != "TokenValid",
            reason: reason.into(),
            text: text.into(),
            count: 1,
            first: at,
            last: at,
        }
    }

    #[test]
    fn each_state_is_told_in_words() {
        for name in NAMES {
            compare(&format!("status-{name}.txt"), &of(name, PLAIN, Some(&[])));
        }
    }

    #[test]
    fn on_a_terminal_it_is_coloured_and_not_too_wide() {
        let events = [
            told("TokenValid", "The target holds a valid token.", 180),
            told("IamUnreachable", &"It is down. ".repeat(9), 8),
        ];
        let text = of("fading", TERMINAL, Some(&events));
        compare("status-terminal.txt", &text);
        assert!(text.lines().filter(|line| !line.contains("\x1b[")).all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn the_newest_events_are_shown() {
        let many: Vec<Told> = (1..=20).rev().map(|ago| told("Queued", &format!("event {ago}"), ago)).collect();
        let text = of("well", PLAIN, Some(&many));
        assert!(text.contains("event 1\n") && text.contains("event 8\n") && !text.contains("event 9\n"), "{text}");
    }

    #[test]
    fn who_may_not_list_events_is_told_so() {
        assert!(of("well", PLAIN, None).contains("You may not list events"));
    }
}
