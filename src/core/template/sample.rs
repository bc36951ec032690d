//! The token that templates are tried with before there is one. Every part of it is made up.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{Facts, Renderer};
use crate::api::Identity;
use crate::core::schedule::Life;

/// As long as a service ID's token, in characters for each of its three parts.
const PART: usize = 400;

pub(super) fn renderer() -> Renderer {
    let token = ["A", "B", "C"].map(|letter| letter.repeat(PART)).join(".");
    let identity = Identity {
        iam_id: Some("iam-ServiceId-00000000-0000-4000-8000-000000000000".into()),
        subject_type: Some("ServiceId".into()),
        account_id: Some("0".repeat(32)),
    };
    let facts = Facts {
        token: &token,
        life: Life { since: Timestamp::UNIX_EPOCH, lasts: Duration::from_hours(1) },
        identity: Some(&identity),
        namespace: "sample",
        name: "sample",
    };
    // The claims of a service ID's token (IBM Cloud documentation, "IAM access tokens").
    let id = "ServiceId-00000000-0000-4000-8000-000000000000";
    let claims = json!({
        "iam_id": format!("iam-{id}"), "id": format!("iam-{id}"), "realmid": "iam", "identifier": id,
        "jti": "00000000-0000-4000-8000-000000000000", "name": "sample", "sub": id, "sub_type": "ServiceId",
        "authn": {"sub": id, "iam_id": format!("iam-{id}"), "sub_type": "ServiceId", "name": "sample"},
        "account": {"valid": true, "bss": "0".repeat(32), "frozen": true},
        "iat": 0, "exp": 3600, "iss": "https://iam.cloud.ibm.com/identity",
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey", "scope": "ibm openid", "client_id": "default",
        "acr": 1, "amr": ["pwd"],
    });
    Renderer { sample: true, ..Renderer::with_claims(&facts, claims) }
}
