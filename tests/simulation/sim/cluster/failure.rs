//! Refusals, as `Status` objects.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::apply::{Conflict, Operation};
use super::kind::Kind;

/// A refusal.
#[derive(Debug)]
pub struct Failure {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

/// What is wrong with one field.
#[derive(Debug)]
pub struct Cause {
    pub reason: &'static str,
    pub field: &'static str,
    pub message: String,
}

/// The object that a refusal is about.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    pub kind: Kind,
    pub name: &'a str,
}

// === impl Failure ===

impl Failure {
    /// 404
    pub fn not_found(object: Object<'_>) -> Self {
        let message = format!("{} \"{}\" not found", object.kind.resource(), object.name);
        Self { code: 404, reason: "NotFound", message, details: details(object, object.kind.plural()) }
    }

    /// 404 for a path that is not served.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource".into();
        Self { code: 404, reason: "NotFound", message, details: json!({}) }
    }

    /// 409 for what is there already.
    pub fn already_exists(object: Object<'_>) -> Self {
        let message = format!("{} \"{}\" already exists", object.kind.resource(), object.name);
        Self { code: 409, reason: "AlreadyExists", message, details: details(object, object.kind.plural()) }
    }

    /// 409 for what is not as the writer expects it.
    pub fn conflict(object: Object<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {why}", object.kind.resource(), object.name);
        Self { code: 409, reason: "Conflict", message, details: details(object, object.kind.plural()) }
    }

    /// 409 for a deletion of what is not as expected.
    pub fn precondition(object: Object<'_>, field: &str, expected: &str) -> Self {
        let mut failure = Self::conflict(object, &format!("Precondition failed: {field} in precondition: {expected}"));
        failure.details["kind"] = object.kind.name().into();
        failure
    }

    /// 409 for another resourceVersion.
    pub fn modified(object: Object<'_>) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again".to_owned();
        Self::conflict(object, &why)
    }

    /// 409 for an apply that is not forced.
    pub fn owned_by_others(conflicts: &[Conflict]) -> Self {
        let causes = conflicts.iter().flat_map(|conflict| {
            let using = match conflict.operation {
                Operation::Apply => String::new(),
                Operation::Update => format!(" using {}", conflict.api_version),
            };
            let message = format!("conflict with \"{}\"{using}", conflict.manager);
            let cause =
                move |field: &String| json!({"reason": "FieldManagerConflict", "message": message, "field": field});
            conflict.paths.iter().map(cause)
        });
        let causes: Vec<Value> = causes.collect();
        let message = format!("Apply failed with {} conflict(s): {causes:?}", causes.len());
        Self { code: 409, reason: "Conflict", message, details: json!({"causes": causes}) }
    }

    /// 422
    pub fn invalid(object: Object<'_>, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let message = format!("{} \"{}\" is invalid: {}", object.kind.name(), object.name, texts.join(", "));
        let mut details = details(object, object.kind.name());
        let causes =
            causes.iter().map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}));
        details["causes"] = causes.collect();
        Self { code: 422, reason: "Invalid", message, details }
    }

    /// 422 for an apply of nobody.
    pub fn no_field_manager() -> Self {
        let details = json!({"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [{
            "reason": "FieldValueRequired", "message": "Required value: is required for apply patch", "field": "fieldManager",
        }]});
        Self { code: 422, reason: "Invalid", message: "PatchOptions.meta.k8s.io \"\" is invalid".into(), details }
    }

    /// 422 for a new object without a name.
    pub fn no_name(kind: Kind) -> Self {
        let mut details = details(Object { kind, name: "" }, kind.name());
        details["causes"] = json!([{
            "reason": "FieldValueRequired", "message": "Required value: name or generateName is required",
            "field": "metadata.name",
        }]);
        Self { code: 422, reason: "Invalid", message: format!("{} \"\" is invalid", kind.name()), details }
    }

    /// 422 for a replacement that must say of what.
    pub fn no_version(object: Object<'_>) -> Self {
        let field = "metadata.resourceVersion";
        let message = "Invalid value: 0: must be specified for an update".into();
        let mut failure = Self::invalid(object, &[Cause { reason: "FieldValueInvalid", field, message }]);
        failure.details["kind"] = object.kind.plural().into();
        failure
    }

    /// What a patch gets whose outcome cannot be decoded.
    pub fn of_patch(self) -> Self {
        if self.code != 400 {
            return self;
        }
        let cause = json!({"reason": "FieldValueInvalid", "message": self.message, "field": "patch"});
        Self { code: 422, reason: "Invalid", message: self.message, details: json!({"causes": [cause]}) }
    }

    /// 400
    pub fn bad_request(message: &str) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into(), details: json!({}) }
    }

    /// 410
    pub fn expired(message: &str) -> Self {
        Self { code: 410, reason: "Expired", message: message.into(), details: json!({}) }
    }

    /// Any other, as it comes from elsewhere than the API's own logic.
    pub fn other(code: u16, retry_after: Option<u64>) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        let details = retry_after.map_or_else(|| json!({}), |seconds| json!({"retryAfterSeconds": seconds}));
        Self { code, reason, message: format!("simulated: {code}"), details }
    }

    /// 500
    pub fn internal(message: &str) -> Self {
        Self { code: 500, reason: "", message: message.into(), details: json!({}) }
    }

    /// The HTTP status.
    pub fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.code).unwrap()
    }

    /// The `Status` object.
    pub fn json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if self.details.as_object().is_some_and(|details| !details.is_empty()) {
            status["details"] = self.details.clone();
        }
        status
    }

    /// The `Status` object as it is sent.
    pub fn body(&self) -> Bytes {
        self.json().to_string().into()
    }
}

/// What tells of an object in a `Status`.
pub fn details(object: Object<'_>, kind: &str) -> Value {
    let mut details = json!({"kind": kind});
    if !object.name.is_empty() {
        details["name"] = object.name.into();
    }
    if !object.kind.group().is_empty() {
        details["group"] = object.kind.group().into();
    }
    details
}
