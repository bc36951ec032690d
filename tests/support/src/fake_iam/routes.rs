//! Which path answers what.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::answer;
use super::control::{self, Control};
use super::key_details;
use super::server::{Answer, Body, Connection, Door, Handler};
use super::state::State;
use super::token_endpoint::{self, GRANT_API_KEY};

/// The handler of the whole fake.
pub(crate) fn handler(state: Arc<State>, door: Door, with_control: bool) -> Handler {
    let control = with_control.then(|| Arc::new(Control::new(Arc::clone(&state), door)));
    Arc::new(move |request, connection| {
        let (state, control) = (Arc::clone(&state), control.clone());
        Box::pin(async move { route(&state, control.as_deref(), request, &connection).await })
    })
}

async fn route(
    state: &Arc<State>,
    control: Option<&Control>,
    request: Request<Incoming>,
    connection: &Connection,
) -> Answer {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        // The second is the older name, which IBM's Key Protect client still calls.
        "/identity/token" | "/oidc/token" => token_endpoint::token(state, request, connection).await,
        "/v1/apikeys/details" => key_details::details(state, request, connection).await,
        "/identity/keys" => Ok(document(request.method(), &state.signing_key().jwks())),
        "/identity/.well-known/openid-configuration" => Ok(document(request.method(), &discovery(state))),
        _ => match control {
            Some(control) if path.starts_with(control::PREFIX) => Ok(control.answer(&path, request, connection).await),
            _ => Ok(answer::text(StatusCode::NOT_FOUND, "Not Found")),
        },
    }
}

fn document(method: &Method, body: &Value) -> Response<Body> {
    if method == Method::GET {
        return answer::json(StatusCode::OK, body);
    }
    answer::allowing(answer::text(StatusCode::METHOD_NOT_ALLOWED, ""), "GET")
}

fn discovery(state: &State) -> Value {
    let (url, issuer) = (state.url(), state.issuer());
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{url}/identity/token"),
        "jwks_uri": format!("{url}/identity/keys"),
        "grant_types_supported": [GRANT_API_KEY],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}
