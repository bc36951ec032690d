//! The edges to Kubernetes: reading the credential, applying the target, the one metadata watch on Secrets, status and
//! events. Each request has a deadline, and each refusal becomes an [`ApiProblem`].

pub mod client;
pub mod credentials;
pub mod deadline;
pub mod events;
pub mod iam_token;
pub mod lease;
pub mod review;
pub mod secrets;
pub mod server_time;
pub mod service_account;
pub mod source;
pub mod status;
pub mod target;
mod transport;
pub mod watch;
pub mod workload;

use std::collections::BTreeSet;
use std::time::Duration;

use kube::core::Status;

use crate::core::problem::{ApiKind, ApiProblem, Problem};
use crate::telemetry::traces::span;

/// How long a request to the API server may take.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Makes one request; `action` says what for, as in `read Secret hpcs-api-key`.
async fn call<T>(
    action: impl FnOnce() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiProblem> {
    let (kind, code, fields) = match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(kube::Error::Api(status))) => (kind(&status), Some(status.code), fields(&status)),
        Ok(Err(_)) | Err(_) => (ApiKind::Unavailable, None, vec![]),
    };
    let problem = ApiProblem { action: action(), kind, code, fields };
    if kind != ApiKind::Conflict {
        span::fail(|| Problem::Api(problem.clone()).message());
    }
    Err(problem)
}

/// The fields that a refusal names, never their values.
fn fields(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields = causes.map(|cause| cause.field.as_str()).filter(|field| !field.is_empty() && field.len() <= 64);
    let fields: BTreeSet<&str> = fields.collect();
    fields.into_iter().take(3).map(str::to_owned).collect()
}

/// What a refusal means. Where only its text tells it, the text is that of Kubernetes' own validation
/// (`pkg/apis/core/validation/validation.go`).
fn kind(status: &Status) -> ApiKind {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let has = |text: &str| status.message.contains(text) || causes.clone().any(|cause| cause.message.contains(text));
    match status.code {
        403 if has("because it is being terminated") => ApiKind::Terminating,
        401 | 403 => ApiKind::Denied,
        409 => ApiKind::Conflict,
        422 if has("field is immutable when `immutable` is set") => ApiKind::Immutable,
        422 if causes.clone().any(|cause| cause.field == "type") => ApiKind::OtherType,
        413 => ApiKind::TooLarge,
        422 if has("Too long") => ApiKind::TooLarge,
        408 | 410 | 429 | 500.. => ApiKind::Unavailable,
        _ => ApiKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(code: u16, message: &str, field: &str) -> ApiKind {
        let details = json!({"causes": [{"reason": "FieldValueInvalid", "message": message, "field": field}]});
        let status = json!({"status": "Failure", "code": code, "message": message, "reason": "", "details": details});
        kind(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn what_passes_by_itself_is_no_fault_of_anybody() {
        for code in [408, 410, 429, 500, 502, 503, 504] {
            assert_eq!(of(code, "any", ""), ApiKind::Unavailable, "{code}");
        }
    }

    #[test]
    fn each_refusal_has_its_kind() {
        for (code, message, field, expected) in [
            (401, "any", "", ApiKind::Denied),
            (403, "secrets is forbidden", "", ApiKind::Denied),
            (403, "forbidden because it is being terminated", "", ApiKind::Terminating),
            (409, "any", "", ApiKind::Conflict),
            (413, "any", "", ApiKind::TooLarge),
            (422, "Too long: may not be more than 1048576 bytes", "data", ApiKind::TooLarge),
            (422, "field is immutable when `immutable` is set", "data", ApiKind::Immutable),
            (422, "field is immutable", "type", ApiKind::OtherType),
            (422, "any", "metadata.labels", ApiKind::Refused),
            (400, "any", "", ApiKind::Refused),
        ] {
            assert_eq!(of(code, message, field), expected, "{code} {message}");
        }
    }
}
