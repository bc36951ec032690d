//! Workloads are restarted once for each token, not too often, and whatever else fails.

use super::*;
use crate::core::restart::{Outlook, outlook};

const DENIED: Problem = Problem::RestartDenied { workload: String::new(), code: Some(403) };

fn restart(place: usize) -> Step {
    Step::Work(Work::Restart(place))
}

/// With a Deployment `a` and a DaemonSet `a` to restart, ten minutes apart at least.
fn scene() -> Scene {
    let workloads = json!([{"kind": "Deployment", "name": "a"}, {"kind": "DaemonSet", "name": "a"}]);
    Scene::planned(plan(&json!({"restart": {"workloads": workloads}})), 3600)
}

/// With the first of them alone.
fn alone(lifetime: u32, min_period: &str) -> Scene {
    let workloads = json!([{"kind": "Deployment", "name": "a"}]);
    Scene::planned(plan(&json!({"restart": {"workloads": workloads, "minPeriod": min_period}})), lifetime)
}

impl Scene {
    fn restarted(&mut self, place: usize, second: i64) {
        let record = self.record().clone();
        self.memory.restarts.restarted(&self.plan.restart.workloads[place], &record, at(second));
    }

    fn restart_fails(&mut self, place: usize, problem: Problem, second: i64) {
        let record = self.record().clone();
        let failed = Failed { problem, at: at(second), attempts: None, jitter: 0 };
        self.memory.restarts.failed(&self.plan.restart.workloads[place], &record, self.generation, failed);
    }
}

#[test]
fn each_workload_is_restarted_once_for_each_token() {
    let mut scene = scene();
    assert_eq!(scene.step(0), restart(0));
    scene.restarted(0, 0);
    assert_eq!(scene.step(0), restart(1), "of the same name, and another");
    scene.restarted(1, 0);
    for second in [0, 601, DUE - 1] {
        assert_eq!(scene.step(second), Step::Rest, "{second}");
    }
    assert_eq!(scene.step(DUE), refresh(Why::Due), "a refresh goes first");
    scene.refreshed(DUE, 3600);
    assert_eq!(scene.step(DUE), restart(0));
    scene.restarted(0, DUE);
    scene.restarted(1, DUE);
    assert_eq!((scene.step(DUE), scene.next_look(DUE)), (Step::Rest, Some(at(DUE + DUE))));
}

#[test]
fn a_target_that_is_written_again_with_the_same_token_restarts_nobody() {
    let done = || scene().with(|it| (0..2).for_each(|place| it.restarted(place, 0)));
    assert_eq!(done().drifted().step(700), Step::Work(Work::Rewrite));
    assert_eq!(done().with(|it| it.facts().mark = mark("target", 9)).step(700), Step::Rest);
}

#[test]
fn nobody_is_restarted_for_a_token_that_cannot_be_read() {
    let none = |scene: Scene| outlook(&scene.plan, &scene.observed(), at(0)) == Outlook::default();
    let suspended = scene().with(|it| it.plan.suspend = true);
    assert_eq!((suspended.step(0), none(suspended)), (Step::Rest, true));
    let expired = scene();
    assert_eq!(outlook(&expired.plan, &expired.observed(), at(EXPIRED)), Outlook::default());
    assert!(!none(scene()), "this test looks at too little");
    for (name, scene) in [
        ("no target", scene().with(|it| it.target = Seen::Absent)),
        ("not looked at", scene().with(|it| it.target = Seen::Unknown)),
        ("a foreign one", scene().with(|it| it.facts().controller.as_mut().unwrap().uid = "uid-2".into())),
        ("a namesake's", scene().with(|it| it.record().owner.uid = "uid-0".into())),
        ("spoilt data", scene().with(|it| it.facts().owned.data += 1)),
    ] {
        assert!(none(scene), "{name}");
    }
}

#[test]
fn a_restart_that_comes_too_soon_is_put_off_and_made_with_the_newest_token() {
    let mut scene = alone(3600, "10m");
    scene.restarted(0, 0);
    scene.refreshed(100, 3600);
    assert_eq!((scene.step(100), scene.next_look(100)), (Step::Rest, Some(at(600))));
    scene.refreshed(200, 3600);
    assert_eq!((scene.step(599), scene.next_look(200)), (Step::Rest, Some(at(600))));
    assert_eq!(scene.step(600), restart(0));
    scene.restarted(0, 600);
    assert_eq!(scene.memory.restarts.done[0].token_digest, "token-200");
    assert_eq!((scene.step(601), scene.next_look(601)), (Step::Rest, Some(at(200 + DUE))));
}

#[test]
fn who_must_go_on_with_an_expired_token_for_too_long_a_period_is_told() {
    let mut scene = alone(900, "20m");
    scene.restarted(0, 0);
    scene.refreshed(720, 900);
    let too_late = Problem::RestartTooLate { workload: "Deployment a".into(), expires_at: at(900), until: at(1200) };
    assert!(too_late.message().contains("spec.restart.minPeriod"), "{}", too_late.message());
    assert_eq!(scene.step(720), Step::Wait(too_late, Some(at(1200))));
    assert_eq!(scene.step(1200), restart(0));
}

#[test]
fn a_restart_that_a_wrong_clock_noted_holds_up_nothing() {
    let mut scene = alone(3600, "10m");
    scene.restarted(0, 4000);
    scene.refreshed(100, 3600);
    assert_eq!(scene.step(100), restart(0));
    let mut scene = alone(3600, "10m");
    scene.restarted(0, 130);
    scene.refreshed(100, 3600);
    assert_eq!(scene.step(100), Step::Rest, "clocks of two replicas that differ by half a minute");
}

#[test]
fn one_that_fails_is_tried_ever_more_slowly_and_holds_up_no_other() {
    let missing = Problem::WorkloadNotFound { workload: "Deployment a".into() };
    let mut scene = scene();
    scene.restart_fails(0, missing.clone(), 0);
    assert_eq!(scene.step(0), restart(1));
    scene.restarted(1, 0);
    let mut failed_at = 0;
    for wait in [2, 4, 8, 16, 32, 64, 128, 256] {
        assert_eq!(scene.step(failed_at), Step::Wait(missing.clone(), Some(at(failed_at + wait))), "{wait}");
        assert_eq!(scene.step(failed_at + wait), restart(0), "{wait}");
        failed_at += wait;
        scene.restart_fails(0, missing.clone(), failed_at);
    }
    scene.refreshed(failed_at + 1, 3600);
    assert_eq!(scene.step(failed_at + 1), restart(0), "a new token");
    scene.restart_fails(0, missing.clone(), failed_at + 1);
    assert!(matches!(scene.step(failed_at + 2), Step::Wait(..)));
    scene.generation += 1;
    assert_eq!(scene.step(failed_at + 2), restart(0), "a new spec");
}

#[test]
fn no_restart_that_fails_holds_up_a_refresh_and_no_refresh_that_fails_a_restart() {
    let denied = alone(3600, "10m").with(|it| it.restart_fails(0, DENIED, DUE));
    assert_eq!(denied.step(DUE), refresh(Why::Due));
    assert!(denied.memory.trouble.is_none() && denied.memory.hitch.is_none());

    let failing = || alone(3600, "10m").with(|it| it.fail(Work::Refresh(Why::Due), unreachable(), DUE));
    assert_eq!(failing().step(DUE), restart(0));
    let both = failing().with(|it| it.restart_fails(0, DENIED, DUE));
    assert_eq!(both.step(DUE), Step::Wait(unreachable(), Some(at(DUE + 2))), "what the refresh lacks is said first");
    let both = both.with(|it| it.fail(Work::Refresh(Why::Due), iam(Kind::Throttled(None)), DUE));
    assert_eq!(both.next_look(DUE), Some(at(DUE + 2)), "and the restart is tried in its time");
    let no_source = alone(3600, "10m").with(|it| it.source = Seen::Absent);
    assert_eq!(no_source.step(0), restart(0));
}

#[test]
fn other_work_that_succeeds_or_fails_leaves_restarts_as_they_are() {
    let mut scene = alone(3600, "10m").with(|it| it.restart_fails(0, DENIED, 0));
    let before = scene.memory.restarts.clone();
    scene.memory.succeeded(Work::Refresh(Why::Due), None);
    scene.memory.succeeded(Work::Rewrite, None);
    scene.fail(Work::Rewrite, api(ApiKind::Unavailable), 0);
    assert_eq!(scene.memory.restarts, before);
    let hitch = scene.memory.hitch.clone();
    scene.memory.succeeded(Work::Restart(0), None);
    scene.fail(Work::Restart(0), DENIED, 0);
    assert_eq!(scene.memory.hitch, hitch);
}

#[test]
fn a_clock_that_is_set_back_makes_no_retry_later() {
    let mut scene = alone(3600, "10m").with(|it| it.restart_fails(0, DENIED, 3000));
    scene.memory.set_back(Duration::from_secs(2990));
    assert_eq!((scene.step(11), scene.step(12)), (Step::Wait(DENIED, Some(at(12))), restart(0)));
}
