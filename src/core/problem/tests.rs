use super::*;
use crate::core::failure::{Cause, Kind};

/// Every problem that the API server can be the cause of, with its status.
const API: [(ApiKind, Option<u16>); 9] = [
    (ApiKind::Denied, Some(403)),
    (ApiKind::Terminating, Some(403)),
    (ApiKind::Immutable, Some(422)),
    (ApiKind::OtherType, Some(422)),
    (ApiKind::TooLarge, Some(413)),
    (ApiKind::Refused, Some(422)),
    (ApiKind::Conflict, Some(409)),
    (ApiKind::Unavailable, Some(503)),
    (ApiKind::Unavailable, None),
];

fn api(kind: ApiKind, code: Option<u16>) -> Problem {
    Problem::Api(ApiProblem { action: "write Secret the-secret".into(), kind, code, fields: vec![] })
}

/// Each with the words that its message must hold.
#[allow(clippy::too_many_lines, reason = "one line for each problem")]
fn all() -> Vec<(Problem, Reason, &'static [&'static str])> {
    let [name, key] = ["the-secret", "the-key"].map(str::to_owned);
    let iam = Failure {
        kind: Kind::Unreachable(Cause::Dns),
        endpoint: "https://iam.cloud.ibm.com".into(),
        status: None,
        code: None,
        request_id: None,
    };
    vec![
        (Problem::Undecodable { kind: "IamToken" }, Reason::InvalidSpec, &["kubectl explain"]),
        (Problem::InvalidField { field: "spec.x", hint: "a hint" }, Reason::InvalidSpec, &["spec.x", "a hint"]),
        (
            Problem::InvalidEntry { key: "the-key".into(), hint: "a hint" },
            Reason::InvalidSpec,
            &["spec.target.data[key the-key] a hint"],
        ),
        (
            Problem::TemplateInvalid { key: "the-key".into(), fault: Fault { line: Some(7), what: "a fault".into() } },
            Reason::TemplateInvalid,
            &["spec.target.data[key the-key], line 7: a fault", "Correct the template"],
        ),
        (
            Problem::TemplateFailed { key: "the-key".into(), fault: Fault { line: None, what: "a fault".into() } },
            Reason::TemplateFailed,
            &["spec.target.data[key the-key]", "a fault", "Correct the template"],
        ),
        (
            Problem::NothingIsLent,
            Reason::CredentialUnsupported,
            &["spec.credentialRef", "clusterCredentials.namespaces"],
        ),
        (Problem::LendersUnknown, Reason::ApiServerUnavailable, &["ClusterIamCredentials"]),
        (Problem::CredentialNotFound { name: "c".into() }, Reason::CredentialNotFound, &["ClusterIamCredential c"]),
        (
            Problem::NamespaceNotAdmitted { name: "c".into(), namespace: "ns".into() },
            Reason::NamespaceNotAdmitted,
            &["ClusterIamCredential c", "namespace ns", "allowedNamespaces"],
        ),
        (
            Problem::Lent { name: "c".into(), why: Box::new(Problem::Undecodable { kind: "IamToken" }) },
            Reason::CredentialNotReady,
            &["ClusterIamCredential c", "kubectl describe clusteriamcredential c"],
        ),
        (
            Problem::NotLockedAway { namespace: "ns".into(), allowed: "iam-keys".into() },
            Reason::InvalidSpec,
            &["namespace ns", "iam-keys", "clusterCredentials.namespaces"],
        ),
        (
            Problem::EndpointNotAllowed { endpoint: "https://e".into(), allowed: "https://a, https://b".into() },
            Reason::EndpointNotAllowed,
            &["https://e", "https://a, https://b"],
        ),
        (Problem::SourceNotFound { name: name.clone() }, Reason::SourceNotFound, &["the-secret", "Create"]),
        (
            Problem::SourceKeyNotFound { name: name.clone(), key: key.clone() },
            Reason::SourceKeyNotFound,
            &["the-secret", "the-key", "spec.apiKeySecretRef.key"],
        ),
        (
            Problem::SourceInvalid { name: name.clone(), key, why: KeyProblem::Empty },
            Reason::SourceInvalid,
            &["the-secret", "the-key", "is empty"],
        ),
        (
            Problem::ServiceAccountNotFound { name: name.clone() },
            Reason::ServiceAccountNotFound,
            &["the-secret", "does not exist", "Create"],
        ),
        (
            Problem::TokenRequestRefused { name: name.clone(), code: Some(403) },
            Reason::TokenRequestRefused,
            &["the-secret", "(HTTP 403)", "serviceAccountTokens"],
        ),
        (
            Problem::OwnServiceAccount { name: name.clone() },
            Reason::TokenRequestRefused,
            &["the-secret", "the operator's own", "spec.serviceAccountRef"],
        ),
        (
            Problem::TargetExists { name: name.clone(), controller: Some("Certificate/c".into()) },
            Reason::TargetExists,
            &["the-secret", "Certificate/c", "spec.target.name"],
        ),
        (
            Problem::TargetExists { name: name.clone(), controller: None },
            Reason::TargetExists,
            &["the-secret", "spec.target.adopt"],
        ),
        (
            Problem::TargetConflict { name, winner: "older".into() },
            Reason::TargetConflict,
            &["the-secret", "older", "spec.target.name"],
        ),
        (
            Problem::WorkloadNotFound { workload: "Deployment web".into() },
            Reason::WorkloadNotFound,
            &["Deployment web", "Create", "spec.restart.workloads"],
        ),
        (
            Problem::RestartDenied { workload: "Deployment web".into(), code: Some(403) },
            Reason::RestartDenied,
            &["Deployment web", "(HTTP 403)", "workloadRestarts.enabled"],
        ),
        (
            Problem::RestartDenied { workload: "Deployment web".into(), code: Some(422) },
            Reason::RestartDenied,
            &["Deployment web", "(HTTP 422)", "admission rule"],
        ),
        (
            Problem::RestartTooLate {
                workload: "Deployment web".into(),
                expires_at: Timestamp::UNIX_EPOCH,
                until: Timestamp::UNIX_EPOCH,
            },
            Reason::RestartTooLate,
            &["Deployment web", "1970", "spec.restart.minPeriod"],
        ),
        (Problem::Iam(iam), Reason::IamUnreachable, &["https://iam.cloud.ibm.com", "DNS"]),
        (api(ApiKind::Denied, Some(403)), Reason::AccessDenied, &["Could not write Secret the-secret (HTTP 403)"]),
        (api(ApiKind::Terminating, Some(403)), Reason::NamespaceTerminating, &["the-secret", "namespace"]),
        (api(ApiKind::Immutable, Some(422)), Reason::TargetImmutable, &["the-secret", "immutable", "Delete it"]),
        (api(ApiKind::OtherType, Some(422)), Reason::TargetTypeMismatch, &["the-secret", "spec.target.type"]),
        (api(ApiKind::TooLarge, Some(413)), Reason::TargetTooLarge, &["the-secret", "1 MiB"]),
        (api(ApiKind::Refused, Some(422)), Reason::TargetInvalid, &["the-secret", "labels"]),
        (api(ApiKind::Conflict, Some(409)), Reason::ApiServerUnavailable, &["the-secret", "again by itself"]),
        (api(ApiKind::Unavailable, None), Reason::ApiServerUnavailable, &["Could not write Secret the-secret: "]),
    ]
}

#[test]
fn every_problem_names_what_it_is_about_and_what_to_do() {
    for (problem, reason, words) in all() {
        let message = problem.message();
        assert_eq!(problem.reason(), reason, "{message}");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
        assert!(message.ends_with('.') && message.starts_with(char::is_alphabetic), "{message:?}");
        assert!(message.matches(". ").count() >= 1, "one sentence for what is wrong, one for what to do: {message:?}");
        for wrong in ["..", "  ", " .", "\n"] {
            assert!(!message.contains(wrong), "{wrong:?} is in {message:?}");
        }
    }
}

#[test]
fn a_refusal_names_the_fields_that_it_is_about() {
    let fields = ["metadata.labels", "type"].map(str::to_owned).to_vec();
    let problem = ApiProblem { action: "write Secret s".into(), kind: ApiKind::Refused, code: Some(422), fields };
    let message = Problem::Api(problem).message();
    assert!(message.starts_with("Could not write Secret s because of metadata.labels, type (HTTP 422): "), "{message}");
}

#[test]
fn what_passes_by_itself_is_tried_soon_and_says_so() {
    for (problem, ..) in all() {
        let passes = !problem.needs_a_person();
        let soon = problem.retry() == Retry::Soon || matches!(problem, Problem::WorkloadNotFound { .. });
        assert_eq!(soon, passes, "{problem:?}");
        assert_eq!(problem.message().contains("tried again by itself"), passes, "{problem:?}");
    }
}

#[test]
fn what_only_a_watched_change_can_mend_is_not_tried_again_before() {
    for (problem, ..) in all().into_iter().filter(|(problem, ..)| !matches!(problem, Problem::Api(_) | Problem::Iam(_)))
    {
        let expected = match problem {
            Problem::ServiceAccountNotFound { .. }
            | Problem::TokenRequestRefused { .. }
            | Problem::WorkloadNotFound { .. }
            | Problem::RestartDenied { .. } => Retry::EverSlower,
            Problem::LendersUnknown => Retry::Soon,
            _ => Retry::OnChange,
        };
        assert_eq!(problem.retry(), expected, "{problem:?}");
    }
    for (kind, code) in API {
        let expected = match kind {
            ApiKind::Conflict | ApiKind::Unavailable => Retry::Soon,
            ApiKind::Denied => Retry::EverSlower,
            ApiKind::Terminating | ApiKind::Refused => Retry::Slowly,
            ApiKind::Immutable | ApiKind::OtherType | ApiKind::TooLarge => Retry::OnChange,
        };
        assert_eq!(api(kind, code).retry(), expected, "{kind:?}");
    }
}

#[test]
fn reasons_are_camel_case_and_each_stands_once_in_the_list() {
    let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    for reason in &all {
        assert!(reason.starts_with(|c: char| c.is_ascii_uppercase()), "{reason}");
        assert!(reason.bytes().all(|b| b.is_ascii_alphanumeric()), "{reason}");
        assert_eq!(all.iter().filter(|other| *other == reason).count(), 1, "{reason}");
    }
}
