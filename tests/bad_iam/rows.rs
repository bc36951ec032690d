//! The misbehaviours that come as an answer, or as the end of a connection, and what is to be said of each.

use iam_token_operator::api::{CONDITION_RECONCILING, CONDITION_STALLED};
use serde_json::{Value, json};
use testkit::fake_iam::{Fault, RetryAfter};

/// One misbehaviour.
#[derive(Clone, Debug)]
pub struct Row {
    /// Fit to be an object's name.
    pub name: String,
    pub fault: Fault,
    pub reason: &'static str,
    /// `Stalled` or `Reconciling`.
    pub type_: &'static str,
    /// What the message holds.
    pub says: Vec<String>,
    /// There is an answer whose request id can be shown.
    pub answered: bool,
    /// It is tried again at least once a minute.
    pub soon: bool,
    /// IAM says when to come back, which not even a person can cut short.
    pub fixed: bool,
}

const BY_ITSELF: &str = "tried again by itself";
const VALID_KEY: &str = "Put a valid key into the source Secret";

/// All of them; redirects lead to `elsewhere`.
pub fn rows(elsewhere: &str) -> Vec<Row> {
    [
        unavailable(),
        throttled(),
        redirected(elsewhere),
        rejected(),
        rejected_with_another_action(),
        request_rejected(),
        unusable_answer(),
        unusable_token(),
        unusable_lifetime(),
        broken(),
        of_another_account(),
    ]
    .concat()
}

impl Row {
    fn passing(name: &str, fault: Fault, reason: &'static str, says: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            fault,
            reason,
            type_: CONDITION_RECONCILING,
            says: says.iter().chain([&BY_ITSELF]).map(|&text| text.to_owned()).collect(),
            answered: true,
            soon: true,
            fixed: false,
        }
    }

    fn lasting(name: &str, fault: Fault, reason: &'static str, says: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            fault,
            reason,
            type_: CONDITION_STALLED,
            says: says.iter().map(|&text| text.to_owned()).collect(),
            answered: true,
            soon: false,
            fixed: false,
        }
    }

    fn fixed(self) -> Self {
        Self { fixed: true, ..self }
    }

    fn unanswered(self) -> Self {
        Self { answered: false, ..self }
    }

    /// One of IAM's errors, with its documented status or another.
    fn code(code: &str, status: u16, reason: &'static str, says: &[&str]) -> Self {
        let name = format!("{}-{status}", code.to_lowercase());
        let shown = format!("(HTTP {status}, {code})");
        let says: Vec<&str> = says.iter().copied().chain([shown.as_str()]).collect();
        Self::lasting(&name, Fault::error_with_status(code, status), reason, &says)
    }
}

fn unavailable() -> Vec<Row> {
    let row = |name: &str, fault, shown| Row::passing(name, fault, "IamUnavailable", &[shown, "cloud.ibm.com/status"]);
    let late = Fault::Raw { status: 503, headers: vec![("Retry-After".into(), "2".into())], body: String::new() };
    vec![
        row("bare-408", Fault::status(408), "(HTTP 408)"),
        row("bare-500", Fault::status(500), "(HTTP 500)"),
        row("text-500", Fault::status_with_body(500, "Internal Server Error"), "(HTTP 500)"),
        row("json-500", Fault::error("BXNIM0050E"), "(HTTP 500, BXNIM0050E)"),
        row("rejected-500", Fault::error_with_status("BXNIM0415E", 500), "(HTTP 500, BXNIM0415E)"),
        row("bare-502", Fault::status(502), "(HTTP 502)"),
        row("bare-503", Fault::status(503), "(HTTP 503)"),
        row("html-503", Fault::status_with_body(503, "<html>Service Unavailable"), "(HTTP 503)"),
        row("later-503", late, "(HTTP 503)").fixed(),
    ]
}

fn throttled() -> Vec<Row> {
    let row = |name: &str, retry_after| {
        let says =
            ["(HTTP 429)", "too many tokens were asked for with this credential", "who else uses this credential"];
        Row::passing(name, Fault::rate_limited(retry_after), "IamThrottled", &says)
    };
    vec![
        row("throttled", RetryAfter::None),
        row("throttled-seconds", RetryAfter::Seconds(2)).fixed(),
        row("throttled-date", RetryAfter::Date(2)).fixed(),
    ]
}

fn redirected(elsewhere: &str) -> Vec<Row> {
    let row = |status: u16| {
        let shown = format!("(HTTP {status})");
        let says = [shown.as_str(), "never followed", "Ask the admin to correct the operator's endpoint or the proxy"];
        let fault = Fault::redirect(status, &format!("{elsewhere}/identity/token"));
        Row::lasting(&format!("redirect-{status}"), fault, "IamRedirected", &says)
    };
    [301, 302, 303, 307, 308].map(row).to_vec()
}

fn rejected() -> Vec<Row> {
    let code = |code: &str, status| Row::code(code, status, "CredentialRejected", &[VALID_KEY]);
    let bare = |status: u16| {
        let shown = format!("the API key was rejected (HTTP {status})");
        let fault = Fault::status(status);
        Row::lasting(&format!("bare-{status}"), fault, "CredentialRejected", &[&shown, VALID_KEY])
    };
    let html = Fault::status_with_body(403, "<html>Forbidden</html>");
    vec![
        code("BXNIM0415E", 400),
        code("BXNIM0415E", 401),
        code("BXNIM0462E", 400),
        code("BXNIM0462E", 401),
        code("BXNIM0410E", 400),
        code("BXNIM0436E", 401),
        code("BXNIM0401E", 400),
        code("BXNIM0405E", 400),
        code("BXNIM0407E", 400),
        code("BXNIM0439E", 400),
        code("BXNIM0513E", 403),
        code("BXNIM0602E", 401),
        code("BXNIM9999E", 400),
        code("BXNIM9999E", 401),
        code("BXNIM9999E", 403),
        bare(400),
        bare(401),
        bare(403),
        Row::lasting("html-403", html, "CredentialRejected", &["(HTTP 403)", VALID_KEY]),
    ]
}

fn rejected_with_another_action() -> Vec<Row> {
    let locked = ["locked", "Wait for 30 minutes or unlock the account"];
    vec![
        Row::code("BXNIM0400E", 401, "CredentialRejected", &locked),
        Row::code("BXNIM0398E", 400, "ProfileNotEligible", &["the trusted profile does not admit this credential"]),
        Row::code("BXNIM0141E", 400, "AccountMismatch", &["of another account", "correct spec.accountId"]),
    ]
}

fn request_rejected() -> Vec<Row> {
    const ACTION: &str = "Check spec.endpoint";
    let code = |code: &str, status| Row::code(code, status, "RequestRejected", &[ACTION, "report this to IBM"]);
    let bare = |status: u16| {
        let shown = format!("(HTTP {status})");
        Row::lasting(&format!("bare-{status}"), Fault::status(status), "RequestRejected", &[&shown, ACTION])
    };
    vec![
        code("BXNIM0106E", 400),
        code("BXNIM0109E", 400),
        code("BXNIM0308E", 401),
        code("BXNIM0310E", 400),
        code("BXNIM0060E", 405),
        bare(404),
        bare(405),
        bare(415),
    ]
}

fn unusable(name: &str, fault: Fault, says: &str) -> Row {
    Row::passing(name, fault, "IamAnswerUnusable", &[says])
}

fn unusable_answer() -> Vec<Row> {
    const NO_JSON: &str = "its answer is not the JSON of a token";
    const TOO_LARGE: &str = "its answer is larger than any token";
    let raw = |status, body: &str| Fault::Raw { status, headers: vec![], body: body.into() };
    vec![
        unusable("html-200", Fault::Html, NO_JSON),
        unusable("empty-200", raw(200, ""), NO_JSON),
        unusable("list-200", raw(200, "[]"), NO_JSON),
        unusable("token-in-a-list", raw(200, r#"["FAKE-token","Bearer",3600,1]"#), NO_JSON),
        unusable("bare-204", raw(204, ""), NO_JSON),
        unusable("ten-mib", Fault::large(), TOO_LARGE).unanswered(),
        unusable("endless", Fault::Endless, TOO_LARGE).unanswered(),
    ]
}

fn unusable_token() -> Vec<Row> {
    const NO_TOKEN: &str = "its answer holds no access_token";
    const NOT_SAFE: &str = "the token in its answer has characters that no header may hold";
    const NOT_BEARER: &str = "the token in its answer is no Bearer token";
    vec![
        unusable("no-token", Fault::without("access_token"), NO_TOKEN),
        unusable("null-token", Fault::field("access_token", Value::Null), NO_TOKEN),
        unusable("empty-token", Fault::field("access_token", ""), NO_TOKEN),
        unusable("control-character", Fault::token_suffix("\u{7}"), NOT_SAFE),
        unusable("newline", Fault::token_suffix("\n"), NOT_SAFE),
        unusable("header-injection", Fault::token_suffix("\r\nX-Evil: 1"), NOT_SAFE),
        unusable("space", Fault::token_suffix(" "), NOT_SAFE),
        unusable("not-ascii", Fault::token_suffix("\u{e9}"), NOT_SAFE),
        unusable("no-bearer", Fault::field("token_type", "mac"), NOT_BEARER),
    ]
}

fn unusable_lifetime() -> Vec<Row> {
    const LIFETIME: &str = "expires_in of its answer is not a number of seconds from 1 to 86400";
    let row = |name: &str, value: Value| unusable(name, Fault::expires_in(value), LIFETIME);
    vec![
        row("lasts-0", json!(0)),
        row("lasts-minus-1", json!(-1)),
        unusable("lasts-missing", Fault::without("expires_in"), LIFETIME),
        row("lasts-string", json!("3600")),
        row("lasts-1e12", json!(1e12)),
        row("lasts-10-to-12", json!(1_000_000_000_000_u64)),
        row("lasts-over-a-day", json!(86_401)),
        row("lasts-fraction", json!(59.5)),
    ]
}

fn broken() -> Vec<Row> {
    let row = |name: &str, fault| {
        let says = ["the connection broke", "Check network policies, proxy and firewall"];
        Row::passing(name, fault, "IamUnreachable", &says).unanswered()
    };
    vec![row("reset", Fault::Reset), row("closed", Fault::Close), row("truncated", Fault::Truncated)]
}

fn of_another_account() -> Vec<Row> {
    let other = Fault::account("fa4e0000000000000000000000000bad");
    let says = ["the token is of another account than asked for", "Use a key of that account"];
    let opaque = Fault::field("access_token", "FAKE-opaque");
    vec![
        Row::lasting("other-account", other, "AccountMismatch", &says),
        Row::lasting("no-account", opaque, "IamAnswerUnusable", &["Remove spec.accountId"]),
    ]
}

/// Only where a token is in place that lives for longer than 20 minutes.
pub fn shorter_lived() -> Row {
    let says = "the token in its answer would expire before the one in place";
    Row { soon: false, ..unusable("shorter-lived", Fault::lifetime(1200), says).unanswered() }
}
