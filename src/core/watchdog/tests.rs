use std::sync::OnceLock;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::core::schedule::LONGEST_SLEEP;

const TICK: u64 = 10;

/// A watchdog and the seconds that have passed, by both clocks.
struct Scene {
    dog: Watchdog,
    second: u64,
    advice: Advice,
}

fn moment(steady: u64, wall: i64) -> Moment {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    let zero = *ZERO.get_or_init(Instant::now);
    Moment { steady: zero + Duration::from_secs(steady), wall: Timestamp::from_second(1_800_000_000 + wall).unwrap() }
}

fn key() -> Key {
    Key::new("team-a", "hpcs")
}

impl Scene {
    fn new() -> Self {
        let mut dog = Watchdog::new(Some("team-a".into()));
        dog.tick(moment(0, 0));
        Self { dog, second: 0, advice: Advice::default() }
    }

    /// Lets so much time pass, asking every 10 s; returns the last advice.
    fn pass(&mut self, seconds: u64) -> &Advice {
        let end = self.second + seconds;
        while self.second < end {
            self.second = (self.second + TICK).min(end);
            self.advice = self.dog.tick(moment(self.second, i64::try_from(self.second).unwrap()));
        }
        &self.advice
    }

    fn is_calm_for(&mut self, seconds: u64) {
        for _ in 0..seconds / TICK {
            let advice = self.pass(TICK).clone();
            assert_eq!(advice, Advice::default(), "at {} s", self.second);
        }
    }
}

#[test]
fn a_look_that_makes_no_step_is_found_and_only_while_it_makes_none() {
    let mut scene = Scene::new();
    scene.dog.stepped(&key());
    scene.is_calm_for(180);
    assert_eq!(scene.pass(10).findings, [Finding::Stuck(key())]);
    scene.dog.looked(&key(), None);
    scene.is_calm_for(3600);
}

#[test]
fn a_long_look_that_makes_steps_is_not_found() {
    let mut scene = Scene::new();
    for _ in 0..8 {
        scene.dog.stepped(&key());
        scene.is_calm_for(60);
    }
}

#[test]
fn a_silent_watch_is_found_and_named() {
    let mut scene = Scene::new();
    scene.dog.heard(Watched::IamTokens);
    for _ in 0..4 {
        scene.is_calm_for(325);
        scene.dog.heard(Watched::IamTokens); // kube begins it anew.
    }
    let mut scene = Scene::new();
    scene.dog.heard(Watched::Secrets);
    scene.is_calm_for(660);
    assert_eq!(scene.pass(10).findings, [Finding::Silent(Watched::Secrets, Some("team-a".into()))]);
    scene.dog.heard(Watched::Secrets);
    scene.is_calm_for(600);
}

#[test]
fn what_was_never_begun_is_not_missed() {
    // As while the CRD is not served: there is no watch, and there are no looks.
    Scene::new().is_calm_for(7200);
}

#[test]
fn an_overdue_look_is_called_for_first_and_found_only_if_that_does_not_help() {
    let mut scene = Scene::new();
    scene.dog.stepped(&key());
    scene.dog.looked(&key(), Some(LONGEST_SLEEP));
    scene.is_calm_for(300 + 120);
    assert_eq!(*scene.pass(10), Advice { wake: vec![key()], findings: vec![] });
    scene.is_calm_for(120);
    assert_eq!(*scene.pass(10), Advice { wake: vec![], findings: vec![Finding::Overdue(key())] });
    scene.dog.stepped(&key());
    scene.is_calm_for(60);
    scene.dog.looked(&key(), Some(LONGEST_SLEEP));
    scene.is_calm_for(300);
}

#[test]
fn a_look_that_was_called_for_and_follows_is_not_found() {
    let mut scene = Scene::new();
    scene.dog.looked(&key(), Some(Duration::from_mins(1)));
    assert_eq!(scene.pass(190).wake, [key()]);
    scene.dog.stepped(&key());
    scene.dog.looked(&key(), Some(Duration::from_mins(10)));
    scene.is_calm_for(600);
}

#[test]
fn looks_that_come_early_or_on_time_or_wait_for_a_change_are_not_found() {
    let mut scene = Scene::new();
    for next in [Some(1), Some(300), None, Some(300)] {
        scene.dog.stepped(&key());
        scene.dog.looked(&key(), next.map(Duration::from_secs));
        scene.is_calm_for(next.unwrap_or(7200).max(10));
    }
}

#[test]
fn what_is_gone_is_not_missed_but_its_look_is_if_it_hangs() {
    let mut scene = Scene::new();
    scene.dog.looked(&key(), Some(LONGEST_SLEEP));
    scene.dog.forget(&key());
    scene.is_calm_for(3600);
    scene.dog.stepped(&key());
    scene.dog.forget(&key());
    assert_eq!(scene.pass(200).findings, [Finding::Stuck(key())]);
}

#[test]
fn a_process_that_was_frozen_and_clocks_that_are_set_find_nothing() {
    let mut dog = Watchdog::new(None);
    dog.tick(moment(0, 0));
    dog.stepped(&key());
    dog.heard(Watched::IamTokens);
    assert_eq!(dog.tick(moment(36_000, 36_000)), Advice::default(), "frozen");
    assert_eq!(dog.tick(moment(36_001, 72_000)), Advice::default(), "suspended, or the wall clock was set");
    assert_eq!(dog.tick(moment(36_002, -72_000)), Advice::default(), "set back");
}

#[test]
fn each_text_names_the_object_and_the_next_action() {
    let texts = [
        (Finding::Stuck(key()), "the look at IamToken team-a/hpcs has come no further for 3 minutes"),
        (Finding::Overdue(key()), "the look at IamToken team-a/hpcs is overdue by 4 minutes"),
        (
            Finding::Silent(Watched::Secrets, None),
            "the watch on Secrets in all namespaces has been silent for 11 minutes",
        ),
        (
            Finding::Silent(Watched::IamTokens, Some("team-a".into())),
            "the watch on IamTokens in namespace team-a has been silent for 11 minutes",
        ),
    ];
    for (finding, what) in texts {
        let text = finding.to_string();
        assert!(text.starts_with(what) && text.contains(": restart this process"), "{text}");
    }
}
