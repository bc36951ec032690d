//! What becomes of a try that failed.

use super::*;
use crate::core::failure::Verdict;

/// A refresh that was due has failed.
fn failing(problem: Problem) -> Scene {
    Scene::settled().with(|it| it.fail(Work::Refresh(Why::Due), problem, DUE))
}

fn waits(problem: &Problem, until: Option<i64>) -> Step {
    Step::Wait(problem.clone(), until.map(at))
}

fn denied() -> Problem {
    api(ApiKind::Denied)
}

fn no_key() -> Problem {
    Problem::SourceKeyNotFound { name: "key".into(), key: "apikey".into() }
}

#[test]
fn a_failed_try_is_repeated_at_its_time_and_not_before() {
    for (problem, wait) in [
        (unreachable(), 2),
        (iam(Kind::Throttled(Some(Duration::from_secs(90)))), 90),
        (iam(Kind::Rejected(Verdict::NotFound)), 60),
        (iam(Kind::Rejected(Verdict::Locked)), 1800),
    ] {
        let scene = failing(problem.clone());
        let again = DUE + wait;
        assert_eq!(scene.step(DUE), waits(&problem, Some(again)));
        assert_eq!(scene.step(again - 1), waits(&problem, Some(again)));
        assert_eq!(scene.step(again), refresh(Why::Due));
    }
}

#[test]
fn what_takes_a_change_waits_for_ever() {
    for problem in [no_key(), api(ApiKind::Immutable), api(ApiKind::TooLarge)] {
        let scene = failing(problem.clone());
        for second in [DUE, EXPIRED, 100 * EXPIRED] {
            assert_eq!(scene.step(second), waits(&problem, None), "{second}");
        }
    }
}

#[test]
fn each_changed_input_makes_a_new_try_at_once() {
    for problem in [unreachable(), no_key()] {
        for (name, scene) in [
            ("the spec", failing(problem.clone()).with(|it| it.generation += 1)),
            ("the lender", failing(problem.clone()).with(|it| it.lender = Some(2))),
            ("a request", failing(problem.clone()).with(|it| it.requested = Some("now".into()))),
            ("the source", failing(problem.clone()).with(Scene::touch_source)),
            (
                "the source, made anew",
                failing(problem.clone()).with(|it| {
                    let Seen::Present(facts) = &mut it.source else { panic!() };
                    facts.mark.uid = "anew".into();
                }),
            ),
            ("the target", failing(problem.clone()).with(|it| it.facts().mark = mark("target", 9))),
        ] {
            assert!(matches!(scene.step(DUE), Step::Work(Work::Refresh(_))), "{name}");
        }
        let deleted = failing(problem.clone()).with(|it| it.target = Seen::Absent);
        assert_eq!(deleted.step(DUE), refresh(Why::Missing));
        assert!(matches!(failing(problem).step(DUE), Step::Wait(..)), "but nothing has changed");
    }
}

#[test]
fn what_is_no_input_makes_no_new_try() {
    let scene = failing(no_key());
    for scene in [
        scene.clone().with(|it| it.shared = Some(at(DUE))),
        scene.clone().with(|it| it.memory.same_key = Some(Box::new(mark("source", 7)))),
        scene.with(|it| it.last_target = None),
    ] {
        assert_eq!(scene.step(DUE), waits(&no_key(), None));
    }
}

#[test]
fn a_source_that_appears_makes_a_new_try() {
    let problem = Problem::SourceNotFound { name: "key".into() };
    let unknown = Scene::settled().with(|it| {
        it.source = Seen::Unknown;
        it.fail(Work::Refresh(Why::Due), problem.clone(), DUE);
    });
    assert_eq!(unknown.step(DUE), waits(&problem, None));
    let absent = unknown.with(|it| it.source = Seen::Absent);
    assert!(matches!(absent.step(DUE), Step::Wait(..) | Step::Refuse(_)));
    let there = absent.with(|it| it.source = Scene::settled().source);
    assert_eq!(there.step(DUE), refresh(Why::Due));
}

#[test]
fn a_failing_refresh_does_not_stop_a_rewrite() {
    for problem in [unreachable(), no_key()] {
        let scene = failing(problem.clone()).drifted();
        assert_eq!(scene.step(DUE), Step::Work(Work::Rewrite));
        assert_eq!(scene.step(EXPIRED), if problem == no_key() { waits(&problem, None) } else { refresh(Why::Due) });
    }
}

#[test]
fn a_failing_rewrite_stops_rewrites() {
    let scene = Scene::settled().drifted().with(|it| it.fail(Work::Rewrite, denied(), 0));
    assert_eq!(scene.step(1), waits(&denied(), Some(2)));
    assert_eq!(scene.step(2), Step::Work(Work::Rewrite));
}

#[test]
fn a_failing_look_or_removal_is_repeated_at_its_time() {
    let unavailable = api(ApiKind::Unavailable);
    let unknown = Scene::settled().with(|it| it.target = Seen::Unknown);
    let stray = Scene::settled().with(|it| it.last_target = Some("old".into()));
    for (scene, work) in [(unknown, Work::Look), (stray, Work::Remove)] {
        let scene = scene.with(|it| it.fail(work, unavailable.clone(), 0));
        assert_eq!(scene.step(1), waits(&unavailable, Some(2)), "{work:?}");
        assert_eq!(scene.step(2), Step::Work(work));
    }
}

#[test]
fn a_failing_removal_of_another_secret_does_not_let_the_token_expire() {
    let minute = Scene::planned(plan(&json!({})), 60).with(|it| it.last_target = Some("old".into()));
    let scene = minute.with(|it| it.fail(Work::Remove, denied(), 1));
    let refreshed = (1..60).any(|second| scene.step(second) == refresh(Why::Due));
    assert!(refreshed, "no refresh was tried, though nothing stood in its way: {:?} at 59", scene.step(59));
}

#[test]
fn a_request_is_insisted_upon_from_when_it_was_first_seen_until_it_is_answered() {
    let seen = |scene: Scene, value: &str, second| {
        scene.with(|it| {
            it.requested = Some(value.into());
            it.memory.note_request(Some(value), at(second));
        })
    };
    assert_eq!(failing(unreachable()).observed().insisted_since(), None, "nobody asked");
    let asked = seen(seen(failing(unreachable()), "now", 5), "now", 9);
    assert_eq!(asked.observed().insisted_since(), Some(at(5)));
    let again = seen(asked.clone(), "again", 9);
    assert_eq!(again.observed().insisted_since(), Some(at(9)));
    let answered = asked.with(|it| it.record().refresh_requested = Some("now".into()));
    assert_eq!(answered.observed().insisted_since(), None);
}

#[test]
fn attempts_are_counted_for_each_reason() {
    let attempts = |scene: &Scene| scene.memory.trouble.as_ref().unwrap().attempts;
    let mut scene = failing(unreachable());
    assert_eq!(attempts(&scene), 1);
    scene.fail(Work::Refresh(Why::Due), iam(Kind::Unreachable(Cause::Dns)), DUE + 2);
    assert_eq!(attempts(&scene), 2, "the reason is the same");
    scene.fail(Work::Refresh(Why::Due), iam(Kind::Unavailable(None)), DUE + 6);
    assert_eq!(attempts(&scene), 1, "another reason");
    scene.memory.trouble.as_mut().unwrap().attempts = u32::MAX;
    scene.fail(Work::Refresh(Why::Due), iam(Kind::Unavailable(None)), DUE + 6);
    assert_eq!(attempts(&scene), u32::MAX);
    let others = Failed { problem: unreachable(), at: at(DUE), attempts: Some(7), jitter: 0 };
    scene.memory.failed(others, Work::Refresh(Why::Due), scene.observed().inputs());
    assert_eq!(attempts(&scene), 7, "as often as others tried the same");
}

#[test]
fn success_ends_the_trouble_but_a_rewrite_does_not_end_that_of_a_refresh() {
    for (failed, done, ends) in [
        (Work::Refresh(Why::Due), Work::Refresh(Why::SourceChanged), true),
        (Work::Refresh(Why::Due), Work::Rewrite, false),
        (Work::Refresh(Why::Due), Work::Remove, false),
        (Work::Rewrite, Work::Rewrite, true),
        (Work::Rewrite, Work::Refresh(Why::Due), true),
        (Work::Look, Work::Look, true),
        (Work::Remove, Work::Remove, true),
    ] {
        let mut scene = Scene::settled().with(|it| it.fail(failed, no_key(), DUE));
        scene.facts().mark = mark("target", 9);
        let target = scene.target.clone();
        scene.memory.succeeded(done, target.facts());
        assert_eq!(scene.memory.trouble.is_none(), ends, "{failed:?}, then {done:?}");
        if !ends {
            assert_eq!(
                scene.step(DUE),
                waits(&no_key(), None),
                "that we wrote the target ourselves is no new try's reason"
            );
        }
    }
}

#[test]
fn success_without_trouble_leaves_none() {
    let mut memory = Memory::default();
    memory.succeeded(Work::Rewrite, None);
    assert_eq!(memory.trouble, None);
}

/// A key that is gone, and at the same time a target that cannot be written: each has its own pace.
#[test]
fn two_troubles_at_once_do_not_quicken_each_other() {
    let mut scene = Scene::planned(plan(&json!({})), 86_400).drifted();
    let (mut refreshes, mut rewrites, due) = (0, 0, 69_120);
    for second in due..due + 3600 {
        while let Step::Work(work) = scene.step(second) {
            let (count, problem) = match work {
                Work::Refresh(_) => (&mut refreshes, no_key()),
                _ => (&mut rewrites, api(ApiKind::Unavailable)),
            };
            *count += 1;
            scene.fail(work, problem, second);
        }
    }
    assert_eq!(refreshes, 1, "nothing has changed since, and {rewrites} rewrites were tried");
    assert!((100..=130).contains(&rewrites), "{rewrites} tries in an hour");
}
