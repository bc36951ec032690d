//! IamTokens in each state, for tests, and how their texts are compared.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::Listed;

/// The time at which they are as their names say.
pub(super) const NOW: &str = "2026-11-25T12:00:00Z";

/// All of them.
pub(super) const NAMES: [&str; 11] =
    ["well", "late", "fading", "refused", "missing", "paused", "dead", "silent", "first", "new", "leaving"];

const UNREACHABLE: &str = "IAM at https://iam.cloud.ibm.com: it does not answer in time. Check network policies, proxy and \
     firewall towards it; it is tried again by itself.";
const REJECTED: &str = "IAM at https://iam.cloud.ibm.com: the API key could not be found (HTTP 400, BXNIM0415E). Put a \
     valid key into the source Secret (ibmcloud iam service-api-key-create); it is tried at once. (IAM request id r-1)";
const MISSING: &str =
    "Secret hpcs-api-key, which should hold the API key, does not exist. Create it in this namespace.";

/// The sample of that name.
pub(super) fn token(name: &str) -> Listed {
    serde_json::from_value(object(name)).unwrap()
}

/// The same, as the API server gives it.
pub(super) fn object(name: &str) -> Value {
    let mut object = json!({
        "metadata": {
            "name": name, "namespace": "payments", "generation": 2, "uid": "u-1",
            "creationTimestamp": minutes(-180),
        },
        "spec": {
            "apiKeySecretRef": {"name": "hpcs-api-key"},
            "target": {"name": format!("{name}-token")},
        },
    });
    let status = match name {
        "new" => return object,
        "well" | "leaving" => valid(40, &[condition("Ready", "True", "TokenValid", -180, "The token is valid.")]),
        "late" => valid(5, &[condition("Ready", "True", "TokenValid", -180, "The token is valid.")]),
        "silent" => valid(-47, &[condition("Ready", "True", "TokenValid", -180, "The token is valid.")]),
        "fading" => valid(
            5,
            &[
                condition(
                    "Ready",
                    "True",
                    "RefreshFailing",
                    -180,
                    &format!("The token is valid, but all is not well. {UNREACHABLE}"),
                ),
                condition("Reconciling", "True", "IamUnreachable", -8, UNREACHABLE),
            ],
        ),
        "refused" => valid(
            -37,
            &[
                condition("Ready", "False", "CredentialRejected", -37, &format!("The token expired. {REJECTED}")),
                condition("Stalled", "True", "CredentialRejected", -50, REJECTED),
            ],
        ),
        "missing" => json!({"conditions": [
            condition("Ready", "False", "SourceNotFound", -3, MISSING),
            condition("Stalled", "True", "SourceNotFound", -3, MISSING),
        ]}),
        "paused" | "dead" => {
            object["spec"]["suspend"] = json!(true);
            let ready = name == "paused";
            let (left, truth) = if ready { (30, "True") } else { (-30, "False") };
            let mut status = valid(left, &[condition("Ready", truth, "Suspended", -20, "Suspended.")]);
            status.as_object_mut().unwrap().remove("refreshAt");
            status
        }
        "first" => json!({"conditions": [
            condition("Ready", "False", "Refreshing", 0, "A token is being fetched."),
            condition("Reconciling", "True", "Refreshing", 0, "A token is being fetched."),
        ]}),
        _ => panic!("no sample {name}"),
    };
    if name == "leaving" {
        object["metadata"]["deletionTimestamp"] = minutes(0);
    }
    object["status"] = status;
    object["status"]["observedGeneration"] = json!(2);
    object["status"]["target"] = json!({"name": format!("{name}-token")});
    object
}

/// So many minutes from [`NOW`].
pub(super) fn minutes(minutes: i64) -> Value {
    let now: Timestamp = NOW.parse().unwrap();
    json!((now + SignedDuration::from_mins(minutes)).to_string())
}

/// A token of an hour that has so many minutes left and is refreshed when 13 of them are left.
fn valid(left: i64, conditions: &[Value]) -> Value {
    json!({
        "conditions": conditions,
        "refreshedAt": minutes(left - 60), "refreshAt": minutes(left - 13), "expiresAt": minutes(left),
        "identity": {"iamId": "iam-ServiceId-1", "subjectType": "ServiceId", "accountId": "0123"},
    })
}

fn condition(type_: &str, status: &str, reason: &str, since: i64, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": minutes(since), "observedGeneration": 2,
    })
}

/// Compares with `snapshots/NAME`; `UPDATE=1 cargo test --lib cli::` writes it anew. Escape characters stand there as `␛`.
pub(super) fn compare(name: &str, text: &str) {
    let path = format!("{}/src/cli/plugin/snapshots/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = text.replace('\x1b', "␛");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{path} differs: UPDATE=1 writes it anew\n--- committed\n{committed}\n--- now\n{text}");
}
