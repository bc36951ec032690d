//! The claims in words.

use k8s_openapi::jiff::Timestamp;

use super::token::Explained;
use crate::cli::text::bar::{Life, bar};
use crate::cli::text::span::{between, words};
use crate::cli::text::table::{Cell, table};
use crate::cli::text::{Style, Tone};

/// What the token says that a person wants to know. Users' names and addresses are not: `-o json` has them.
pub(super) fn text(style: Style, token: &Explained, now: Timestamp) -> String {
    let row =
        |label: &str, value: &str| vec![Cell::new(style, Tone::Faint, label), Cell::new(style, Tone::Plain, value)];
    let mut rows: Vec<Vec<Cell>> = facts(token, now).iter().map(|(label, value)| row(label, value)).collect();
    rows.extend(
        life(style, token, now).map(|line| vec![Cell::new(style, Tone::Faint, "Left"), Cell::painted(line, 1)]),
    );
    let note = "The token says so of itself. Its signature was not checked.";
    table(&rows) + &format!("\n{}\n", style.paint(Tone::Faint, note))
}

fn facts(token: &Explained, now: Timestamp) -> Vec<(&'static str, String)> {
    let text = |claim: &str| token.text(&[claim]).map(str::to_owned);
    let mut facts = vec![("Identity", identity(token, &[]).unwrap_or_else(|| "it doesn't say".into()))];
    let mut add = |label, value: Option<String>| facts.extend(value.map(|value| (label, value)));
    add("Name", text("name").filter(|_| token.claims.contains_key("sub_type")));
    add(
        "Assumed by",
        identity(token, &["authn"]).filter(|_| token.text(&["authn", "iam_id"]) != token.text(&["iam_id"])),
    );
    add("Account", account(token));
    add("Issuer", text("iss"));
    add("Grant", text("grant_type"));
    add("Scope", text("scope"));
    add("Issued", token.time("iat").map(|at| format!("{at}, {} ago", words(between(at, now)))));
    let end = |at| match between(at, now) {
        0 if at > now => format!("{at}, in {}", words(between(now, at))),
        past => format!("{at}, {} ago", words(past)),
    };
    add("Expires", token.time("exp").map(end));
    add("Signed", signed(token));
    facts
}

/// With the type of the subject, which users' tokens do not have.
fn identity(token: &Explained, within: &[&str]) -> Option<String> {
    let claim = |name| token.text(&[within, &[name]].concat());
    Some(format!("{} ({})", claim("iam_id")?, claim("sub_type").unwrap_or("User")))
}

fn account(token: &Explained) -> Option<String> {
    let claim = |name: &str| token.claims.get("account")?.get(name)?.as_bool();
    let flaws = [(claim("frozen") == Some(true), "frozen"), (claim("valid") == Some(false), "not valid")];
    let flaws: Vec<&str> = flaws.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
    let flaws = if flaws.is_empty() { String::new() } else { format!(" ({})", flaws.join(", ")) };
    Some(format!("{}{flaws}", token.text(&["account", "bss"])?))
}

fn signed(token: &Explained) -> Option<String> {
    let text = |name: &str| token.header.get(name).and_then(serde_json::Value::as_str);
    let key = text("kid").map(|kid| format!(", key {kid}")).unwrap_or_default();
    Some(format!("{}{key}", text("alg")?))
}

fn life(style: Style, token: &Explained, now: Timestamp) -> Option<String> {
    let (since, expires_at) = (token.time("iat")?, token.time("exp")?);
    let (tone, left) = if token.has_expired(now) {
        (Tone::Bad, "expired".to_owned())
    } else {
        (Tone::Good, format!("{} of {}", words(between(now, expires_at)), words(between(since, expires_at))))
    };
    let life = Life { since, refresh_at: None, expires_at };
    Some(format!("{}  {}", bar(style, tone, &life, now), style.paint(tone, &left)))
}

#[cfg(test)]
mod tests {
    use super::super::token::sample;
    use super::*;
    use crate::cli::text::{PLAIN, TERMINAL};
    use serde_json::{Value, json};

    fn of(claims: &Value, second: i64) -> String {
        text(PLAIN, &Explained::of(&sample(claims)).unwrap(), Timestamp::from_second(second).unwrap())
    }

    fn service_id() -> Value {
        json!({
            "iam_id": "iam-ServiceId-1", "sub_type": "ServiceId", "name": "payments", "account": {"bss": "0123", "valid": true},
            "authn": {"iam_id": "iam-ServiceId-1"}, "iss": "https://iam.cloud.ibm.com/identity", "scope": "ibm openid",
            "grant_type": "urn:ibm:params:oauth:grant-type:apikey", "iat": 1_000_000, "exp": 1_003_600,
        })
    }

    #[test]
    fn a_service_id_is_told_whole() {
        assert_eq!(
            of(&service_id(), 1_001_800),
            "\
Identity   iam-ServiceId-1 (ServiceId)
Name       payments
Account    0123
Issuer     https://iam.cloud.ibm.com/identity
Grant      urn:ibm:params:oauth:grant-type:apikey
Scope      ibm openid
Issued     1970-01-12T13:46:40Z, 30m ago
Expires    1970-01-12T14:46:40Z, in 30m
Signed     RS256, key 20261125
Left       [==========----------]  30m of 60m

The token says so of itself. Its signature was not checked.
"
        );
    }

    #[test]
    fn an_expired_one_says_since_when() {
        let text = of(&service_id(), 1_003_700);
        assert!(text.contains("14:46:40Z, 100s ago") && text.contains("]  expired"), "{text}");
    }

    #[test]
    fn a_profile_says_who_assumed_it() {
        let claims = json!({
            "iam_id": "iam-Profile-1", "sub_type": "Profile",
            "authn": {"iam_id": "iam-ServiceId-1", "sub_type": "ServiceId"}, "account": {"bss": "0123", "frozen": true},
        });
        let text = of(&claims, 0);
        assert!(text.contains("Assumed by   iam-ServiceId-1 (ServiceId)\nAccount      0123 (frozen)\n"), "{text}");
    }

    #[test]
    fn a_user_is_told_by_id_alone() {
        let claims =
            json!({"iam_id": "IBMid-1", "name": "Ada Lovelace", "email": "ada@example.com", "sub": "ada@example.com"});
        let text = of(&claims, 0);
        assert!(text.contains("IBMid-1 (User)") && !text.contains("Ada") && !text.contains('@'), "{text}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let claims = json!({"iam_id": "a\u{1b}[2Jb"});
        let text = text(TERMINAL, &Explained::of(&sample(&claims)).unwrap(), Timestamp::UNIX_EPOCH);
        assert!(text.contains("a?[2Jb (User)"), "{text}");
    }
}
