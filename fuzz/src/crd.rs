//! Objects as the API server gives them: what is decided about them, and what is said in their status.

use iam_token_operator::api::{ClusterIamCredentialStatus, IamTokenStatus, REFRESH_REQUESTED, WorkloadStatus};
use iam_token_operator::core::decide::{Observed, Step, Work, deadline, decide, next_look};
use iam_token_operator::core::failure::{Failure, Kind};
use iam_token_operator::core::key_health::{self, ApiKey};
use iam_token_operator::core::memory::{Failed, Memory};
use iam_token_operator::core::observed::{Seen, Standing};
use iam_token_operator::core::plan::Plan;
use iam_token_operator::core::problem::Problem;
use iam_token_operator::core::record::Record;
use iam_token_operator::core::restart::MOST_WORKLOADS;
use iam_token_operator::core::status::{Situation, next, transition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::is_time_for_go;
use super::record::written;
use super::scene::{Scene, defaults, key};

const UID: &str = "uid-1";

const PLANNED: &str = "planned";

/// The longest message of a condition that the API server takes (Kubernetes API, `Condition`), in characters.
const LONGEST: usize = 32_768;

/// The last second that a clock is thought to show: a day later time itself ends.
const LAST: i64 = 253_402_100_000;

/// A [`Scene`].
pub fn crd(data: &[u8]) {
    let Some(mut scene) = Scene::read(data) else { return };
    lend(&mut scene);
    let Some(spec) = scene.token.spec.clone() else { return };
    assert!(same(&spec), "the spec is read otherwise the second time");
    let lend = |name: &str| scene.lenders.lend(name, &key().namespace).cloned();
    match Plan::new(&key(), &spec, &defaults(), lend) {
        Ok(plan) => {
            assert!(plan.restart.workloads.len() <= MOST_WORKLOADS);
            written(&plan);
            let name = requested(&scene);
            let mut world = World { plan: &plan, requested: name.as_deref(), memory: Memory::default(), scene };
            world.run();
        }
        Err(problem) => assert!(!problem.message().is_empty()),
    }
}

/// The status of what is lent: it is told once, and as the API server takes it.
fn lend(scene: &mut Scene) {
    for now in scene.looks {
        for news in scene.lenders.news(now) {
            assert!(!is_shown(now) || same(&news.status), "the status is read otherwise the second time");
            let ClusterIamCredentialStatus { conditions, .. } = &news.status;
            assert!(conditions.iter().all(is_short));
            let broken = Some(Problem::Undecodable { kind: "IamToken" });
            scene.lenders.report(&news.name, news.status.observed_generation.unwrap_or_default(), broken);
        }
        let again = scene.lenders.news(now).len();
        assert!(again <= 1 && scene.lenders.news(now).is_empty(), "a status is told again and again");
    }
}

fn requested(scene: &Scene) -> Option<String> {
    scene.token.metadata.annotations.as_ref()?.get(REFRESH_REQUESTED).cloned()
}

/// An `IamToken` for which all that is tried fails.
struct World<'a> {
    plan: &'a Plan,
    requested: Option<&'a str>,
    memory: Memory,
    scene: Scene,
}

impl World<'_> {
    fn run(&mut self) {
        let mut before = self.scene.token.status.take().unwrap_or_default();
        self.fit();
        self.memory.correct(&mut self.scene.target, self.scene.ahead);
        for now in self.scene.looks {
            self.memory.note_request(self.requested, now);
            let digest = self.record().map(|record| record.token.clone());
            self.memory.restarts.recall(&before.restarts, &self.plan.restart.workloads, digest.as_ref());
            let step = self.act(&before, now);
            before = self.say(&before, &step, now);
        }
    }

    /// No fuzzer draws a digest: `planned` stands for those of the plan.
    fn fit(&mut self) {
        let Seen::Present(facts) = &mut self.scene.target else { return };
        let Some(record) = &mut facts.record else { return };
        if record.ask == *PLANNED {
            record.ask.clone_from(&self.plan.ask);
        }
        if record.shape == *PLANNED {
            record.shape.clone_from(&self.plan.shape);
            facts.owned = self.plan.owned(UID);
        }
    }

    fn observed<'o>(&'o self, before: &'o IamTokenStatus, memory: &'o Memory) -> Observed<'o> {
        Observed {
            name: "hpcs",
            uid: UID,
            generation: self.scene.token.metadata.generation.unwrap_or_default(),
            requested: self.requested,
            winner: None,
            last_target: before.target.as_ref().map(|target| target.name.as_str()),
            lender: self.plan.asker.lender.as_ref().map(|lender| lender.generation),
            source: &self.scene.source,
            target: &self.scene.target,
            memory,
            shared: None,
        }
    }

    fn record(&self) -> Option<&Record> {
        self.scene.target.facts()?.record.as_deref()
    }

    /// Tries what is decided until nothing is left to try at that time. What has failed is not tried again at once.
    fn act(&mut self, before: &IamTokenStatus, now: Timestamp) -> Step {
        for _ in 0..8 + MOST_WORKLOADS {
            let memory = self.memory.clone();
            let observed = self.observed(before, &memory);
            let step = decide(self.plan, &observed, now);
            if let Step::Work(work) = step {
                let _ = deadline(work, &observed, now);
            }
            assert!(next_look(self.plan, &observed, now).is_none_or(|at| at > now), "a look at a time that has passed");
            let inputs = observed.inputs();
            match &step {
                Step::Work(Work::Restart(place)) => self.restart(*place, now),
                Step::Work(work) => self.memory.failed(self.failed(now), *work, inputs),
                Step::Wait(_, until) => {
                    assert!(until.is_none_or(|at| at > now), "a wait for a time that has passed");
                    return step;
                }
                Step::Rest | Step::Refuse(_) => return step,
            }
        }
        assert!(now.as_second() > LAST, "there is no end to what is tried");
        Step::Rest
    }

    fn failed(&self, at: Timestamp) -> Failed {
        let kind = Kind::Throttled(self.scene.retry_after);
        let failure = Failure { kind, endpoint: String::new(), status: None, code: None, request_id: None };
        Failed { problem: Problem::Iam(failure), at, attempts: None, jitter: self.scene.jitter }
    }

    /// Every other restart fails.
    fn restart(&mut self, place: usize, now: Timestamp) {
        let (failed, Some(record)) = (self.failed(now), self.record().cloned()) else {
            unreachable!("without a token")
        };
        let workload = &self.plan.restart.workloads[place];
        let same = |done: &&WorkloadStatus| done.kind == workload.kind && done.name == workload.name;
        let last = self.memory.restarts.done.iter().find(same);
        assert!(last.is_none_or(|last| record.token != *last.token_digest), "restarted twice for one token");
        if place.is_multiple_of(2) {
            self.memory.restarts.restarted(workload, &record, now);
        } else {
            self.memory.restarts.failed(
                workload,
                &record,
                self.scene.token.metadata.generation.unwrap_or_default(),
                failed,
            );
        }
    }

    /// The next status is one that the API server takes, and says the same where it is read again.
    fn say(&self, before: &IamTokenStatus, step: &Step, now: Timestamp) -> IamTokenStatus {
        let observed = self.observed(before, &self.memory);
        let standing = observed.standing();
        let situation = Situation {
            generation: observed.generation,
            target: matches!(standing, Standing::Ours(_)).then_some(self.plan.target.name.as_str()),
            record: standing.record(),
            unknown: self.scene.target == Seen::Unknown,
            intact: self.scene.target.facts().is_some_and(|facts| facts.data_is_intact(self.plan, UID)),
            renew_before: self.plan.renew_before,
            suspended: self.plan.suspend,
            problem: match step {
                Step::Refuse(problem) | Step::Wait(problem, _) => Some(problem),
                Step::Rest | Step::Work(_) => None,
            },
            api_key: ApiKey::of(&self.plan.asker, self.scene.known),
        };
        let mut after = next(before, &situation, now);
        after.restarts.clone_from(&self.memory.restarts.done);
        let _ = (transition(before, &after), key_health::transition(before, &after));
        assert!(after.conditions.iter().all(is_short));
        let could_be = same(before) && times(before).iter().all(|time| is_time_for_go(time));
        if could_be && is_shown(now) {
            let times = times(&after);
            assert!(times.iter().all(|time| is_time_for_go(time)), "the API server would refuse the status: {times:?}");
            assert!(same(&after), "the status is read otherwise than it was written");
            let again = IamTokenStatus { restarts: after.restarts.clone(), ..next(&after, &situation, now) };
            assert_eq!(again, after, "the status would be written again and again");
        }
        after
    }
}

/// Whether some clock may show it.
fn is_shown(now: Timestamp) -> bool {
    (0..=LAST).contains(&now.as_second())
}

fn is_short(condition: &Condition) -> bool {
    condition.message.chars().count() <= LONGEST
}

/// All times of a status, as they are written.
fn times(status: &IamTokenStatus) -> Vec<String> {
    let own = [&status.expires_at, &status.refresh_at, &status.refreshed_at, &status.api_key_expires_at];
    let conditions = status.conditions.iter().map(|condition: &Condition| &condition.last_transition_time);
    let restarts = status.restarts.iter().flat_map(|done| [&done.restarted_at, &done.expires_at]);
    let all = own.into_iter().flatten().chain(conditions).chain(restarts);
    all.map(|time| serde_json::to_value(time).ok().and_then(|text| Some(text.as_str()?.to_owned())).unwrap_or_default())
        .collect()
}

/// Whether it is read as it was written.
fn same<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> bool {
    let read = serde_json::to_value(value).and_then(serde_json::from_value::<T>);
    read.is_ok_and(|read| read == *value)
}
