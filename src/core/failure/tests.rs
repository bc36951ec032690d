use super::*;
use crate::core::problem::Problem;

const AFTER: Option<Duration> = Some(Duration::from_secs(7));

/// Every kind of failure.
const ALL: [Kind; 26] = [
    Kind::Unreachable(Cause::Dns),
    Kind::Unreachable(Cause::Refused),
    Kind::Unreachable(Cause::Timeout),
    Kind::Unreachable(Cause::Broken),
    Kind::Untrusted,
    Kind::Unavailable(None),
    Kind::Unavailable(AFTER),
    Kind::Throttled(None),
    Kind::Throttled(AFTER),
    Kind::Redirected,
    Kind::Unusable(Flaw::NotJson),
    Kind::Unusable(Flaw::TooLarge),
    Kind::Unusable(Flaw::NoToken),
    Kind::Unusable(Flaw::NotHeaderSafe),
    Kind::Unusable(Flaw::NotBearer),
    Kind::Unusable(Flaw::Lifetime),
    Kind::Unusable(Flaw::ShorterLived),
    Kind::Unusable(Flaw::NoAccount),
    Kind::Rejected(Verdict::NotFound),
    Kind::Rejected(Verdict::Disabled),
    Kind::Rejected(Verdict::UserGone),
    Kind::Rejected(Verdict::Locked),
    Kind::Rejected(Verdict::ProfileNotEligible),
    Kind::Rejected(Verdict::Other),
    Kind::RequestRejected,
    Kind::OtherAccount,
];

fn failure(kind: Kind) -> Failure {
    Failure { kind, endpoint: "https://iam.cloud.ibm.com".into(), status: None, code: None, request_id: None }
}

#[test]
fn every_documented_code_has_its_meaning() {
    use Verdict::{Disabled, Locked, NotFound, Other, ProfileNotEligible, UserGone};
    for (status, code, expected) in [
        (400, "BXNIM0415E", Kind::Rejected(NotFound)),
        (400, "BXNIM0462E", Kind::Rejected(Disabled)),
        (401, "BXNIM0462E", Kind::Rejected(Disabled)),
        (400, "BXNIM0410E", Kind::Rejected(UserGone)),
        (401, "BXNIM0436E", Kind::Rejected(UserGone)),
        (400, "BXNIM0141E", Kind::Rejected(UserGone)),
        (401, "BXNIM0400E", Kind::Rejected(Locked)),
        (400, "BXNIM0398E", Kind::Rejected(ProfileNotEligible)),
        (400, "BXNIM0109E", Kind::RequestRejected),
        (400, "BXNIM0106E", Kind::RequestRejected),
        (401, "BXNIM0308E", Kind::RequestRejected),
        (400, "BXNIM0310E", Kind::RequestRejected),
        (405, "BXNIM0060E", Kind::RequestRejected),
        (401, "BXNIM0602E", Kind::Rejected(Other)),
        (403, "BXNIM0513E", Kind::Rejected(Other)),
        (400, "BXNIM9999E", Kind::Rejected(Other)),
        (500, "BXNIM0050E", Kind::Unavailable(None)),
        (503, "BXNIM0415E", Kind::Unavailable(None)),
        (429, "BXNIM0415E", Kind::Throttled(None)),
        (302, "BXNIM0415E", Kind::Redirected),
    ] {
        assert_eq!(Failure::classify(status, Some(code), None), expected, "{status} {code}");
    }
}

#[test]
fn every_status_has_a_meaning_without_a_code() {
    for (statuses, expected) in [
        (vec![400, 401, 403], Kind::Rejected(Verdict::Other)),
        (vec![402, 404, 405, 406, 407, 409, 410, 411, 413, 415, 418, 422, 451, 499], Kind::RequestRejected),
        (vec![408, 500, 501, 502, 503, 504, 520, 599, 999], Kind::Unavailable(AFTER)),
        (vec![429], Kind::Throttled(AFTER)),
        (vec![300, 301, 302, 303, 304, 307, 308, 399], Kind::Redirected),
        (vec![201, 202, 204, 206, 100, 101], Kind::Unusable(Flaw::NotJson)),
    ] {
        for status in statuses {
            assert_eq!(Failure::classify(status, None, AFTER), expected, "{status}");
        }
    }
}

#[test]
fn a_failure_that_needs_a_person_is_not_tried_soon_but_where_a_certificate_may_be_mended() {
    for kind in ALL {
        let failure = failure(kind);
        let soon = matches!(failure.retry(), Retry::Soon | Retry::After(_));
        assert!(!(failure.needs_a_person() && soon) || kind == Kind::Untrusted, "{kind:?}");
    }
}

#[test]
fn each_failure_is_met_as_it_deserves() {
    for kind in ALL {
        let expected = match kind {
            Kind::Unavailable(Some(after)) | Kind::Throttled(Some(after)) => Retry::After(after),
            Kind::Rejected(Verdict::Locked) => Retry::NotWithin(Duration::from_mins(30)),
            Kind::Unusable(Flaw::ShorterLived | Flaw::NoAccount)
            | Kind::Rejected(_)
            | Kind::Redirected
            | Kind::RequestRejected
            | Kind::OtherAccount => Retry::Slowly,
            _ => Retry::Soon,
        };
        assert_eq!(failure(kind).retry(), expected, "{kind:?}");
        assert_eq!(Problem::Iam(failure(kind)).retry(), expected, "{kind:?}");
    }
}

#[test]
fn nothing_that_iam_says_is_final() {
    assert!(ALL.iter().all(|kind| failure(*kind).retry() != Retry::OnChange));
}

#[test]
fn every_message_says_what_where_and_what_to_do() {
    for kind in ALL {
        for (status, code, request_id) in [
            (None, None, None),
            (Some(400), None, None),
            (Some(400), Some("BXNIM0415E"), None),
            (Some(400), Some("BXNIM0415E"), Some("r-1")),
            (Some(200), None, Some("r-1")),
        ] {
            let (code, request_id) = (code.map(str::to_owned), request_id.map(str::to_owned));
            let failure = Failure { status, code, request_id, ..failure(kind) };
            let text = failure.to_string();
            assert!(text.starts_with("IAM at https://iam.cloud.ibm.com: "), "{text}");
            assert!(text.contains(&format!(". {}.", failure.next_action())), "{text}");
            assert!(text.contains(failure.what()), "{text}");
            let http = match (status, &failure.code) {
                (Some(400), Some(_)) => " (HTTP 400, BXNIM0415E). ",
                (Some(400), None) => " (HTTP 400). ",
                _ => failure.what(),
            };
            assert!(text.contains(http) && !text.contains("HTTP 200"), "{text}");
            let end = if failure.request_id.is_some() { ". (IAM request id r-1)" } else { "." };
            assert!(text.ends_with(end), "{text}");
            for wrong in ["..", "  ", " .", "()", ":.", "(,"] {
                assert!(!text.contains(wrong), "{wrong:?} in {text}");
            }
        }
    }
}

#[test]
fn what_passes_by_itself_says_so_and_what_needs_a_person_does_not() {
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::Untrusted) {
        let failure = failure(kind);
        let says = failure.next_action().contains("tried again by itself");
        assert_eq!(says, !failure.needs_a_person(), "{kind:?}: {}", failure.next_action());
    }
}
