//! IAM's error answers.
//!
//! The shape is `OidcExceptionResponse` of the clients that are generated from IBM's OpenAPI of IAM Identity. The texts and
//! the fields of `context` are those of answers that users of IBM Cloud have published. `errorMessage` is localised by the
//! real service: only `errorCode` can be relied upon.

use std::borrow::Cow;
use std::fmt;

use hyper::StatusCode;
use serde_json::{Value, json};

/// An error answer of the token endpoint. Its `Debug` leaves out the details: they can echo the key.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    message: &'static str,
    details: Option<String>,
    requirements: Option<Value>,
}

/// Code, HTTP status and message of the errors that are known of the token endpoint.
///
/// The status of BXNIM0462E is not documented (400 and 401 were both seen by users); the fake takes 400.
const DOCUMENTED: &[(&str, u16, &str)] = &[
    ("BXNIM0050E", 500, "An unexpected exception occurred during a call to another system."),
    ("BXNIM0060E", 405, "Web application exception during request processing."),
    ("BXNIM0106E", 400, "Validation of property failed."),
    ("BXNIM0109E", 400, "Property missing or empty."),
    ("BXNIM0141E", 400, "User is not member of the specified account."),
    ("BXNIM0308E", 401, "No authorization header found."),
    ("BXNIM0310E", 400, "The provided client could not be found."),
    ("BXNIM0398E", 400, "Selected trusted profile not eligible."),
    ("BXNIM0400E", 401, "OpenID Connect exception"),
    ("BXNIM0401E", 400, "Provided token is malformed."),
    ("BXNIM0405E", 400, "Provided token is not supported."),
    ("BXNIM0410E", 400, "Provided user not found or active."),
    ("BXNIM0415E", 400, "Provided API key could not be found."),
    ("BXNIM0436E", 401, "User is suspended in the requested account or invalid."),
    ("BXNIM0439E", 400, "Session has been invalidated due to inactivity."),
    ("BXNIM0462E", 400, "Provided API key is disabled."),
    ("BXNIM0513E", 403, "You are not authorized to use this API."),
];

impl Problem {
    /// A documented error with its own status and message; a code that is not known gets 400.
    pub(crate) fn documented(code: impl Into<Cow<'static, str>>) -> Self {
        let code = code.into();
        let (status, message) = DOCUMENTED
            .iter()
            .find(|(known, _, _)| *known == code)
            .map_or((400, "Unknown error."), |(_, status, message)| (*status, *message));
        let locked = code == "BXNIM0400E";
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            message,
            details: locked.then(|| "Failed external authentication.".into()),
            requirements: locked.then(|| {
                json!({
                    "error": "Account has been locked for 30 minutes",
                    "code": "SoftLayer_Exception_User_Customer_AccountLocked",
                })
            }),
        }
    }

    /// The key is not known. The details echo it, as the real service has been seen to do.
    pub(crate) fn key_not_found(key: &str) -> Self {
        Self::documented("BXNIM0415E")
            .details(format!("BXNIM0102E: Unable to find Object. Object Type: 'ApiKey' with ID: '{key}' not found"))
    }

    /// A property of the form is missing or empty.
    pub(crate) fn missing(property: &str) -> Self {
        Self::documented("BXNIM0109E").details(format!("Property '{property}' either missing or empty."))
    }

    /// A property of the form is not one of the valid values.
    pub(crate) fn invalid(property: &str, value: &str, valid: &str) -> Self {
        Self::documented("BXNIM0106E").details(format!(
            "Validation of property '{property}' with value '{value}' failed. Valid values: '{valid}'"
        ))
    }

    /// The form can't be read.
    pub(crate) fn unreadable_form(what: &str) -> Self {
        Self::documented("BXNIM0106E").details(format!("The form could not be read: {what}."))
    }

    /// A refusal of the web layer, such as 405 Method Not Allowed.
    pub(crate) fn web(status: StatusCode) -> Self {
        Self::documented("BXNIM0060E").status(status).details(format!(
            "HTTP {} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default()
        ))
    }

    /// The same with another HTTP status.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    fn details(mut self, details: String) -> Self {
        self.details = Some(details);
        self
    }

    /// The JSON body.
    pub(crate) fn body(&self, context: &Value) -> Value {
        let mut body = json!({
            "errorCode": self.code,
            "errorMessage": self.message,
            "context": context,
        });
        if let Some(details) = &self.details {
            body["errorDetails"] = json!(details);
        }
        if let Some(requirements) = &self.requirements {
            body["requirements"] = requirements.clone();
        }
        body
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem").field("status", &self.status).field("code", &self.code).finish_non_exhaustive()
    }
}
