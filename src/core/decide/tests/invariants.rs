//! What holds for every input. The inputs are drawn from a fixed seed, so that a failure repeats itself.

use super::*;
use crate::core::failure::{Flaw, Verdict};
use crate::core::schedule::{Life, RenewBefore, Retry};

const ROUNDS: u64 = 5000;

/// `999999h999999h999999h`, the longest that the CRD admits, in seconds.
const LONGEST_SPAN: u64 = 3 * 999_999 * 3600;

/// A linear congruential generator (Knuth, MMIX).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }

    fn jitter(&mut self) -> u16 {
        u16::try_from(self.below(65_536)).unwrap()
    }

    fn second(&mut self, end: u64) -> i64 {
        i64::try_from(self.below(end)).unwrap()
    }

    fn renew(&mut self) -> RenewBefore {
        let percent = u32::try_from(self.below(50)).unwrap() + 1;
        let spans = [0, 1, 150, 720, 3600, 86_400, LONGEST_SPAN].map(Duration::from_secs);
        let span = self.one_of(&spans);
        if self.coin() { RenewBefore::Percent(percent) } else { RenewBefore::Span(span) }
    }

    fn lifetime(&mut self) -> u32 {
        let any = u32::try_from(self.below(86_400)).unwrap() + 1;
        self.one_of(&[1, 2, 60, 300, 900, 1200, 3600, 86_400, any, any])
    }

    fn problem(&mut self) -> Problem {
        let after = Some(Duration::from_secs(self.below(4000)));
        self.one_of(&[
            unreachable(),
            iam(Kind::Unavailable(None)),
            iam(Kind::Unavailable(after)),
            iam(Kind::Throttled(after)),
            iam(Kind::Unusable(Flaw::NotJson)),
            iam(Kind::Rejected(Verdict::NotFound)),
            iam(Kind::Rejected(Verdict::Locked)),
            api(ApiKind::Denied),
            api(ApiKind::Unavailable),
            api(ApiKind::TooLarge),
            Problem::SourceNotFound { name: "key".into() },
        ])
    }

    /// Any scene at all, but for the plan, which is one of a few.
    fn scene(&mut self) -> Scene {
        let spec = self.one_of(&[
            json!({}),
            json!({"suspend": true}),
            json!({"accountId": "1"}),
            json!({"target": {"type": "x"}}),
            json!({"target": {"deletionPolicy": "Retain", "adopt": true}}),
        ]);
        let mut scene = Scene::planned(plan(&json!({})), self.lifetime()).spec(&spec);
        scene.plan.renew_before = self.renew();
        scene.record().jitter = self.jitter();
        scene.requested = self.one_of(&[None, None, Some("a".into())]);
        scene.winner = self.one_of(&[None, None, None, Some("older".into())]);
        scene.last_target = self.one_of(&[None, Some("hpcs".into()), Some("old".into())]);
        let shared = at(self.second(4000));
        scene.shared = self.one_of(&[None, Some(shared)]);
        if self.below(3) == 0 {
            scene = scene.drifted();
        }
        if self.below(4) == 0 {
            scene.facts().controller = None;
        }
        if self.below(4) == 0 {
            scene.facts().record = None;
        }
        let here = self.target_or(&scene);
        scene.memory.unrecoverable = self.one_of(&[None, None, here.clone()]).map(Box::new);
        scene.memory.written = self.one_of(&[None, None, here]);
        scene.source = self.one_of(&[scene.source.clone(), scene.source.clone(), Seen::Absent, Seen::Unknown]);
        scene.target = self.one_of(&[scene.target.clone(), scene.target.clone(), Seen::Absent, Seen::Unknown]);
        if self.coin() {
            let works = [Work::Look, Work::Refresh(Why::Due), Work::Rewrite, Work::Remove];
            let (work, problem, second) = (self.one_of(&works), self.problem(), self.second(4000));
            scene.fail(work, problem, second);
        }
        scene
    }

    fn target_or(&mut self, scene: &Scene) -> Option<Mark> {
        scene.target.facts().map(|facts| facts.mark.clone()).filter(|_| self.coin())
    }
}

#[test]
fn every_step_is_a_fit_one() {
    let mut draw = Draw(1);
    for round in 0..ROUNDS {
        let (scene, second) = (draw.scene(), draw.second(5000));
        let (now, observed) = (at(second), scene.observed());
        let step = scene.step(second);
        let context = || format!("round {round}: {step:?} at {second} in {scene:#?}");
        let standing = observed.standing();
        let as_planned = matches!(standing, Standing::Ours(facts) if facts.is_as_planned(&scene.plan, UID));
        let asked = standing.record().is_some_and(|record| record.ask == scene.plan.ask);
        assert!(!scene.plan.suspend || step == Step::Rest, "{}", context());
        let fits = match &step {
            Step::Rest => scene.plan.suspend || asked && observed.expires_at() > Some(now),
            Step::Refuse(_) => {
                let in_vain = scene.memory.written.as_ref() == scene.target.facts().map(|facts| &facts.mark);
                let stopped = scene.winner.is_some() || scene.source == Seen::Absent;
                stopped || matches!(standing, Standing::Foreign(_)) || in_vain && !as_planned
            }
            Step::Wait(_, until) => until.is_none_or(|until| until > now),
            Step::Work(Work::Look) => scene.target == Seen::Unknown,
            Step::Work(Work::Refresh(_)) => scene.source != Seen::Absent && scene.target != Seen::Unknown,
            Step::Work(Work::Rewrite) => asked && !as_planned && observed.expires_at() > Some(now),
            Step::Work(Work::Remove) => {
                let stray = scene.last_target.as_deref().is_some_and(|last| last != "hpcs");
                asked && stray && !scene.plan.target.retain
            }
            Step::Work(Work::Restart(place)) => *place < scene.plan.restart.workloads.len(),
        };
        assert!(fits, "{}", context());
        let may_work = (scene.winner.is_none() || scene.target == Seen::Unknown || standing.is_held_by(UID))
            && match standing {
                Standing::Foreign(controller) => controller.is_none() && scene.plan.target.adopt,
                _ => true,
            };
        assert!(may_work || !matches!(step, Step::Work(_)), "{}", context());
        assert!(scene.next_look(second).is_none_or(|look| look > now), "{}", context());
    }
}

#[test]
fn a_refresh_is_due_between_half_the_life_and_the_kubelets_lag() {
    let mut draw = Draw(2);
    for round in 0..ROUNDS {
        let lasts = Duration::from_secs(draw.lifetime().into());
        let (life, renew, jitter) = (Life { since: at(0), lasts }, draw.renew(), draw.jitter());
        let due = Duration::try_from(life.refresh_at(renew, jitter).duration_since(at(0))).unwrap();
        let lag = Duration::from_secs(150).min(lasts / 2);
        assert!(due >= lasts / 2 && due + lag <= lasts, "round {round}: {due:?} of {lasts:?}, {renew:?}, {jitter}");
        let joins = life.joins_from(renew, jitter);
        assert!(joins >= at(0) && joins < life.refresh_at(renew, jitter), "round {round}");
    }
}

#[test]
fn nothing_is_due_for_the_first_45_percent_of_a_life() {
    let mut draw = Draw(3);
    for round in 0..ROUNDS {
        let mut scene = Scene::planned(plan(&json!({})), draw.lifetime());
        scene.plan.renew_before = draw.renew();
        scene.record().jitter = draw.jitter();
        let lifetime = scene.record().lifetime;
        let second = draw.second(u64::from(lifetime) * 45 / 100 + 1);
        assert_eq!(scene.step(second), Step::Rest, "round {round}: {second} of {lifetime}");
        assert!(scene.next_look(second) > Some(at(second)), "round {round}");
    }
}

#[test]
fn a_retry_follows_its_failure_and_a_passing_one_stays_within_a_quarter() {
    let mut draw = Draw(4);
    for round in 0..ROUNDS {
        let (problem, attempts) = (draw.problem(), draw.one_of(&[1, 2, 3, 9, 40, u32::MAX]));
        let inputs = Scene::settled().observed().inputs();
        let (work, jitter) = (Work::Refresh(Why::Due), draw.jitter());
        let trouble = Trouble { work, problem, attempts, failed_at: at(0), jitter, inputs };
        let left = draw.one_of(&[None, Some(-5), Some(0), Some(1), Some(20), Some(720), Some(3600)]);
        let Some(again) = trouble.retry_at(left.map(at)) else {
            assert_eq!(trouble.problem.retry(), Retry::OnChange);
            continue;
        };
        let wait = again.duration_since(at(0)).as_secs_f64();
        assert!(wait >= 1.0, "round {round}: {wait} s in {trouble:?}");
        let quarter = left.filter(|left| *left > 0).map(|left| f64::from(i32::try_from(left).unwrap()) / 4.0);
        if let (Retry::Soon, Some(quarter)) = (trouble.problem.retry(), quarter) {
            assert!(wait <= quarter.max(1.0), "round {round}: {wait} s with {left:?} s left in {trouble:?}");
        }
    }
}

/// The first promise: where IAM comes back at least ten seconds before the token dies, no reader ever sees it dead.
#[test]
fn a_token_never_dies_where_iam_comes_back_in_time() {
    let mut draw = Draw(5);
    for round in 0..300 {
        let lifetime = draw.one_of(&[60_u32, 300, 900, 1200, 3600]);
        let mut scene = Scene::planned(plan(&json!({})), lifetime);
        scene.record().jitter = draw.jitter();
        let mut back = 0;
        let mut now = at(0);
        for _ in 0..200 {
            let dies = scene.observed().expires_at().unwrap();
            assert!(now < dies, "round {round}: dead at {now}, IAM back at {}", at(back));
            let second = now.as_second() - at(0).as_second();
            now = match decide(&scene.plan, &scene.observed(), now) {
                Step::Work(work @ Work::Refresh(_)) if second < back => {
                    let problem =
                        draw.one_of(&[unreachable(), iam(Kind::Throttled(None)), iam(Kind::Unavailable(None))]);
                    let failed = Failed { problem, at: now, attempts: None, jitter: draw.jitter() };
                    let inputs = scene.observed().inputs();
                    scene.memory.failed(failed, work, inputs);
                    now
                }
                Step::Work(work @ Work::Refresh(_)) => {
                    scene.refreshed(second, lifetime);
                    scene.record().jitter = draw.jitter();
                    scene.memory.succeeded(work, None);
                    back = second + draw.second(u64::from(lifetime) - 10);
                    now
                }
                Step::Wait(_, Some(again)) => again,
                Step::Rest => scene.next_look(second).unwrap(),
                other => panic!("round {round}: {other:?}"),
            };
        }
    }
}
