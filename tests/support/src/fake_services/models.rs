//! watsonx.ai: `POST /ml/v1/text/generation?version=<date>`.
//!
//! Request and answer are those of IBM's docs (watsonx: "Generating text"); the errors for tokens are those that its users
//! have posted (BerriAI/litellm, issue 9219, has the one for an expired token). What else can be wrong with a request gets
//! 400 with codes that the fake makes up.

use hyper::header::CONTENT_TYPE;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Claims, Whole};
use crate::fake_iam::server::Body;
use crate::fake_iam::{TokenError, json_answer, text_answer};

/// The project that there is.
pub const PROJECT: &str = "fa4e0000-0000-4000-8000-000000000003";

/// A 400: code and message.
type Wrong = (&'static str, &'static str);

pub(super) fn answer(request: &Whole, claims: &Claims) -> Response<Body> {
    if request.path != "/ml/v1/text/generation" || request.method != Method::POST {
        return text_answer(StatusCode::NOT_FOUND, "404 page not found");
    }
    match claims {
        Err(TokenError::Expired) => error(
            StatusCode::UNAUTHORIZED,
            "authentication_token_expired",
            "Failed to authenticate the request due to an expired token",
        ),
        Err(_) => error(
            StatusCode::UNAUTHORIZED,
            "authentication_token_not_valid",
            "Failed to authenticate the request due to invalid token: Failed to parse and verify token",
        ),
        Ok(_) => match generated(request) {
            Ok(body) => json_answer(StatusCode::OK, &body),
            Err((code, message)) => error(StatusCode::BAD_REQUEST, code, message),
        },
    }
}

fn generated(request: &Whole) -> Result<Value, Wrong> {
    let version = request.query.split('&').find_map(|pair| pair.strip_prefix("version=")).unwrap_or_default();
    if !is_date(version) {
        return Err(("invalid_version", "version must be a date such as 2025-02-11"));
    }
    if request.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Err(("invalid_content_type", "Content-Type must be application/json"));
    }
    let wanted: Value = serde_json::from_slice(&request.body).map_err(|_| ("invalid_json", "the body is no JSON"))?;
    if wanted["project_id"] != PROJECT {
        return Err(("invalid_project", "no such project"));
    }
    let (Some(model), Some(input)) = (wanted["model_id"].as_str(), wanted["input"].as_str()) else {
        return Err(("missing_field", "model_id and input are needed"));
    };
    Ok(json!({
        "model_id": model,
        "created_at": "2026-01-01T00:00:00.000Z",
        "results": [{
            "generated_text": format!("A fake answer to: {input}"),
            "generated_token_count": 5,
            "input_token_count": input.split_whitespace().count(),
            "stop_reason": "eos_token",
        }],
    }))
}

/// `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00"
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({
        "errors": [{"code": code, "message": message, "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai"}],
        "trace": "fa4e000000004000800000000000000c",
        "status_code": status.as_u16(),
    });
    json_answer(status, &body)
}
