//! The acts: what a decision asks for, done. Each is one to three requests, and its outcome is a value.

mod restart;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tracing::{Instrument as _, info, info_span, instrument};

use super::context::{Context, Remembered};
use crate::api::Reason;
use crate::cluster::target::Targets;
use crate::cluster::{service_account, source};
use crate::core::asker::Source;
use crate::core::decide::{Observed, Why, Work, is_from_the_future};
use crate::core::digest;
use crate::core::failure::{Failure, Flaw, Kind};
use crate::core::memory::Failed;
use crate::core::observed::{Seen, Standing};
use crate::core::plan::Plan;
use crate::core::problem::{ApiKind, ApiProblem, Problem};
use crate::core::record::{Mark, Owner, Record};
use crate::core::render::{self, Expect};
use crate::core::schedule::since;
use crate::core::short::Short;
use crate::core::status::Note;
use crate::core::view::Key;
use crate::iam::order::Permit;
use crate::iam::share::{Outcome as Answer, Refused, Want};
use crate::iam::{Ask, Credential, Grant};
use crate::telemetry::traces::span;

/// How long a look waits for IAM. The exchange goes on, and the next look joins it.
const PATIENCE: Duration = Duration::from_secs(10);

/// One act for one `IamToken`.
pub(super) struct Job<'a> {
    pub(super) context: &'a Context,
    pub(super) key: &'a Key,
    pub(super) plan: &'a Plan,
    pub(super) observed: &'a Observed<'a>,
    /// Its place among those who work.
    pub(super) place: Option<Arc<Permit>>,
}

/// What became of it.
pub(super) enum Outcome {
    /// It is done, and perhaps worth an event.
    Done(Option<Note>),
    /// IAM has not answered yet, or is not asked yet; look again in a moment.
    Pending,
    /// The target was not as it was thought to be. Nothing was written; look again.
    Lost,
    /// It failed.
    Failed(Failed),
}

// === impl Job ===

impl Job<'_> {
    pub(super) async fn run(&self, work: Work, remembered: &mut Remembered) -> Outcome {
        if !self.context.lead.holds() {
            return Outcome::Lost;
        }
        let result = match work {
            Work::Look => self.look().await,
            Work::Refresh(why) => self.refresh(why, remembered).await,
            Work::Rewrite => self.rewrite(remembered).await,
            Work::Remove => self.remove().await,
            Work::Restart(place) => self.restart(place, remembered).await,
        };
        let outcome = result.unwrap_or_else(|outcome| outcome);
        if let Outcome::Failed(failed) = &outcome {
            span::fail(|| failed.problem.message());
        }
        outcome
    }

    #[instrument(name = "observe", skip_all, fields(target_secret = self.plan.target.name))]
    async fn look(&self) -> Result<Outcome, Outcome> {
        let seen = self.targets().look(&self.plan.target.name).await.map_err(|problem| self.failed(problem))?;
        self.context.with_view(|view| view.looked(&self.target(), seen));
        Ok(Outcome::Done(None))
    }

    /// Reads the key, exchanges it, writes the target.
    async fn refresh(&self, why: Why, remembered: &mut Remembered) -> Result<Outcome, Outcome> {
        let want = self.want(None);
        if let Some(id) = remembered.ask_id(self.plan, self.observed.source)
            && let Some(refused) = self.context.sharing.cooling(id, want)
        {
            return Err(self.of_refusal(refused, want));
        }
        let (credential, mark) = self.credential().await.map_err(|problem| self.failed_by(self.veiled(problem)))?;
        let digest = credential.digest(self.observed.uid);
        let same = self.record().filter(|record| record.credential == digest && record.ask == self.plan.ask);
        if why == Why::SourceChanged && same.is_some() {
            // Not the state that was read, which may be newer: the one that raised the question.
            let asked = self.observed.source.facts().map(|facts| facts.mark.clone());
            remembered.memory.same_key = asked.or(Some(mark)).map(Box::new);
            return Ok(Outcome::Done(None));
        }
        let ask = Ask {
            endpoint: self.plan.asker.endpoint.clone(),
            failover: self.plan.asker.failover.clone(),
            credential,
            profile: self.plan.asker.profile.clone(),
            account_id: self.plan.asker.account_id.clone(),
        };
        let jitter = ask.jitter();
        self.context.follow(self.key, ask.id(), remembered);
        remembered.ask = Some((mark.clone(), self.plan.ask.clone(), ask.id()));
        let now = self.context.now();
        let server_ahead = self.context.server_time.ahead();
        let grant = self.exchange(ask, why, same.filter(|record| !is_from_the_future(record, now))).await?;
        if let Some(lender) = &self.plan.asker.lender {
            self.context.credentials.report(lender, None);
        }
        let record = Record {
            owner: self.owner(),
            refreshed_at: grant.life.since,
            lifetime: u32::try_from(grant.life.lasts.as_secs()).unwrap_or(u32::MAX),
            jitter,
            source: mark,
            credential: digest,
            token: digest::of_secret(self.observed.uid, grant.token.expose_secret()),
            ask: self.plan.ask.clone(),
            shape: self.plan.shape.clone(),
            refresh_requested: self.observed.requested.map(str::to_owned),
            identity: Some(grant.identity).filter(|identity| *identity != crate::api::Identity::default()),
            skew: grant.skew,
            server_ahead,
        };
        remembered.memory.written = self.write(&record, &grant.token).await?;
        remembered.memory.wrote(&record.token);
        remembered.memory.routine.granted(grant.life);
        info!(iamtoken = %self.key, target_secret = self.plan.target.name, ?why, expires_at = %record.life().expires_at(), "refreshed");
        let repair = why == Why::Missing && self.observed.had_target(self.plan);
        Ok(Outcome::Done(repair.then(|| self.repaired(remembered))))
    }

    /// Reads the key, or asks for a token of the ServiceAccount; and the state of the Secret, where there is one.
    #[instrument(name = "observe", skip_all, fields(source = self.source()))]
    async fn credential(&self) -> Result<(Credential, Mark), Problem> {
        let read = self.read().await;
        read.inspect_err(|problem| span::fail(|| problem.message()))
    }

    async fn read(&self) -> Result<(Credential, Mark), Problem> {
        let client = &self.context.client;
        let namespace = self.plan.asker.namespace(&self.key.namespace);
        match &self.plan.asker.source {
            Source::ApiKey { name, key } => {
                let (key, mark) = source::read(client, namespace, name, key).await?;
                Ok((Credential::ApiKey(key), mark))
            }
            Source::ServiceAccount { name } => {
                let who = Key::new(namespace, name.as_str());
                if self.context.is_own(&who).await.map_err(Problem::Api)? {
                    return Err(Problem::OwnServiceAccount { name: name.clone() });
                }
                let token = service_account::token(client, &who).await?;
                let none = Mark { uid: Short::default(), version: Short::default() };
                Ok((Credential::ServiceAccount { who, token }, none))
            }
        }
    }

    /// `same` is the record of the token in place, where that is of the same credential.
    #[instrument(skip_all, fields(
        ?why,
        endpoint = %ask.endpoint,
        result,
        shared,
        transaction_id,
        http.response.status_code,
    ))]
    async fn exchange(&self, ask: Ask, why: Why, same: Option<&Record>) -> Result<Grant, Outcome> {
        let jitter = ask.jitter();
        let refused = |kind| {
            let failure = Failure::unanswered(kind, &self.plan.asker.endpoint);
            // It is of this token alone, and no news of a credential that is lent.
            let problem = self.plan.asker.veiled(Problem::Iam(failure));
            Outcome::Failed(Failed { problem, at: self.context.now(), attempts: None, jitter })
        };
        let want = self.want(same);
        match self.context.sharing.ask(ask, want, self.place.clone()).await {
            Answer::Refused(refused) => Err(self.of_refusal(refused, want)),
            Answer::Pending => Err(Outcome::Pending),
            Answer::Granted(grant) if !want.is_outlived_by(&grant) => Err(refused(Kind::Unusable(Flaw::ShorterLived))),
            Answer::Granted(grant) => Ok(grant),
        }
    }

    /// Writes the token that the target holds once more, as the spec wants it.
    async fn rewrite(&self, remembered: &mut Remembered) -> Result<Outcome, Outcome> {
        let name = &self.plan.target.name;
        let (Standing::Ours(facts), Some(record)) = (self.observed.standing(), self.record()) else {
            return Err(Outcome::Lost);
        };
        let observe = info_span!("observe", target_secret = name);
        let payload = self.targets().payload(name).instrument(observe).await.map_err(|problem| self.failed(problem))?;
        let Some(token) = render::recover(self.observed.uid, record, &payload) else {
            remembered.memory.unrecoverable = Some(Box::new(facts.mark.clone()));
            return Ok(Outcome::Done(None));
        };
        let drifted = record.shape == self.plan.shape;
        let (owner, server_ahead) = (self.owner(), self.context.server_time.ahead());
        let record = Record { owner, shape: self.plan.shape.clone(), server_ahead, ..record.clone() };
        remembered.memory.written = self.write(&record, &token).await?;
        remembered.memory.wrote(&record.token);
        info!(iamtoken = %self.key, target_secret = name, drifted, "rewritten");
        Ok(Outcome::Done(drifted.then(|| self.repaired(remembered))))
    }

    /// Removes the Secret that was the target before, if it is still ours.
    #[instrument(skip_all, fields(target_secret = self.observed.last_target))]
    async fn remove(&self) -> Result<Outcome, Outcome> {
        let Some(name) = self.observed.last_target else { return Ok(Outcome::Done(None)) };
        let seen = self.targets().look(name).await.map_err(|problem| self.failed(problem))?;
        let ours = |owner: &Owner| owner.uid == *self.observed.uid;
        if let Standing::Ours(facts) = Standing::of(&seen, &self.key.name, self.observed.uid)
            && facts.record.as_ref().is_some_and(|record| ours(&record.owner))
        {
            self.targets().remove(name, &facts.mark).await.map_err(|problem| self.failed(problem))?;
            info!(iamtoken = %self.key, target_secret = name, "the target before was removed");
        }
        Ok(Outcome::Done(None))
    }

    /// One server-side apply, which fails where the target is not as it was seen. Returns what it left.
    #[instrument(name = "apply", skip_all, fields(target_secret = self.plan.target.name))]
    async fn write(&self, record: &Record, token: &SecretString) -> Result<Option<Mark>, Outcome> {
        let expect = match self.observed.target {
            Seen::Present(facts) => {
                Expect::Exactly { uid: facts.mark.uid.clone(), version: facts.mark.version.clone() }
            }
            Seen::Absent | Seen::Unknown => Expect::Absent,
        };
        if !self.context.lead.holds() {
            return Err(Outcome::Lost);
        }
        let secret = render::secret(self.plan, record, token, &expect).map_err(|problem| self.failed_by(problem))?;
        match self.targets().apply(&secret).await {
            Ok(facts) => {
                let mark = facts.as_ref().map(|facts| facts.mark.clone());
                let woken = self.context.with_view(|view| view.present(&self.target(), || facts));
                self.context.wake(woken.into_iter().filter(|key| key != self.key).collect());
                Ok(mark)
            }
            Err(problem) if problem.kind == ApiKind::Conflict => {
                self.context.with_view(|view| view.forget(&self.target()));
                Err(Outcome::Lost)
            }
            Err(problem) => Err(self.failed(problem)),
        }
    }

    /// `same` is the record of the token in place, where that is of the same credential.
    fn want(&self, same: Option<&Record>) -> Want {
        let expires_at = self.observed.expires_at();
        let left = expires_at.map(|at| since(at, self.context.now())).filter(|left| !left.is_zero());
        Want {
            newer_than: same.map(|record| record.refreshed_at),
            outlives: same.and(expires_at),
            expires_at,
            insisted_since: self.observed.insisted_since(),
            patience: left.map_or(PATIENCE, |left| left.min(PATIENCE)),
        }
    }

    fn failed(&self, problem: ApiProblem) -> Outcome {
        self.failed_by(Problem::Api(problem))
    }

    fn failed_by(&self, problem: Problem) -> Outcome {
        span::fail(|| problem.message());
        let jitter = u16::from_be_bytes([digest::of_parts(&[self.observed.uid])[0], 0]);
        Outcome::Failed(Failed { problem, at: self.context.now(), attempts: None, jitter })
    }

    /// One text for all repairs: events that differ in nothing else are counted as one.
    fn repaired(&self, remembered: &mut Remembered) -> Note {
        remembered.memory.repairs.note(self.context.now());
        let name = &self.plan.target.name;
        let text = format!("Secret {name} was deleted or changed by somebody else and has been restored.");
        Note { warning: false, reason: Reason::TargetRepaired, text, related: None }
    }

    /// As traces name it.
    fn source(&self) -> String {
        let namespace = self.plan.asker.namespace(&self.key.namespace);
        match &self.plan.asker.source {
            Source::ApiKey { name, .. } => format!("Secret {namespace}/{name}"),
            Source::ServiceAccount { name } => format!("ServiceAccount {namespace}/{name}"),
        }
    }

    fn owner(&self) -> Owner {
        Owner { namespace: self.key.namespace.clone(), name: self.key.name.clone(), uid: self.observed.uid.into() }
    }

    fn record(&self) -> Option<&Record> {
        self.observed.standing().record()
    }

    fn target(&self) -> Key {
        self.key.sibling(&self.plan.target.name)
    }

    fn targets(&self) -> Targets {
        Targets::new(&self.context.client, &self.key.namespace)
    }

    /// A problem with the credential, as the IamToken tells it. Where the credential is lent, its admin is told all.
    fn veiled(&self, problem: Problem) -> Problem {
        if let Some(lender) = &self.plan.asker.lender {
            self.context.credentials.report(lender, Some(&problem));
        }
        self.plan.asker.veiled(problem)
    }

    /// A failure from before a person asked is no answer to them: their own try follows in a moment.
    fn of_refusal(&self, refused: Refused, want: Want) -> Outcome {
        if refused.yields_to(want) {
            return Outcome::Pending;
        }
        Outcome::Failed(Failed {
            problem: self.veiled(Problem::Iam(refused.failure)),
            at: refused.failed_at,
            attempts: Some(refused.attempts),
            jitter: refused.jitter,
        })
    }
}
