//! Situations and what the status says of them. The events that they are worth: `transitions.rs`.

mod reread;
mod transitions;

use super::*;
use crate::api::Identity;
use crate::core::credential::KeyProblem;
use crate::core::failure::{Cause, Failure, Kind, Verdict};
use crate::core::problem::{ApiKind, ApiProblem};
use crate::core::record::{Mark, Owner};
use crate::core::template::Fault;

const GENERATION: i64 = 3;
const DUE: i64 = 2880;
const EXPIRED: i64 = 3600;
const EXPIRES: &str = "2027-01-15T09:00:00Z";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Of a token of an hour from `at(second)` on.
fn record(second: i64) -> Record {
    Record {
        owner: Owner { namespace: "payments".into(), name: "hpcs".into(), uid: "uid-1".into() },
        refreshed_at: at(second),
        lifetime: 3600,
        jitter: 0,
        source: Mark { uid: "s".into(), version: "1".into() },
        credential: "c".into(),
        token: "t".into(),
        ask: "a".into(),
        shape: "b".into(),
        refresh_requested: None,
        identity: Some(Identity { iam_id: Some("iam-ServiceId-1".into()), ..Identity::default() }),
        skew: 0,
        server_ahead: None,
    }
}

fn of<'a>(record: Option<&'a Record>, problem: Option<&'a Problem>) -> Situation<'a> {
    Situation {
        unknown: false,
        generation: GENERATION,
        target: record.map(|_| "hpcs"),
        record,
        intact: record.is_some(),
        renew_before: RenewBefore::default(),
        suspended: false,
        problem,
        api_key: None,
    }
}

fn suspended(record: Option<&Record>) -> Situation<'_> {
    Situation { suspended: true, ..of(record, None) }
}

fn iam(kind: Kind, request_id: Option<&str>) -> Problem {
    let (endpoint, request_id) = ("https://iam.cloud.ibm.com".into(), request_id.map(str::to_owned));
    Problem::Iam(Failure { kind, endpoint, status: None, code: None, request_id })
}

/// One that passes, and one that needs a person.
fn unreachable() -> Problem {
    iam(Kind::Unreachable(Cause::Refused), None)
}

fn rejected() -> Problem {
    iam(Kind::Rejected(Verdict::NotFound), Some("r-1"))
}

fn fresh(s: &Situation<'_>, second: i64) -> IamTokenStatus {
    next(&IamTokenStatus::default(), s, at(second))
}

fn find<'a>(status: &'a IamTokenStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn ready(status: &IamTokenStatus) -> &Condition {
    find(status, CONDITION_READY).unwrap()
}

/// `Ready=True TokenValid, Stalled=True …`
fn conditions(status: &IamTokenStatus) -> String {
    let all = status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason));
    all.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_situation_has_its_conditions() {
    let (token, passes, person) = (record(0), unreachable(), rejected());
    let (some, none) = (Some(&token), None);
    let broken = |problem| Situation { intact: false, ..of(some, problem) };
    for (name, s, second, expected) in [
        ("fresh", of(some, None), 0, "Ready=True TokenValid"),
        ("due", of(some, None), DUE, "Ready=True TokenValid"),
        ("suspended", suspended(some), 0, "Ready=True Suspended"),
        ("suspended, expired", suspended(some), EXPIRED, "Ready=False Suspended"),
        ("suspended, never a token", suspended(none), 0, "Ready=False Suspended"),
        ("failing", of(some, Some(&passes)), DUE, "Ready=True RefreshFailing, Reconciling=True IamUnreachable"),
        ("stalled", of(some, Some(&person)), DUE, "Ready=True RefreshFailing, Stalled=True CredentialRejected"),
        ("expired", of(some, Some(&passes)), EXPIRED, "Ready=False IamUnreachable, Reconciling=True IamUnreachable"),
        (
            "expired, stalled",
            of(some, Some(&person)),
            EXPIRED,
            "Ready=False CredentialRejected, Stalled=True CredentialRejected",
        ),
        ("never a token", of(none, Some(&passes)), 0, "Ready=False IamUnreachable, Reconciling=True IamUnreachable"),
        (
            "never, stalled",
            of(none, Some(&person)),
            0,
            "Ready=False CredentialRejected, Stalled=True CredentialRejected",
        ),
        ("new", of(none, None), 0, "Ready=False Refreshing, Reconciling=True Refreshing"),
        ("expired just now", of(some, None), EXPIRED, "Ready=False Refreshing, Reconciling=True Refreshing"),
        ("changed data", broken(None), 0, "Ready=False Refreshing, Reconciling=True Refreshing"),
        (
            "changed data, stalled",
            broken(Some(&person)),
            0,
            "Ready=False CredentialRejected, Stalled=True CredentialRejected",
        ),
    ] {
        assert_eq!(conditions(&fresh(&s, second)), expected, "{name}");
    }
}

#[test]
fn messages_say_until_when_and_what_is_wrong() {
    let (token, passes, person) = (record(0), unreachable(), rejected());
    let (some, none) = (Some(&token), None);
    let broken = Situation { intact: false, ..of(some, Some(&person)) };
    for (name, s, second, expected) in [
        ("fresh", of(some, None), 0, format!("The token is valid until {EXPIRES}.")),
        (
            "suspended",
            suspended(some),
            0,
            format!("Suspended: the token is valid until {EXPIRES} and is not refreshed."),
        ),
        (
            "suspended, expired",
            suspended(some),
            EXPIRED,
            "Suspended: there is no valid token. Set spec.suspend to false.".into(),
        ),
        (
            "failing",
            of(some, Some(&passes)),
            DUE,
            format!("The token is valid until {EXPIRES}, but all is not well. {}", passes.message()),
        ),
        ("expired", of(some, Some(&person)), EXPIRED, format!("The token expired at {EXPIRES}. {}", person.message())),
        ("never a token", of(none, Some(&person)), 0, person.message()),
        ("changed data", broken, 0, person.message()),
        ("new", of(none, None), 0, "A token is being fetched.".into()),
    ] {
        assert_eq!(ready(&fresh(&s, second)).message, expected, "{name}");
    }
    let status = fresh(&of(some, Some(&passes)), DUE);
    assert_eq!(find(&status, CONDITION_RECONCILING).unwrap().message, passes.message());
}

#[test]
fn ready_turns_false_at_the_very_second_of_expiry() {
    let (token, problem) = (record(0), unreachable());
    for s in [of(Some(&token), None), of(Some(&token), Some(&problem)), suspended(Some(&token))] {
        assert_eq!(ready(&fresh(&s, EXPIRED - 1)).status, "True");
        assert_eq!(ready(&fresh(&s, EXPIRED)).status, "False");
        let just_before = Timestamp::from_nanosecond(at(EXPIRED).as_nanosecond() - 1).unwrap();
        assert!(
            is_ready(&IamTokenStatus::default(), &s, just_before)
                && !is_ready(&IamTokenStatus::default(), &s, at(EXPIRED))
        );
        assert!(was_ready(&fresh(&s, EXPIRED - 1)) && !was_ready(&fresh(&s, EXPIRED)));
    }
    assert!(!was_ready(&IamTokenStatus::default()));
}

#[test]
fn the_times_are_those_of_the_token_in_whole_seconds() {
    let token = Record { lifetime: 1201, jitter: 40_000, ..record(0) };
    let status = fresh(&of(Some(&token), None), 1);
    assert_eq!(status.refreshed_at, Some(Time(at(0))));
    assert_eq!(status.expires_at, Some(Time(at(1201))));
    let due = token.life().refresh_at(RenewBefore::default(), 40_000);
    let shown = status.refresh_at.unwrap().0;
    assert!(
        shown <= due && due.duration_since(shown).as_secs() == 0 && shown.subsec_nanosecond() == 0,
        "{shown} {due}"
    );
    let asleep = fresh(&suspended(Some(&token)), 1);
    assert_eq!((asleep.refresh_at, asleep.expires_at), (None, Some(Time(at(1201)))), "it is not refreshed");
    let never = fresh(&of(None, None), 1);
    assert_eq!((never.refreshed_at, never.expires_at, never.refresh_at, never.identity), (None, None, None, None));
    assert_eq!(status.identity.unwrap().iam_id.as_deref(), Some("iam-ServiceId-1"));
}

#[test]
fn the_target_before_is_named_until_there_is_another() {
    let token = record(0);
    let before = fresh(&of(Some(&token), None), 0);
    let name = |status: &IamTokenStatus| status.target.as_ref().map(|target| target.name.clone());
    assert_eq!(name(&before).as_deref(), Some("hpcs"));
    let unknown = Situation { target: None, ..of(None, None) };
    assert_eq!(name(&next(&before, &unknown, at(1))).as_deref(), Some("hpcs"));
    let moved = Situation { target: Some("other"), ..of(Some(&token), None) };
    assert_eq!(name(&next(&before, &moved, at(1))).as_deref(), Some("other"));
    assert_eq!(name(&fresh(&unknown, 0)), None);
}

#[test]
fn a_request_is_echoed_once_it_was_answered() {
    let (token, asked) = (record(0), Record { refresh_requested: Some("now".into()), ..record(9) });
    let before = fresh(&of(Some(&token), None), 0);
    assert_eq!(before.last_handled_refresh, None);
    let answered = next(&before, &of(Some(&asked), None), at(9));
    assert_eq!(answered.last_handled_refresh.as_deref(), Some("now"));
    let lost = next(&answered, &of(None, None), at(10));
    assert_eq!(lost.last_handled_refresh.as_deref(), Some("now"), "though the target is gone");
}

#[test]
fn a_transition_is_timed_when_the_status_turns_and_only_then() {
    let (token, passes, person) = (record(0), unreachable(), rejected());
    let time = |status: &IamTokenStatus, type_: &str| find(status, type_).map(|c| c.last_transition_time.0);
    let first = fresh(&of(Some(&token), None), 5);
    assert_eq!(time(&first, CONDITION_READY), Some(at(5)));
    let failing = next(&first, &of(Some(&token), Some(&passes)), at(DUE));
    assert_eq!(time(&failing, CONDITION_READY), Some(at(5)), "another reason is no transition");
    assert_eq!(time(&failing, CONDITION_RECONCILING), Some(at(DUE)));
    let still = next(&failing, &of(Some(&token), Some(&iam(Kind::Unavailable(None), None))), at(DUE + 9));
    assert_eq!(time(&still, CONDITION_RECONCILING), Some(at(DUE)), "nor is another problem");
    let stalled = next(&still, &of(Some(&token), Some(&person)), at(DUE + 10));
    assert_eq!(time(&stalled, CONDITION_STALLED), Some(at(DUE + 10)));
    let expired = next(&stalled, &of(Some(&token), Some(&person)), at(EXPIRED));
    assert_eq!(time(&expired, CONDITION_READY), Some(at(EXPIRED)));
    assert_eq!(time(&expired, CONDITION_STALLED), Some(at(DUE + 10)));
    let new = record(EXPIRED + 1);
    let half_past = Timestamp::from_millisecond(at(EXPIRED + 1).as_millisecond() + 500).unwrap();
    let recovered = next(&expired, &of(Some(&new), None), half_past);
    assert_eq!(time(&recovered, CONDITION_READY), Some(at(EXPIRED + 1)), "in whole seconds");
}

#[test]
fn a_new_request_id_alone_is_no_new_message() {
    let token = record(0);
    let failing = |id: Option<&str>| iam(Kind::Rejected(Verdict::NotFound), id);
    for second in [DUE, EXPIRED] {
        let before = fresh(&of(Some(&token), Some(&failing(Some("r-1")))), second);
        for id in [Some("r-2"), None] {
            assert_eq!(next(&before, &of(Some(&token), Some(&failing(id))), at(second + 9)), before, "{id:?}");
        }
        let other = iam(Kind::Rejected(Verdict::Disabled), Some("r-1"));
        assert_ne!(next(&before, &of(Some(&token), Some(&other)), at(second + 9)), before, "another verdict");
    }
}

/// What the message says after the time of expiry.
fn said_of_clocks(skew: i64) -> String {
    let token = Record { skew, ..record(0) };
    let message = ready(&fresh(&of(Some(&token), None), 0)).message.clone();
    message.strip_prefix(&format!("The token is valid until {EXPIRES}.")).unwrap().to_owned()
}

#[test]
fn a_difference_of_clocks_over_30_s_is_told() {
    for skew in [0, 30, -30] {
        assert_eq!(said_of_clocks(skew), "", "{skew}");
    }
    for (skew, expected) in [(31, "31 s ahead of"), (-31, "31 s behind"), (i64::MAX, "9223372036854775807 s ahead of")]
    {
        let expected = format!(" IAM's clock is {expected} the operator's: check the nodes' time.");
        assert_eq!(said_of_clocks(skew), expected, "{skew}");
    }
}

#[test]
fn no_expiration_that_iam_sends_can_end_the_operator() {
    assert!(said_of_clocks(i64::MIN).contains("9223372036854775808 s behind"));
}

/// Problems with the longest names that the API server admits.
fn problems() -> Vec<Problem> {
    let name = || "n".repeat(253);
    let api = |kind| {
        Problem::Api(ApiProblem {
            action: format!("delete Secret {}, the target before", name()),
            kind,
            code: Some(422),
            fields: ["metadata.annotations", "metadata.labels", "metadata.ownerReferences", "type"]
                .map(str::to_owned)
                .to_vec(),
        })
    };
    let kinds = [
        ApiKind::Denied,
        ApiKind::Immutable,
        ApiKind::OtherType,
        ApiKind::TooLarge,
        ApiKind::Refused,
        ApiKind::Unavailable,
    ];
    let failure = Failure {
        kind: Kind::Rejected(Verdict::NotFound),
        endpoint: format!("https://{}", name()),
        status: Some(400),
        code: Some("C".repeat(64)),
        request_id: Some("r".repeat(64)),
    };
    let allowed = "https://private.eu-de.iam.cloud.ibm.com, ".repeat(8);
    let mut all: Vec<_> = kinds.into_iter().map(api).collect();
    all.extend([
        Problem::Undecodable { kind: "IamToken" },
        Problem::InvalidField { field: "spec.renewBefore", hint: "a hint" },
        Problem::InvalidEntry { key: name(), hint: "a hint" },
        Problem::TemplateInvalid { key: name(), fault: Fault { line: Some(32_768), what: "w".repeat(200) } },
        Problem::TemplateFailed { key: name(), fault: Fault { line: Some(32_768), what: "w".repeat(200) } },
        Problem::NothingIsLent,
        Problem::LendersUnknown,
        Problem::CredentialNotFound { name: name() },
        Problem::NamespaceNotAdmitted { name: name(), namespace: "payments".into() },
        Problem::Lent { name: name(), why: Box::new(Problem::SourceNotFound { name: name() }) },
        Problem::NotLockedAway { namespace: "payments".into(), allowed: "iam-keys".into() },
        Problem::ServiceAccountNotFound { name: name() },
        Problem::TokenRequestRefused { name: name(), code: Some(403) },
        Problem::OwnServiceAccount { name: name() },
        Problem::EndpointNotAllowed { endpoint: format!("https://{}", "e".repeat(245)), allowed },
        Problem::SourceNotFound { name: name() },
        Problem::SourceKeyNotFound { name: name(), key: name() },
        Problem::SourceInvalid { name: name(), key: name(), why: KeyProblem::NoApiKeyInEnv },
        Problem::TargetExists { name: name(), controller: Some(format!("{}/{}", "K".repeat(63), name())) },
        Problem::TargetExists { name: name(), controller: None },
        Problem::TargetConflict { name: name(), winner: name() },
        Problem::Iam(failure),
        unreachable(),
    ]);
    all
}

#[test]
fn the_rules_of_kstatus_hold_in_every_situation() {
    let token = record(0);
    let problems = problems();
    let problems = problems.iter().map(Some).chain([None]);
    for problem in problems {
        for (record, intact, suspended) in [
            (Some(&token), true, false),
            (Some(&token), false, false),
            (None, false, false),
            (Some(&token), true, true),
        ] {
            for second in [0, DUE, EXPIRED] {
                let s = Situation { intact, suspended, ..of(record, problem) };
                let status = fresh(&s, second);
                assert_eq!(status.observed_generation, Some(GENERATION));
                let types: Vec<_> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
                assert!(matches!(types[..], ["Ready"] | ["Ready", "Reconciling" | "Stalled"]), "{types:?}");
                for condition in &status.conditions {
                    let of = format!("{condition:?}");
                    assert!(condition.status == "True" || condition.type_ == CONDITION_READY, "{of}");
                    assert_eq!(condition.observed_generation, Some(GENERATION), "{of}");
                    assert!(Reason::ALL.iter().any(|reason| reason.as_str() == condition.reason), "{of}");
                    assert!(!condition.message.is_empty() && condition.message.len() <= 32_768, "{of}");
                }
                assert_eq!(ready(&status).status == "True", is_ready(&IamTokenStatus::default(), &s, at(second)));
                assert_eq!(next(&status, &s, at(second)), status, "saying it twice changes nothing");
                assert_eq!(next(&status, &s, at(second)), next(&next(&status, &s, at(second)), &s, at(second)));
            }
        }
    }
}

#[test]
fn a_generation_is_always_the_one_observed() {
    let (token, problem) = (record(0), rejected());
    let before = fresh(&of(Some(&token), Some(&problem)), DUE);
    let after = next(&before, &Situation { generation: 9, ..of(Some(&token), Some(&problem)) }, at(DUE + 1));
    assert_eq!(after.observed_generation, Some(9));
    assert!(after.conditions.iter().all(|condition| condition.observed_generation == Some(9)));
}

#[test]
fn what_was_known_of_a_target_stays_true_while_it_cannot_be_looked_at() {
    let record = record(0);
    let known = fresh(&of(Some(&record), None), 0);
    let problem = Problem::Api(ApiProblem {
        action: "look at Secret hpcs".into(),
        kind: ApiKind::Unavailable,
        code: None,
        fields: vec![],
    });
    let blind = Situation { unknown: true, intact: false, target: None, ..of(None, Some(&problem)) };
    let status = next(&known, &blind, at(1));
    assert_eq!((ready(&status).status.as_str(), ready(&status).reason.as_str()), ("True", "RefreshFailing"));
    assert_eq!((&status.expires_at, &status.identity), (&known.expires_at, &known.identity));
    assert_eq!(ready(&next(&status, &blind, at(EXPIRED))).status, "False");
    assert_eq!(ready(&next(&IamTokenStatus::default(), &blind, at(1))).status, "False");
}
