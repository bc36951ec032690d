//! Why and when a token is fetched.

use super::*;
use crate::core::failure::Verdict;

#[test]
fn a_target_without_a_token_of_ours_is_filled() {
    let nothing_noted = Scene::settled().with(|it| it.facts().record = None);
    for scene in [Scene::settled().with(|it| it.target = Seen::Absent), nothing_noted] {
        assert_eq!(scene.step(0), refresh(Why::Missing));
    }
}

#[test]
fn another_ask_fetches_another_token() {
    for spec in [
        json!({"apiKeySecretRef": {"name": "other"}}),
        json!({"apiKeySecretRef": {"name": "key", "key": "other"}}),
        json!({"accountId": "0123"}),
    ] {
        assert_eq!(Scene::settled().spec(&spec).step(0), refresh(Why::SpecChanged), "{spec}");
    }
    for spec in [json!({"renewBefore": "20%"}), json!({"endpoint": "https://iam.cloud.ibm.com/identity/token"})] {
        assert_eq!(Scene::settled().spec(&spec).step(0), Step::Rest, "{spec}");
    }
}

#[test]
fn a_request_is_answered_once() {
    let asks = |asked: Option<&str>, answered: Option<&str>| {
        let settled = Scene::settled().with(|it| it.requested = asked.map(str::to_owned));
        settled.with(|it| it.record().refresh_requested = answered.map(str::to_owned)).step(1)
    };
    assert_eq!(asks(Some("a"), None), refresh(Why::Requested));
    assert_eq!(asks(Some("b"), Some("a")), refresh(Why::Requested));
    assert_eq!(asks(Some(""), None), refresh(Why::Requested), "any new value, even an empty one");
    assert_eq!(asks(Some("a"), Some("a")), Step::Rest);
    assert_eq!(asks(None, Some("a")), Step::Rest, "taking the annotation away asks for nothing");
    assert_eq!(asks(None, None), Step::Rest);
}

#[test]
fn a_token_is_due_at_its_very_moment_and_not_before() {
    let nano = |second: i64, nanos: i64| {
        let scene = Scene::settled();
        let now = Timestamp::from_nanosecond(at(second).as_nanosecond() + i128::from(nanos)).unwrap();
        decide(&scene.plan, &scene.observed(), now)
    };
    assert_eq!(nano(DUE, -1), Step::Rest);
    for (second, nanos) in [(DUE, 0), (DUE, 1), (EXPIRED, 0), (10 * EXPIRED, 0)] {
        assert_eq!(nano(second, nanos), refresh(Why::Due), "{second} {nanos}");
    }
}

#[test]
fn the_spec_and_the_credential_say_when_it_is_due() {
    for (spec, jitter, due) in [
        (json!({}), 0, 2880),
        (json!({}), u16::MAX, 2700),
        (json!({"renewBefore": "1%"}), 0, 3450), // the kubelet's lag
        (json!({"renewBefore": "50%"}), u16::MAX, 1800),
        (json!({"renewBefore": "10m"}), 0, 3000),
    ] {
        let scene = Scene::settled().spec(&spec).with(|it| it.record().jitter = jitter);
        assert_eq!((scene.step(due - 1), scene.step(due)), (Step::Rest, refresh(Why::Due)), "{spec} {jitter}");
        assert_eq!(scene.next_look(0), Some(at(due)), "{spec} {jitter}");
    }
}

#[test]
fn a_changed_source_is_read_at_once_but_not_twice_for_the_same_key() {
    let touched = || Scene::settled().with(Scene::touch_source);
    assert_eq!(touched().step(0), refresh(Why::SourceChanged));
    let known = touched().with(|it| it.memory.same_key = it.source.facts().map(|facts| Box::new(facts.mark.clone())));
    assert_eq!(known.step(0), Step::Rest);
    assert_eq!(known.step(DUE), refresh(Why::Due));
    assert_eq!(known.with(Scene::touch_source).step(0), refresh(Why::SourceChanged), "it has changed again");
    let replaced = Scene::settled().with(|it| it.record().source.uid = "deleted".into());
    assert_eq!(replaced.step(0), refresh(Why::SourceChanged), "the same version of another Secret");
}

#[test]
fn a_source_that_is_not_known_is_not_changed() {
    let scene = Scene::settled().with(|it| it.source = Seen::Unknown);
    assert_eq!((scene.step(0), scene.step(DUE)), (Step::Rest, refresh(Why::Due)));
}

#[test]
fn anothers_token_is_joined_from_half_way_on_where_it_is_newer() {
    let shared = |second: i64| Scene::settled().with(|it| it.shared = Some(at(second)));
    for (since, second, expected) in [
        (JOINS, JOINS - 1, Step::Rest),
        (JOINS, JOINS, refresh(Why::Shared)),
        (1, JOINS, refresh(Why::Shared)),
        (0, JOINS, Step::Rest), // our own
        (-1, DUE - 1, Step::Rest),
        (DUE, DUE, refresh(Why::Due)),
    ] {
        assert_eq!(shared(since).step(second), expected, "since {since}, at {second}");
    }
}

#[test]
fn of_several_whys_the_weightiest_is_named() {
    let all = || {
        Scene::settled().spec(&json!({"accountId": "0123"})).drifted().with(|it| {
            it.requested = Some("now".into());
            it.touch_source();
            it.shared = Some(at(DUE));
            it.last_target = Some("old".into());
        })
    };
    assert_eq!(all().step(DUE), refresh(Why::SpecChanged));
    let asked = all().with(|it| it.record().ask = it.plan.ask.clone());
    assert_eq!(asked.step(DUE), refresh(Why::Requested));
    let answered = asked.with(|it| it.requested = None);
    assert_eq!((answered.step(DUE), answered.step(DUE - 1)), (refresh(Why::Due), refresh(Why::SourceChanged)));
    let lost = answered.clone().with(|it| it.memory.unrecoverable = Some(Box::new(it.facts().mark.clone())));
    assert_eq!(lost.step(DUE - 1), refresh(Why::Missing));
    let read = answered.with(|it| it.record().source = it.source.facts().unwrap().mark.clone());
    assert_eq!(read.step(DUE - 1), refresh(Why::Shared));
    let alone = read.with(|it| it.shared = None);
    assert_eq!(alone.step(DUE - 1), Step::Work(Work::Rewrite));
    let rewritten = alone.with(|it| it.facts().owned = it.plan.owned(UID));
    assert_eq!(rewritten.step(DUE - 1), Step::Work(Work::Remove));
}

#[test]
fn without_a_source_nothing_is_fetched_and_the_token_in_place_stays() {
    let gone = |scene: Scene| scene.with(|it| it.source = Seen::Absent);
    let refused = Step::Refuse(Problem::SourceNotFound { name: "key".into() });
    for (name, scene) in [
        ("a good token", gone(Scene::settled())),
        ("no target", gone(Scene::settled().with(|it| it.target = Seen::Absent))),
        ("another ask", gone(Scene::settled().spec(&json!({"accountId": "1"})))),
        ("a request", gone(Scene::settled().with(|it| it.requested = Some("now".into())))),
    ] {
        assert_eq!(scene.plan.asker.source.secret(), Some("key"));
        for second in [0, DUE, EXPIRED] {
            assert_eq!(scene.step(second), refused, "{name} at {second}");
        }
    }
    let drifted = gone(Scene::settled().drifted());
    for (second, expected) in [(0, Step::Work(Work::Rewrite)), (DUE, Step::Work(Work::Rewrite)), (EXPIRED, refused)] {
        assert_eq!(drifted.step(second), expected, "a changed target at {second}");
    }
}

#[test]
fn a_token_kept_from_a_namesake_is_fetched_anew() {
    let kept = Scene::settled().with(|it| it.record().owner.uid = "uid-of-the-namesake".into());
    assert_eq!(kept.step(0), refresh(Why::Missing));
}

#[test]
fn a_record_from_a_clock_that_was_ahead_is_not_believed() {
    let scene = Scene::settled();
    assert_eq!(scene.step(-60), Step::Rest);
    assert_eq!(scene.step(-61), refresh(Why::Due));
    assert_eq!(scene.step(-7200), refresh(Why::Due));
}

#[test]
fn a_record_that_an_admission_rule_removes_is_not_written_for_ever() {
    let bare = Scene::settled().with(|it| it.facts().record = None);
    assert_eq!(bare.step(0), refresh(Why::Missing));
    let in_vain = bare.with(|it| it.memory.written = Some(it.facts().mark.clone()));
    assert_eq!(in_vain.step(0), Step::Refuse(Problem::TargetAltered { name: "hpcs".into() }));
}

#[test]
fn who_holds_a_target_by_control_alone_need_not_give_way() {
    let bare = Scene::settled().with(|it| {
        it.facts().record = None;
        it.winner = Some("older".into());
    });
    assert_eq!(bare.step(0), refresh(Why::Missing));
}

#[test]
fn who_has_no_token_comes_first_but_last_where_a_person_is_needed() {
    const DUE: Work = Work::Refresh(Why::Due);
    let none = Scene::settled().with(|it| it.target = Seen::Absent);
    assert_eq!(deadline(DUE, &none.observed(), at(0)), Timestamp::MIN);
    assert_eq!(deadline(DUE, &Scene::settled().observed(), at(0)), at(EXPIRED));
    assert_eq!(deadline(DUE, &Scene::settled().observed(), at(EXPIRED)), at(EXPIRED));
    let unreachable = none.with(|it| it.fail(Work::Refresh(Why::Missing), unreachable(), 0));
    assert_eq!(deadline(DUE, &unreachable.observed(), at(0)), Timestamp::MIN);
    let rejected = iam(Kind::Rejected(Verdict::NotFound));
    let rejected = unreachable.with(|it| it.fail(Work::Refresh(Why::Missing), rejected, 0));
    assert!(deadline(DUE, &rejected.observed(), at(0)) > at(EXPIRED));
}

#[test]
fn who_is_waited_for_comes_before_all_whose_token_is_good() {
    let (settled, touched) = (Scene::settled(), Scene::settled().with(Scene::touch_source));
    let refresh = Work::Refresh;
    for (work, scene) in [
        (refresh(Why::SpecChanged), &settled),
        (refresh(Why::Requested), &settled),
        (refresh(Why::SourceChanged), &touched),
        (refresh(Why::Due), &touched),
    ] {
        assert_eq!(deadline(work, &scene.observed(), at(1)), at(1), "{work:?}");
        assert_eq!(deadline(work, &scene.observed(), at(EXPIRED + 1)), at(EXPIRED), "an expired one goes before");
    }
    for work in [refresh(Why::Due), refresh(Why::Shared), Work::Rewrite, Work::Remove, Work::Restart(0)] {
        assert_eq!(deadline(work, &settled.observed(), at(1)), at(EXPIRED), "{work:?}");
    }
    assert_eq!(deadline(Work::Rewrite, &touched.observed(), at(1)), at(EXPIRED), "the old token is written once more");
}
