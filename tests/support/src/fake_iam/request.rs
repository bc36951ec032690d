//! The checks of a token request before anybody looks at its credential.

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::form::Form;
use super::problem::Problem;

/// More than any form that IAM takes, in bytes.
const BODY_LIMIT: usize = 64 << 10;

/// The body of a token request whose head is in order.
///
/// Where the real service's answer is not known (`Accept`, size of the body) the fake takes the HTTP status that fits.
pub(crate) async fn body_of(request: Request<Incoming>) -> Result<Vec<u8>, Problem> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Problem::web(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !accepts_json(&head.headers) {
        return Err(Problem::web(StatusCode::NOT_ACCEPTABLE));
    }
    if !is_form(&head.headers) {
        return Err(Problem::missing("grant_type"));
    }
    // Without a length IAM takes the form for empty (release notes of Portworx 2.2).
    if !head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Problem::missing("grant_type"));
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(_) => Err(Problem::web(StatusCode::PAYLOAD_TOO_LARGE)),
    }
}

/// The form, its grant checked to be there and its `response_type` to be the one that is supported.
pub(crate) fn form_of(body: &[u8]) -> Result<Form, Problem> {
    let form = Form::parse(body).map_err(Problem::unreadable_form)?;
    if form.get("grant_type").is_none() {
        return Err(Problem::missing("grant_type"));
    }
    match form.get("response_type") {
        None | Some("cloud_iam") => Ok(form),
        Some(other) => Err(Problem::invalid("response_type", other, "cloud_iam")),
    }
}

/// A header as text.
pub(crate) fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn is_form(headers: &HeaderMap) -> bool {
    header(headers, &CONTENT_TYPE).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Whether `Accept` admits `application/json`; a request without one admits anything (RFC 9110, section 12.5.1).
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    ranges.peek().is_none() || ranges.flat_map(|value| value.split(',')).any(range_admits_json)
}

fn range_admits_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let refused = parts
        .filter_map(|part| part.strip_prefix("q="))
        .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    !refused && matches!(media.as_str(), "*/*" | "application/*" | "application/json")
}
