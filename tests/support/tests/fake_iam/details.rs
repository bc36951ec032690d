//! What the fake says of API keys, and to whom.

use testkit::fake_iam::{FakeIam, Fault, KeyState, Times, fake_api_key, key_id};

use crate::http::{Reply, exchange, send};

fn ask(iam: &FakeIam, method: &str, key: &str, token: &str) -> Reply {
    let headers = format!("Accept: application/json\r\nAuthorization: Bearer {token}\r\nIAM-ApiKey: {key}\r\n");
    send(iam.address(), &format!("{method} /v1/apikeys/details"), &headers, "")
}

#[test]
fn users_may_read_their_own_keys_and_service_ids_where_they_are_let() {
    let iam = FakeIam::start();
    let (user, service) = (iam.user_key("user"), iam.service_id_key("service"));
    let status = |key: &str, token: &str| ask(&iam, "GET", key, token).status;
    let [of_user, of_service] = [&user, &service].map(|key| exchange(&iam, key).token());
    assert_eq!([status(&user, &of_user), status(&service, &of_service)], [200, 403]);
    iam.let_read_own_key(&service, true);
    iam.let_read_own_key(&user, false);
    assert_eq!([status(&user, &of_user), status(&service, &of_service)], [403, 200]);
    assert_eq!(status(&service, &of_user), 403, "somebody else's");
    assert_eq!(status(&fake_api_key("stranger"), &of_service), 404);
    iam.set_key_state(&service, KeyState::Disabled);
    assert_eq!(ask(&iam, "GET", &service, &of_service).json()["disabled"], true);
    iam.set_key_state(&service, KeyState::Deleted);
    assert_eq!(status(&service, &of_service), 404);
}

#[test]
fn questions_are_checked_strictly_and_are_no_exchanges() {
    let iam = FakeIam::start();
    let key = iam.user_key("user");
    let token = iam.mint(&key, 60);
    let line = "GET /v1/apikeys/details";
    let headers = |more: &str| format!("Accept: application/json\r\n{more}");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let with_key = format!("IAM-ApiKey: {key}\r\n");
    let html = format!("Accept: text/html\r\n{bearer}{with_key}");
    let status = |headers: &str| send(iam.address(), line, headers, "").status;
    assert_eq!(status(&headers(&with_key)), 401);
    assert_eq!(status(&headers(&bearer)), 400);
    assert_eq!(status(&headers(&format!("{with_key}Authorization: {token}\r\n"))), 401);
    assert_eq!(status(&html), 406);
    assert_eq!(ask(&iam, "POST", &key, &token).status, 405);
    assert_eq!(ask(&iam, "GET", &key, &iam.mint(&key, -1)).status, 401, "an expired token");
    let refused = ask(&iam, "GET", &key, "opaque");
    assert_eq!((refused.status, &refused.json()["status_code"]), (401, &serde_json::json!(401)));
    assert_eq!((iam.questions().len(), iam.calls().len()), (7, 0));
    assert_eq!(iam.questions_of(&key).len(), 6);
}

#[test]
fn the_answer_has_the_documented_fields() {
    let iam = FakeIam::start();
    let key = iam.user_key("user");
    let token = iam.mint(&key, 60);
    let first = ask(&iam, "GET", &key, &token).json();
    assert_eq!((&first["id"], first.get("expires_at")), (&serde_json::json!(key_id(&key)), None));
    assert_eq!((&first["locked"], &first["disabled"]), (&false.into(), &false.into()));
    iam.set_key_expiry(&key, Some(1_800_000_059));
    iam.set_key_locked(&key, true);
    let second = ask(&iam, "GET", &key, &token).json();
    assert_eq!((&second["expires_at"], &second["locked"]), (&"2027-01-15T08:00+0000".into(), &true.into()));
    iam.fault_question(&key, Fault::status(500), Times::Count(1));
    let statuses = [0; 2].map(|_| ask(&iam, "GET", &key, &token).status);
    assert_eq!(statuses, [500, 200]);
    assert_eq!(iam.questions().iter().map(|question| question.status).collect::<Vec<_>>()[2], Some(500));
}
