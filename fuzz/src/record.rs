//! What is noted on a target, and what is written into it.

use std::collections::BTreeMap;

use iam_token_operator::core::digest::of_secret;
use iam_token_operator::core::plan::Plan;
use iam_token_operator::core::record::{Mark, Owner, Record};
use iam_token_operator::core::render::{Expect, recover, secret};
use iam_token_operator::core::short::Short;
use iam_token_operator::core::target::Content;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{THEN, is_time_for_go};

const UID: &str = "uid-1";

const TOKEN: &str = "FAKE-header.FAKE-payload.FAKE-signature";

/// A JSON object with a record as it is noted on a target, and the target's data.
pub fn record(data: &[u8]) {
    let Ok(Value::Object(scene)) = serde_json::from_slice(data) else { return };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some(record) = scene.get("record").and_then(|record| Record::parse(&text(record))) else { return };
    let life = record.life();
    assert!(life.expires_at() >= life.since);
    assert!(is_time_for_go(&life.since.to_string()), "{} would have the API server refuse the status", life.since);
    let json = serde_json::to_string(&record).unwrap_or_default();
    assert_eq!(Record::parse(&json).as_ref(), Some(&record), "it is read otherwise the second time");
    let values = scene.get("data").and_then(Value::as_object).into_iter().flatten();
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key.clone(), SecretString::from(text(value)))).collect();
    found(&Record { token: of_secret(UID, TOKEN), ..record }, &values);
}

/// What is written of a token fits into a Secret, and is read back as that token wherever a format holds it.
pub fn written(plan: &Plan) {
    let record = noted(plan);
    let token = SecretString::from(TOKEN);
    let Ok(secret) = secret(plan, &record, &token, &Expect::Absent) else { return };
    let data = secret.data.unwrap_or_default();
    let templates = plan.target.data.iter().any(|(_, content)| matches!(content, Content::Template(_)));
    let size = data.values().map(|value| value.0.len()).sum::<usize>();
    assert!(!templates || size <= 1 << 20, "more than a Secret holds");
    let texts = data.into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.into())));
    let holds = plan
        .target
        .data
        .iter()
        .any(|(_, content)| !matches!(content, Content::Expiration | Content::ExpiresAt | Content::Template(_)));
    assert!(found(&record, &texts.collect()) || !holds, "the token is not found in what was written of it");
}

fn noted(plan: &Plan) -> Record {
    Record {
        owner: Owner { namespace: "payments".into(), name: "hpcs".into(), uid: UID.into() },
        refreshed_at: THEN,
        lifetime: 3600,
        jitter: 0,
        source: Mark { uid: "source".into(), version: "1".into() },
        credential: Short::default(),
        token: of_secret(UID, TOKEN),
        ask: plan.ask.clone(),
        shape: plan.shape.clone(),
        refresh_requested: None,
        identity: None,
        skew: 0,
        server_ahead: None,
    }
}

fn found(record: &Record, data: &BTreeMap<String, SecretString>) -> bool {
    let token = recover(UID, record, data);
    assert!(token.as_ref().is_none_or(|token| token.expose_secret() == TOKEN), "another text is taken for the token");
    token.is_some()
}
