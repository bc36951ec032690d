//! `events`: what happened to an IamToken, as events tell it.

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::desk::{Desk, now};
use crate::cli::output::Form;
use crate::cli::text::span::{between, words};
use crate::cli::text::{Style, Tone, clean};
use crate::cli::{Error, Verdict, print};

/// Shows the events of an IamToken, the newest last.
#[derive(Debug, Args)]
pub(super) struct Events {
    /// The IamToken
    name: String,

    /// The Events as the API server has them, in a List
    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,
}

/// What was told, once or again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub warning: bool,
    pub reason: String,
    pub text: String,
    pub count: u32,
    pub first: Timestamp,
    pub last: Timestamp,
}

// === impl Events ===

impl Events {
    pub(super) async fn run(self, desk: &Desk) -> Result<Verdict, Error> {
        let events = desk.cluster.events(&self.name).await?;
        if let Some(form) = self.output {
            print(&form.text(&json!({"apiVersion": "v1", "kind": "List", "items": events}))?)?;
            return Ok(Verdict::Well);
        }
        if events.is_empty() {
            // Events are forgotten; a wrong name is worth an error.
            desk.cluster.get(&self.name).await?;
            eprintln!("{}: no events. The API server forgets them after an hour or so.", self.name);
        }
        print(&history(desk.style, &merged(&events), now()))?;
        Ok(Verdict::Well)
    }
}

/// The oldest first; those that say the same as one.
pub(super) fn merged(events: &[Event]) -> Vec<Told> {
    let mut all: Vec<Told> = vec![];
    for new in events.iter().filter_map(told) {
        let same = |old: &&mut Told| (&old.reason, &old.text, old.warning) == (&new.reason, &new.text, new.warning);
        match all.iter_mut().find(same) {
            Some(old) => {
                old.count = old.count.saturating_add(new.count);
                (old.first, old.last) = (old.first.min(new.first), old.last.max(new.last));
            }
            None => all.push(new),
        }
    }
    all.sort_by_key(|told| told.last);
    all
}

/// Times and counts stand where the API that it was published with puts them; `None` where there is no time at all.
fn told(event: &Event) -> Option<Told> {
    let series = event.series.as_ref();
    let micro = |at: &k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime| at.0;
    let made = event.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let first = event.event_time.as_ref().map(micro).or(event.first_timestamp.as_ref().map(|at| at.0)).or(made)?;
    let again = series.and_then(|series| series.last_observed_time.as_ref()).map(micro);
    let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
    Some(Told {
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.clone().unwrap_or_default(),
        text: event.message.clone().unwrap_or_default(),
        count: u32::try_from(count).unwrap_or(1).max(1),
        first,
        last: again.or(event.last_timestamp.as_ref().map(|at| at.0)).unwrap_or(first).max(first),
    })
}

/// Each with its age and its reason, and its text in the lines below.
pub(super) fn history(style: Style, all: &[Told], now: Timestamp) -> String {
    all.iter().map(|told| entry(style, told, now)).collect()
}

fn entry(style: Style, told: &Told, now: Timestamp) -> String {
    let age = words(between(told.last, now));
    let times = match told.count {
        1 => String::new(),
        count => format!(" ({count} times since {} ago)", words(between(told.first, now))),
    };
    let tone = if told.warning { Tone::Warn } else { Tone::Plain };
    let head = format!(
        "{} {}",
        style.paint(Tone::Faint, &format!("{age} ago{times}:")),
        style.paint(tone, &clean(&told.reason))
    );
    format!("{head}\n{}", style.wrapped(&clean(&told.text), 4))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NOW, compare, minutes};
    use super::*;
    use crate::cli::text::{PLAIN, TERMINAL};
    use serde_json::Value;

    fn events(values: Value) -> Vec<Event> {
        serde_json::from_value(values).unwrap()
    }

    fn sample() -> Vec<Event> {
        events(json!([
            {"metadata": {}, "involvedObject": {}, "type": "Warning", "reason": "IamUnreachable",
             "message": "IAM at https://iam.cloud.ibm.com: it does not answer in time. Check network policies, proxy and \
                         firewall towards it; it is tried again by itself.",
             "eventTime": minutes(-40), "series": {"count": 3, "lastObservedTime": minutes(-5)}},
            {"metadata": {}, "involvedObject": {}, "type": "Normal", "reason": "TokenValid",
             "message": "The target holds a valid token.", "eventTime": minutes(-180)},
            {"metadata": {}, "involvedObject": {}, "type": "Normal", "reason": "TokenValid",
             "message": "The target holds a valid token.", "eventTime": minutes(-60)},
            {"metadata": {}, "involvedObject": {}, "type": "Normal", "reason": "TargetRepaired",
             "message": "Escapes \u{1b}[2J are not obeyed.", "firstTimestamp": minutes(-3), "lastTimestamp": minutes(-2),
             "count": 2},
        ]))
    }

    #[test]
    fn the_same_is_said_once_and_the_newest_stands_last() {
        let all = merged(&sample());
        let seen: Vec<_> = all.iter().map(|told| (told.reason.as_str(), told.count)).collect();
        assert_eq!(seen, [("TokenValid", 2), ("IamUnreachable", 3), ("TargetRepaired", 2)]);
    }

    #[test]
    fn history_is_told_in_words() {
        let all = merged(&sample());
        compare("events.txt", &history(PLAIN, &all, NOW.parse().unwrap()));
        compare("events-terminal.txt", &history(TERMINAL, &all, NOW.parse().unwrap()));
    }

    #[test]
    fn an_event_without_any_time_is_left_out() {
        assert_eq!(merged(&events(json!([{"metadata": {}, "involvedObject": {}}]))), []);
    }
}
