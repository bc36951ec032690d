//! `refresh`: asks for a new token now.

use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::SignedDuration;
use kube::core::DynamicObject;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::desk::{Desk, Names, listed, name, now};
use super::glance::{Glance, is_suspended};
use crate::api::{CONDITION_STALLED, IamTokenStatus, Listed, REFRESH_REQUESTED};
use crate::cli::output::ObjectForm;
use crate::cli::text::clean;
use crate::cli::{Error, Verdict, print};
use crate::core::status::{find, trouble, was_ready};

/// How often it is looked whether the token is there.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a trouble that was there before may stay until it counts as the answer. The operator tries again at once,
/// at most every 5 s, and what it finds again it writes nothing about.
const GRACE: Duration = Duration::from_secs(12);

/// Fetches a new token now. With --wait, exit code 3 where it did not come.
#[derive(Debug, Args)]
pub(super) struct Refresh {
    #[command(flatten)]
    names: Names,

    /// Wait until the new token is in its Secret
    #[arg(long)]
    wait: bool,

    /// How long to wait at most, such as 90s or 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time, requires = "wait")]
    timeout: Duration,

    /// The objects, in place of words
    #[arg(long, short, value_name = "FORM")]
    output: Option<ObjectForm>,
}

/// What is known of a refresh that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It failed, and a person must act.
    Failed(String),
    /// Not yet, for this reason if one is known.
    NotYet(Option<String>),
}

// === impl Refresh ===

impl Refresh {
    pub(super) async fn run(self, desk: &Desk) -> Result<Verdict, Error> {
        let mut asked = vec![];
        let mut verdict = Verdict::Well;
        for object in desk.chosen(&self.names).await? {
            if is_suspended(&listed(&object)?) {
                verdict = Verdict::NotReady;
                eprintln!("{}", asleep(name(&object), &desk.cluster.namespace));
                continue;
            }
            let request = now().to_string();
            let patch = json!({"metadata": {"annotations": {REFRESH_REQUESTED: &request}}});
            asked.push((desk.cluster.patch(name(&object), &patch).await?, request));
        }
        let end = Instant::now() + self.timeout;
        let mut objects = vec![];
        for (object, request) in asked {
            let (object, came) =
                if self.wait { desk.await_token(object, &request, end).await? } else { (object, true) };
            if came && self.output.is_none() {
                print(&self.line(desk, &object)?)?;
            }
            verdict = if came { verdict } else { Verdict::NotReady };
            objects.push(object);
        }
        if let Some(form) = self.output {
            print(&form.asked_for(&objects, self.names.is_one())?)?;
        }
        Ok(verdict)
    }

    fn line(&self, desk: &Desk, object: &DynamicObject) -> Result<String, Error> {
        let (name, namespace) = (name(object), &desk.cluster.namespace);
        if !self.wait {
            let then = format!("kubectl iamtoken status {name} -n {namespace}");
            return Ok(format!("{name}: a new token is asked for. What becomes of it: {then}\n"));
        }
        let token = listed(object)?;
        let glance = Glance::new(&token, now());
        Ok(format!("{name}: Secret {} holds a new token, valid for {}.\n", glance.target(), glance.left()))
    }
}

impl Desk {
    /// Waits until the request is answered, and says so where it is not. Returns the object as last seen.
    async fn await_token(
        &self,
        asked: DynamicObject,
        request: &str,
        end: Instant,
    ) -> Result<(DynamicObject, bool), Error> {
        let name = name(&asked).to_owned();
        let (before, begin) = (listed(&asked)?.status.unwrap_or_default(), Instant::now());
        loop {
            let object = self.cluster.get(&name).await?;
            let token = listed(&object)?;
            let why = match outcome(&before, &token, request, begin.elapsed()) {
                Outcome::Done => return Ok((object, true)),
                Outcome::Failed(why) => Some(why),
                Outcome::NotYet(why) if Instant::now() >= end => Some(too_late(begin.elapsed(), why)),
                Outcome::NotYet(_) => None,
            };
            if let Some(why) = why {
                eprintln!("{name}: {}", clean(&why));
                return Ok((object, false));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn asleep(name: &str, namespace: &str) -> String {
    format!("{name} is suspended and is not refreshed. To go on: kubectl iamtoken resume {name} -n {namespace}")
}

fn too_late(waited: Duration, why: Option<String>) -> String {
    let why = why.unwrap_or_else(|| "Check that the operator runs and watches this namespace.".into());
    format!("no new token within {} s. {why}", waited.as_secs())
}

/// `before` is the status in which the refresh was asked for.
fn outcome(before: &IamTokenStatus, token: &Listed, request: &str, waited: Duration) -> Outcome {
    if is_suspended(token) {
        return Outcome::Failed("it was suspended meanwhile. Set spec.suspend to false.".into());
    }
    let Some(status) = &token.status else { return Outcome::NotYet(None) };
    if was_ready(status) && status.last_handled_refresh.as_deref() == Some(request) {
        return Outcome::Done;
    }
    match find(status, CONDITION_STALLED) {
        Some(stalled) if waited >= GRACE || find(before, CONDITION_STALLED) != Some(stalled) => {
            Outcome::Failed(stalled.message.clone())
        }
        _ => Outcome::NotYet(trouble(status).map(|trouble| trouble.message.clone())),
    }
}

/// Nobody waits longer, and a clock ends somewhere.
const LONGEST: Duration = Duration::from_hours(24);

/// `90s`, `2m`, `1m30s`, or seconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let time = seconds.or_else(|| text.parse::<SignedDuration>().ok()?.try_into().ok());
    time.filter(|time| *time <= LONGEST).ok_or_else(|| "write a time of a day at most, such as 90s or 2m".into())
}

#[cfg(test)]
mod tests {
    use super::super::samples::token;
    use super::*;

    fn of(before: &str, now: &str, answered: Option<&str>, seconds: u64) -> Outcome {
        let before = token(before).status.unwrap_or_default();
        let mut now = token(now);
        if let Some(status) = &mut now.status {
            status.last_handled_refresh = answered.map(str::to_owned);
        }
        outcome(&before, &now, "r", Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_done_when_this_request_is_answered_by_a_valid_token() {
        assert_eq!(of("well", "well", Some("r"), 0), Outcome::Done);
        assert_eq!(of("refused", "well", Some("r"), 0), Outcome::Done);
        assert_eq!(of("well", "well", Some("an older one"), 0), Outcome::NotYet(None));
        assert!(matches!(of("well", "refused", Some("r"), 0), Outcome::Failed(_)));
    }

    #[test]
    fn what_a_person_must_do_ends_the_wait() {
        let Outcome::Failed(why) = of("well", "missing", None, 0) else { panic!("it waits") };
        assert!(why.contains("Create it"), "{why}");
    }

    #[test]
    fn trouble_that_was_there_before_gets_time_to_go() {
        assert!(matches!(of("missing", "missing", None, 11), Outcome::NotYet(Some(_))));
        assert!(matches!(of("missing", "missing", None, 12), Outcome::Failed(_)));
    }

    #[test]
    fn what_passes_by_itself_is_waited_for() {
        let Outcome::NotYet(Some(why)) = of("well", "fading", None, 50) else { panic!("another outcome") };
        assert!(too_late(Duration::from_mins(1), Some(why)).contains("within 60 s. IAM at"));
        assert_eq!(of("new", "new", None, 50), Outcome::NotYet(None));
        assert!(too_late(Duration::from_mins(1), None).contains("operator runs"));
    }

    #[test]
    fn one_that_is_suspended_is_not_waited_for() {
        assert!(matches!(of("well", "paused", None, 0), Outcome::Failed(_)));
    }

    #[test]
    fn times_are_as_kubectl_takes_them() {
        for (text, seconds) in [("90s", 90), ("2m", 120), ("1m30s", 90), ("45", 45), ("0s", 0)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["25h", "18446744073709551615", "", "soon", "-5s"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
