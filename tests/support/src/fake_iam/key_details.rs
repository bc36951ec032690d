//! `GET /v1/apikeys/details`: what is known of the API key in the header `IAM-ApiKey`, for an identity that may read it.
//!
//! Fields, headers and statuses are those of IBM's OpenAPI of IAM Identity (`getApiKeysDetails`, `ApiKey`,
//! `ExceptionResponse`). Users may read their own keys; a service ID needs the action `iam-identity.apikey.get`, which it
//! has only where somebody gave it that. The codes and texts of errors are the fake's own.

use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderName, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::fault::{Fault, Faults, Times};
use super::server::{Answer, Body, Connection};
use super::state::State;
use super::tables::{ApiKey, Identity, KeyState, Subject, key_id};
use super::{FakeIam, answer, request};

const IAM_API_KEY: HeaderName = HeaderName::from_static("iam-apikey");

/// One question about a key. Holds neither key nor token.
#[derive(Clone, Debug)]
pub struct Question {
    /// When it came, by the machine's clock.
    pub at: SystemTime,
    /// [`key_id`] of the key in the header.
    pub key_id: Option<String>,
    /// HTTP status of the answer; none while under way, and where there was no answer.
    pub status: Option<u16>,
    /// The names of its headers.
    pub headers: Vec<String>,
    /// Header `Accept`.
    pub accept: Option<String>,
    /// Header `User-Agent`.
    pub user_agent: Option<String>,
    /// Query of the URL.
    pub query: Option<String>,
}

/// The questions so far, and what goes wrong with the next.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    all: Vec<Question>,
    faults: Faults,
}

/// Why there is no answer.
type Refusal = (StatusCode, &'static str);

/// Answers one question and records it.
pub(crate) async fn details(state: &Arc<State>, request: Request<Incoming>, connection: &Connection) -> Answer {
    let headers = request.headers();
    let key = request::header(headers, &IAM_API_KEY);
    let (place, fault) = {
        let mut world = state.lock();
        world.questions.all.push(Question {
            at: SystemTime::now(),
            key_id: key.as_deref().map(key_id),
            status: None,
            headers: headers.keys().map(ToString::to_string).collect(),
            accept: request::header(headers, &ACCEPT),
            user_agent: request::header(headers, &USER_AGENT),
            query: request.uri().query().map(str::to_owned),
        });
        let fault = world.questions.faults.next(&key.as_deref().map(key_id).unwrap_or_default());
        (world.questions.all.len() - 1, fault)
    };
    let response = match fault {
        Some(fault) => answer::of_fault(fault, connection, state.now()).await?,
        None => match look(state, request.method(), headers, key.as_deref()) {
            Ok(body) => answer::json(StatusCode::OK, &body),
            Err(refusal) => refused(refusal),
        },
    };
    if let Some(question) = state.lock().questions.all.get_mut(place) {
        question.status = Some(response.status().as_u16());
    }
    Ok(response)
}

fn look(state: &State, method: &Method, headers: &HeaderMap, key: Option<&str>) -> Result<Value, Refusal> {
    if method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    }
    if !request::accepts_json(headers) {
        return Err((StatusCode::NOT_ACCEPTABLE, "not_acceptable"));
    }
    let token = request::header(headers, &AUTHORIZATION);
    let token = token.as_deref().and_then(|text| text.strip_prefix("Bearer "));
    let now = state.timestamp();
    let claims = token.and_then(|token| state.signing_key().verify(token, state.issuer(), now.as_second()).ok());
    let claims = claims.ok_or((StatusCode::UNAUTHORIZED, "invalid_token"))?;
    let key = key.filter(|key| !key.is_empty()).ok_or((StatusCode::BAD_REQUEST, "missing_header"))?;
    let world = state.lock();
    let entry = world.tables.keys.get(key).filter(|entry| entry.state != KeyState::Deleted);
    let entry = entry.ok_or((StatusCode::NOT_FOUND, "not_found"))?;
    let identity = world.tables.identities.get(&entry.iam_id).ok_or((StatusCode::NOT_FOUND, "not_found"))?;
    if claims["iam_id"] != identity.iam_id.as_str() || !may_read(entry, identity) {
        return Err((StatusCode::FORBIDDEN, "insufficient_authority"));
    }
    Ok(body(key, entry, identity, now))
}

fn may_read(entry: &ApiKey, identity: &Identity) -> bool {
    entry.readable.unwrap_or(matches!(identity.subject, Subject::User { .. }))
}

/// With the key itself, as for a service ID's key that is stored to be retrieved: nobody must show it.
fn body(key: &str, entry: &ApiKey, identity: &Identity, now: Timestamp) -> Value {
    let (id, account) = (key_id(key), &identity.account);
    let mut body = json!({
        "id": id,
        "entity_tag": "1-fa4e",
        "crn": format!("crn:v1:bluemix:public:iam-identity::a/{account}::apikey:{id}"),
        "locked": entry.locked,
        "disabled": entry.state == KeyState::Disabled || entry.said_to_be_disabled,
        "created_at": minute(now),
        "created_by": identity.iam_id,
        "modified_at": minute(now),
        "name": entry.name,
        "support_sessions": false,
        "action_when_leaked": "disable",
        "iam_id": identity.iam_id,
        "account_id": account,
        "apikey": key,
    });
    if let Some(at) = entry.expires_at.and_then(|second| Timestamp::from_second(second).ok()) {
        body["expires_at"] = json!(minute(at));
    }
    body
}

/// `yyyy-MM-ddTHH:mm+0000`
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M+0000").to_string()
}

fn refused((status, code): Refusal) -> Response<Body> {
    let message = format!("The fake says {code}.");
    let body = json!({
        "trace": "fa4e",
        "errors": [{"code": code, "message_code": "BXNIM0000E", "message": message}],
        "status_code": status.as_u16(),
    });
    answer::json(status, &body)
}

/// Its answers about keys.
impl FakeIam {
    /// Whether the identity of a key may read it. Without a word, users may and service IDs may not.
    pub fn let_read_own_key(&self, key: &str, may: bool) {
        self.with_key(key, |entry| entry.readable = Some(may));
    }

    /// When a key expires, in seconds since 1970, of which the minute is told. It can be exchanged after that, too.
    pub fn set_key_expiry(&self, key: &str, at: Option<i64>) {
        self.with_key(key, |entry| entry.expires_at = at);
    }

    /// Whether a key is locked against changes.
    pub fn set_key_locked(&self, key: &str, locked: bool) {
        self.with_key(key, |entry| entry.locked = locked);
    }

    /// Says that a key is disabled while it can still be exchanged, as for the moment until all of IAM knows.
    pub fn say_key_is_disabled(&self, key: &str, disabled: bool) {
        self.with_key(key, |entry| entry.said_to_be_disabled = disabled);
    }

    /// Appends a fault of questions about one key; of those that replace an answer.
    pub fn fault_question(&self, key: &str, fault: Fault, times: Times) {
        self.change(|world| world.questions.faults.push(Some(&key_id(key)), fault, times));
    }

    /// Forgets the faults of questions about one key.
    pub fn clear_question_faults_of(&self, key: &str) {
        self.change(|world| world.questions.faults.clear_key(&key_id(key)));
    }

    /// All questions about keys, in the order in which they came.
    pub fn questions(&self) -> Vec<Question> {
        self.change(|world| world.questions.all.clone())
    }

    /// The questions about one key.
    pub fn questions_of(&self, key: &str) -> Vec<Question> {
        let id = key_id(key);
        self.questions().into_iter().filter(|question| question.key_id.as_ref() == Some(&id)).collect()
    }
}
