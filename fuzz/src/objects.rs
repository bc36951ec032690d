//! Objects as the API server gives them, and what is noted on them.

use std::collections::BTreeMap;

use iam_token_operator::api::{IamTokenStatus, Listed, ListedCredential};
use iam_token_operator::core::decide::{Observed, deadline, decide, next_look};
use iam_token_operator::core::digest::of_secret;
use iam_token_operator::core::endpoint::{Endpoint, Endpoints};
use iam_token_operator::core::memory::Memory;
use iam_token_operator::core::observed::{Facts, Seen};
use iam_token_operator::core::plan::Plan;
use iam_token_operator::core::problem::Problem;
use iam_token_operator::core::record::{Mark, Owner, Record};
use iam_token_operator::core::render::{Expect, recover, secret};
use iam_token_operator::core::status::{Situation, next};
use iam_token_operator::core::view::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::is_time_for_go;

const UID: &str = "uid-1";

const TOKEN: &str = "FAKE-header.FAKE-payload.FAKE-signature";

/// A JSON object with an IamToken, the metadata of its source and target, a ClusterIamCredential, and the time in
/// seconds since 1970, all of them optional.
pub fn crd(data: &[u8]) {
    let Ok(Value::Object(mut scene)) = serde_json::from_slice(data) else { return };
    let mut part = |name: &str| scene.remove(name).unwrap_or_default();
    let _: Option<ListedCredential> = serde_json::from_value(part("credential")).ok();
    let Ok(listed) = serde_json::from_value::<Listed>(part("token")) else { return };
    let [source, target] = [part("source"), part("target")].map(seen);
    let now =
        part("now").as_i64().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let before = listed.status.unwrap_or_default();
    let plan = listed.spec.and_then(|spec| plan(&spec).ok());
    if let Some(plan) = &plan {
        look(plan, &before, &listed.metadata, [&source, &target], now);
        render(plan);
    }
}

fn seen(metadata: Value) -> Seen {
    match serde_json::from_value::<ObjectMeta>(metadata) {
        Ok(metadata) => Facts::of(&metadata).map_or(Seen::Absent, |facts| Seen::Present(Box::new(facts))),
        Err(_) => Seen::Unknown,
    }
}

fn plan(spec: &iam_token_operator::api::IamTokenSpec) -> Result<Plan, Problem> {
    let endpoint = Endpoint::parse("https://iam.cloud.ibm.com", false).map(|it| Endpoints::new(vec![it]));
    let Ok(Some(endpoints)) = endpoint else { unreachable!("it is one") };
    let key = Key { namespace: "payments".into(), name: "hpcs".into() };
    Plan::new(&key, spec, &endpoints.into(), |_| Err(Problem::NothingIsLent))
}

/// A look at it: the next status is one that the API server takes, and says the same if it is asked for again.
fn look(plan: &Plan, before: &IamTokenStatus, metadata: &ObjectMeta, [source, target]: [&Seen; 2], now: Timestamp) {
    let memory = Memory::default();
    let observed = Observed {
        name: "hpcs",
        uid: UID,
        generation: metadata.generation.unwrap_or_default(),
        requested: metadata.annotations.iter().flatten().next().map(|(_, value)| value.as_str()),
        winner: None,
        last_target: before.target.as_ref().map(|target| target.name.as_str()),
        lender: None,
        source,
        target,
        memory: &memory,
        shared: None,
    };
    let _ = decide(plan, &observed, now);
    let _ = (next_look(plan, &observed, now), deadline(&observed, now));
    let standing = observed.standing();
    let situation = Situation {
        generation: observed.generation,
        target: Some(&plan.target.name),
        record: standing.record(),
        unknown: *target == Seen::Unknown,
        intact: target.facts().is_some_and(|facts| facts.data_is_intact(plan, UID)),
        renew_before: plan.renew_before,
        suspended: plan.suspend,
        problem: None,
        api_key: None,
    };
    let after = next(before, &situation, now);
    assert_eq!(next(&after, &situation, now), after, "the status would be written again and again");
    if situation.record.is_some() {
        for time in [&after.expires_at, &after.refresh_at, &after.refreshed_at].into_iter().flatten() {
            assert!(is_time_for_go(&time.0.to_string()), "{} would have the API server refuse the status", time.0);
        }
    }
}

/// What is written of a token is read back as that token, or as none.
fn render(plan: &Plan) {
    let record = noted(plan);
    let token = SecretString::from(TOKEN);
    let Ok(secret) = secret(plan, &record, &token, &Expect::Absent) else { return };
    let data = secret.data.unwrap_or_default();
    assert!(data.values().map(|value| value.0.len()).sum::<usize>() <= 1 << 20, "more than a Secret holds");
    let texts = data.into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.into())));
    found(&record, &texts.collect());
}

fn noted(plan: &Plan) -> Record {
    Record {
        owner: Owner { namespace: "payments".into(), name: "hpcs".into(), uid: UID.into() },
        refreshed_at: Timestamp::UNIX_EPOCH,
        lifetime: 3600,
        jitter: 0,
        source: Mark { uid: "source".into(), version: "1".into() },
        credential: String::new(),
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
    use secrecy::ExposeSecret as _;
    let token = recover(UID, record, data);
    assert!(token.as_ref().is_none_or(|token| token.expose_secret() == TOKEN), "another text is taken for the token");
    token.is_some()
}

/// A JSON object with a record as it is noted on a target, and the target's data.
pub fn record(data: &[u8]) {
    let Ok(Value::Object(scene)) = serde_json::from_slice(data) else { return };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some(record) = scene.get("record").and_then(|record| Record::parse(&text(record))) else { return };
    let life = record.life();
    assert!(life.expires_at() >= life.since);
    let json = serde_json::to_string(&record).unwrap_or_default();
    assert_eq!(Record::parse(&json).as_ref(), Some(&record), "it is read otherwise the second time");
    let values = scene.get("data").and_then(Value::as_object).into_iter().flatten();
    let values: BTreeMap<_, _> = values.map(|(key, value)| (key.clone(), SecretString::from(text(value)))).collect();
    found(&Record { token: of_secret(UID, TOKEN), ..record }, &values);
}
