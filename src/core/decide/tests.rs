//! One scene in which nothing is left to do; each test changes a thing or two in it.

mod invariants;
mod restarts;
mod trouble;
mod whys;

use serde_json::{Value, json};
use std::time::Duration;

use super::*;
use crate::core::endpoint::{Endpoint, Endpoints};
use crate::core::failure::{Cause, Failure, Kind};
use crate::core::memory::Failed;
use crate::core::observed::Controller;
use crate::core::ownership::Owned;
use crate::core::problem::{ApiKind, ApiProblem};
use crate::core::record::{Mark, Owner};

const UID: &str = "uid-1";

/// With a lifetime of 3600 s and no jitter.
const JOINS: i64 = 1440;
const DUE: i64 = 2880;
const EXPIRED: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn plan(changes: &Value) -> Plan {
    let mut spec = json!({"apiKeySecretRef": {"name": "key"}});
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let endpoints = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    let key = crate::core::view::Key::new("payments", "hpcs");
    Plan::new(&key, &serde_json::from_value(spec).unwrap(), &endpoints.into(), |_| {
        Err(crate::core::problem::Problem::NothingIsLent)
    })
    .unwrap()
}

fn mark(uid: &str, version: u64) -> Mark {
    Mark { uid: uid.into(), version: version.to_string().into() }
}

fn present(facts: Facts) -> Seen {
    Seen::Present(Box::new(facts))
}

fn iam(kind: Kind) -> Problem {
    let endpoint = "https://iam.cloud.ibm.com".into();
    Problem::Iam(Failure { kind, endpoint, status: None, code: None, request_id: None })
}

fn unreachable() -> Problem {
    iam(Kind::Unreachable(Cause::Timeout))
}

fn api(kind: ApiKind) -> Problem {
    Problem::Api(ApiProblem { action: "write Secret hpcs".into(), kind, code: None, fields: vec![] })
}

/// What a decision rests on.
#[derive(Clone, Debug)]
struct Scene {
    plan: Plan,
    generation: i64,
    lender: Option<i64>,
    requested: Option<String>,
    winner: Option<String>,
    last_target: Option<String>,
    source: Seen,
    target: Seen,
    memory: Memory,
    shared: Option<Timestamp>,
}

impl Scene {
    /// The target holds a token of an hour from `at(0)` on, and all is as planned.
    fn settled() -> Self {
        Self::planned(plan(&json!({})), 3600)
    }

    fn planned(plan: Plan, lifetime: u32) -> Self {
        let source = Facts { mark: mark("source", 1), controller: None, record: None, owned: Owned::default() };
        let mut scene = Self {
            plan,
            generation: 1,
            lender: None,
            requested: None,
            winner: None,
            last_target: Some("hpcs".into()),
            source: present(source),
            target: Seen::Absent,
            memory: Memory::default(),
            shared: None,
        };
        scene.refreshed(0, lifetime);
        scene
    }

    /// A token was written to the target.
    fn refreshed(&mut self, second: i64, lifetime: u32) {
        let version = self.target.facts().map_or(0, |facts| facts.mark.version.number().unwrap());
        let record = Record {
            owner: Owner { namespace: "payments".into(), name: "hpcs".into(), uid: UID.into() },
            refreshed_at: at(second),
            lifetime,
            jitter: 0,
            source: self.source.facts().map_or_else(|| mark("source", 1), |facts| facts.mark.clone()),
            credential: "credential".into(),
            token: format!("token-{second}").into(),
            ask: self.plan.ask.clone(),
            shape: self.plan.shape.clone(),
            refresh_requested: self.requested.clone(),
            identity: None,
            skew: 0,
            server_ahead: None,
        };
        self.target = present(Facts {
            mark: mark("target", version + 1),
            controller: Some(Controller { uid: UID.into(), name: "IamToken/hpcs".into() }),
            record: Some(Box::new(record)),
            owned: self.plan.owned(UID),
        });
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Changes the spec; what was written stays as it was.
    fn spec(self, changes: &Value) -> Self {
        self.with(|it| {
            it.plan = plan(changes);
            it.generation += 1;
        })
    }

    /// Somebody else changes labels of the target.
    fn drifted(self) -> Self {
        self.with(|it| it.facts().owned.metadata += 1)
    }

    fn facts(&mut self) -> &mut Facts {
        let Seen::Present(facts) = &mut self.target else { panic!("no target") };
        facts
    }

    fn record(&mut self) -> &mut Record {
        self.facts().record.as_mut().unwrap()
    }

    /// Somebody writes the source Secret.
    fn touch_source(&mut self) {
        let Seen::Present(facts) = &mut self.source else { panic!("no source") };
        facts.mark.version = format!("{}0", facts.mark.version).into();
    }

    fn observed(&self) -> Observed<'_> {
        Observed {
            lender: self.lender,
            name: "hpcs",
            uid: UID,
            generation: self.generation,
            requested: self.requested.as_deref(),
            winner: self.winner.as_deref(),
            last_target: self.last_target.as_deref(),
            source: &self.source,
            target: &self.target,
            memory: &self.memory,
            shared: self.shared,
        }
    }

    fn step(&self, second: i64) -> Step {
        decide(&self.plan, &self.observed(), at(second))
    }

    fn next_look(&self, second: i64) -> Option<Timestamp> {
        next_look(&self.plan, &self.observed(), at(second))
    }

    /// `work` fails.
    fn fail(&mut self, work: Work, problem: Problem, second: i64) {
        let inputs = self.observed().inputs();
        self.memory.failed(Failed { problem, at: at(second), attempts: None, jitter: 0 }, work, inputs);
    }
}

fn refresh(why: Why) -> Step {
    Step::Work(Work::Refresh(why))
}

#[test]
fn nothing_is_left_to_do_for_a_fresh_token() {
    for second in [0, 1, JOINS, DUE - 1] {
        assert_eq!(Scene::settled().step(second), Step::Rest, "{second}");
    }
}

#[test]
fn the_suspended_rest_whatever_else_there_is_to_do() {
    let suspended = || Scene::settled().spec(&json!({"suspend": true}));
    for (name, scene) in [
        ("all is well", suspended()),
        ("another spec", Scene::settled().spec(&json!({"suspend": true, "accountId": "1", "target": {"type": "x"}}))),
        ("a request", suspended().with(|it| it.requested = Some("now".into()))),
        ("a rival", suspended().with(|it| it.winner = Some("older".into()))),
        ("no source", suspended().with(|it| it.source = Seen::Absent)),
        ("no target", suspended().with(|it| it.target = Seen::Absent)),
        ("nothing known", suspended().with(|it| it.target = Seen::Unknown)),
        ("a changed target", suspended().drifted()),
        ("another target before", suspended().with(|it| it.last_target = Some("old".into()))),
        ("trouble", suspended().with(|it| it.fail(Work::Rewrite, unreachable(), 0))),
    ] {
        for second in [0, DUE, EXPIRED] {
            assert_eq!(scene.step(second), Step::Rest, "{name} at {second}");
        }
    }
}

fn rival(scene: Scene) -> Scene {
    scene.with(|it| it.winner = Some("older".into()))
}

#[test]
fn the_younger_of_two_on_one_target_never_writes() {
    let problem = Problem::TargetConflict { name: "hpcs".into(), winner: "older".into() };
    let none = || rival(Scene::settled()).with(|it| it.target = Seen::Absent);
    let older = || Controller { uid: "uid-0".into(), name: "IamToken/older".into() };
    for (name, scene) in [
        ("no target", none()),
        ("the older's target", rival(Scene::settled()).with(|it| it.facts().controller = Some(older()))),
        (
            "a namesake's target",
            rival(Scene::settled()).with(|it| {
                it.facts().controller = None;
                it.record().owner.uid = "old-uid".into();
            }),
        ),
        ("told to adopt", none().spec(&json!({"target": {"adopt": true}}))),
        ("a request", none().with(|it| it.requested = Some("now".into()))),
        ("no source", none().with(|it| it.source = Seen::Absent)),
        ("trouble", none().with(|it| it.fail(Work::Refresh(Why::Missing), unreachable(), 0))),
    ] {
        for second in [0, DUE, EXPIRED] {
            assert_eq!(scene.step(second), Step::Refuse(problem.clone()), "{name} at {second}");
        }
    }
}

#[test]
fn an_older_one_that_comes_later_takes_no_target_from_the_one_that_holds_it() {
    let held = rival(Scene::settled());
    assert_eq!((held.step(0), held.step(DUE), held.step(EXPIRED)), (Step::Rest, refresh(Why::Due), refresh(Why::Due)));
    assert_eq!(held.drifted().step(0), Step::Work(Work::Rewrite));
    let unknown = rival(Scene::settled()).with(|it| it.target = Seen::Unknown);
    assert_eq!(unknown.step(0), Step::Work(Work::Look), "who holds it?");
}

#[test]
fn a_foreign_secret_is_taken_over_only_where_told_and_where_nobody_controls_it() {
    let other = || Controller { uid: "uid-2".into(), name: "Certificate/c".into() };
    let exists = |controller: Option<&str>| {
        Step::Refuse(Problem::TargetExists { name: "hpcs".into(), controller: controller.map(str::to_owned) })
    };
    for (adopt, controller, expected) in [
        (false, None, exists(None)),
        (false, Some(other()), exists(Some("Certificate/c"))),
        (true, Some(other()), exists(Some("Certificate/c"))),
        (true, None, refresh(Why::Missing)),
    ] {
        for noted in [false, true] {
            let scene = Scene::settled().spec(&json!({"target": {"adopt": adopt}})).with(|it| {
                it.facts().controller.clone_from(&controller);
                let other = Owner { namespace: "payments".into(), name: "other".into(), uid: "uid-2".into() };
                it.facts().record =
                    it.facts().record.take().filter(|_| noted).map(|old| Box::new(Record { owner: other, ..*old }));
            });
            assert_eq!(scene.step(0), expected, "adopt {adopt}, {controller:?}, noted {noted}");
        }
    }
}

#[test]
fn adopting_changes_nothing_for_a_target_that_is_ours() {
    assert_eq!(Scene::settled().spec(&json!({"target": {"adopt": true}})).step(0), Step::Rest);
}

#[test]
fn an_unknown_target_is_looked_at_before_anything_else() {
    let unknown = || Scene::settled().with(|it| it.target = Seen::Unknown);
    for (name, scene) in [
        ("nothing else", unknown()),
        ("no source", unknown().with(|it| it.source = Seen::Absent)),
        ("a request", unknown().with(|it| it.requested = Some("now".into()))),
        ("another target before", unknown().with(|it| it.last_target = Some("old".into()))),
    ] {
        assert_eq!(scene.step(EXPIRED), Step::Work(Work::Look), "{name}");
    }
}

#[test]
fn a_target_of_another_shape_or_with_lost_fields_is_rewritten_without_an_exchange() {
    for (name, scene) in [
        ("labels", Scene::settled().spec(&json!({"target": {"labels": {"a": "1"}}}))),
        ("data", Scene::settled().spec(&json!({"target": {"data": [{"key": "t", "format": "Json"}]}}))),
        ("policy", Scene::settled().spec(&json!({"target": {"deletionPolicy": "Retain"}}))),
        ("lost metadata", Scene::settled().drifted()),
        ("lost data", Scene::settled().with(|it| it.facts().owned.data += 1)),
        ("a namesake's", Scene::settled().with(|it| it.facts().owned = it.plan.owned("old-uid"))),
    ] {
        for (second, expected) in
            [(0, Step::Work(Work::Rewrite)), (DUE, refresh(Why::Due)), (EXPIRED, refresh(Why::Due))]
        {
            assert_eq!(scene.step(second), expected, "{name} at {second}");
        }
    }
}

#[test]
fn a_token_that_cannot_be_recovered_is_fetched_anew() {
    let lost = Scene::settled().drifted().with(|it| it.memory.unrecoverable = Some(Box::new(it.facts().mark.clone())));
    assert_eq!(lost.step(0), refresh(Why::Missing));
    let written_since = lost.with(|it| it.facts().mark = mark("target", 9));
    assert_eq!(written_since.step(0), Step::Work(Work::Rewrite), "another state may hold it");
    let as_planned = Scene::settled().with(|it| it.memory.unrecoverable = Some(Box::new(it.facts().mark.clone())));
    assert_eq!(as_planned.step(0), Step::Rest, "nothing need be recovered");
}

#[test]
fn what_an_admission_rule_keeps_changing_is_not_written_for_ever() {
    let changed = Scene::settled().drifted().with(|it| it.memory.written = Some(it.facts().mark.clone()));
    assert_eq!(changed.step(0), Step::Refuse(Problem::TargetAltered { name: "hpcs".into() }));
    assert_eq!(changed.step(DUE), refresh(Why::Due));
}

#[test]
fn a_changed_target_is_rewritten_though_nobody_touched_the_secret_since_our_own_write() {
    let scene = Scene::settled().with(|it| it.memory.written = Some(it.facts().mark.clone()));
    assert_eq!(scene.step(0), Step::Rest);
    assert_eq!(scene.spec(&json!({"target": {"labels": {"a": "1"}}})).step(0), Step::Work(Work::Rewrite));
}

#[test]
fn the_target_before_goes_when_its_successor_is_in_place_and_not_where_it_is_to_stay() {
    let moved = |spec: &Value| Scene::planned(plan(spec), 3600).with(|it| it.last_target = Some("old".into()));
    let remove = Step::Work(Work::Remove);
    for (name, scene, expected) in [
        ("in place", moved(&json!({})), remove.clone()),
        ("the same", moved(&json!({})).with(|it| it.last_target = Some("hpcs".into())), Step::Rest),
        ("none before", moved(&json!({})).with(|it| it.last_target = None), Step::Rest),
        ("to stay", moved(&json!({"target": {"deletionPolicy": "Retain"}})), Step::Rest),
        ("not there yet", moved(&json!({})).with(|it| it.target = Seen::Absent), refresh(Why::Missing)),
        ("not as planned", moved(&json!({})).drifted(), Step::Work(Work::Rewrite)),
        ("requested", moved(&json!({})).with(|it| it.requested = Some("now".into())), refresh(Why::Requested)),
    ] {
        assert_eq!(scene.step(0), expected, "{name}");
    }
    assert_eq!(moved(&json!({})).step(DUE), refresh(Why::Due), "a refresh goes first");
}

#[test]
fn the_next_look_is_at_the_refresh_or_the_expiry_and_never_in_the_past() {
    let (settled, suspended) = (Scene::settled(), Scene::settled().spec(&json!({"suspend": true})));
    for (second, next, of_suspended) in [
        (0, Some(DUE), Some(EXPIRED)),
        (DUE - 1, Some(DUE), Some(EXPIRED)),
        (DUE, Some(EXPIRED), Some(EXPIRED)),
        (EXPIRED - 1, Some(EXPIRED), Some(EXPIRED)),
        (EXPIRED, None, None),
        (EXPIRED + 9, None, None),
    ] {
        assert_eq!(settled.next_look(second), next.map(at), "{second}");
        assert_eq!(suspended.next_look(second), of_suspended.map(at), "suspended, {second}");
    }
    for target in [Seen::Absent, Seen::Unknown] {
        assert_eq!(Scene::settled().with(|it| it.target = target).next_look(0), None);
    }
}

#[test]
fn the_expiry_that_others_are_told_of_is_that_of_a_token_of_ours() {
    assert_eq!(Scene::settled().observed().expires_at(), Some(at(EXPIRED)));
    let foreign = Scene::settled().with(|it| it.facts().controller.as_mut().unwrap().uid = "uid-2".into());
    for scene in [foreign, Scene::settled().with(|it| it.target = Seen::Absent)] {
        assert_eq!(scene.observed().expires_at(), None);
    }
}

#[test]
fn a_target_that_is_fought_over_is_restored_slowly_but_refreshed_and_reshaped_in_time() {
    let fought = |scene: Scene| scene.with(|it| (0..12).for_each(|_| it.memory.repairs.note(at(0))));
    let wait = Step::Wait(Problem::TargetFought { name: "hpcs".into() }, Some(at(16)));
    let drifted = fought(Scene::settled().drifted());
    assert_eq!(drifted.step(15), wait);
    assert_eq!(drifted.step(16), Step::Work(Work::Rewrite));
    let deleted = fought(Scene::settled().with(|it| it.target = Seen::Absent));
    assert_eq!(deleted.step(15), wait);
    assert_eq!(deleted.step(16), refresh(Why::Missing));
    let due = fought(Scene::planned(plan(&json!({})), 20).drifted());
    assert_eq!(due.step(10), refresh(Why::Due));
    let reshaped = fought(Scene::settled()).spec(&json!({"target": {"labels": {"a": "b"}}}));
    assert_eq!(reshaped.step(0), Step::Work(Work::Rewrite));
}
