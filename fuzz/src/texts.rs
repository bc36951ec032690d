//! What a tenant or an admin writes.

use std::time::Duration;

use iam_token_operator::api::{IamTokenSpec, Restart, Workload, WorkloadKind};
use iam_token_operator::core::credential::parse;
use iam_token_operator::core::endpoint::Endpoint;
use iam_token_operator::core::restart::Wanted;
use iam_token_operator::core::schedule::{Life, RenewBefore, Retry, later, retry_at};
use iam_token_operator::core::template::{Facts, Renderer, try_out};
use iam_token_operator::iam::{claims, key_details};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::THEN;

/// The value of a source Secret.
pub fn credential(data: &[u8]) {
    let read = |value: &[u8]| parse(value).map(|key| key.expose_secret().to_owned());
    let key = read(data);
    if let Ok(key) = &key {
        assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()), "unfit to be sent");
        assert!(key.len() <= data.len(), "longer than what it was read from");
        let (key, token) = (SecretString::from(key.as_str()), SecretString::from(TOKEN));
        let headers = key_details::headers(&key, &token);
        assert!(headers.is_some_and(|headers| headers["iam-apikey"].is_sensitive()), "unfit for a header, or shown");
    }
    let with_newline = [data, b"\n"].concat();
    if with_newline.len() <= 4096 {
        assert_eq!(read(&with_newline), key, "an editor's newline makes a difference");
    }
}

/// `spec.renewBefore` and `spec.restart.minPeriod`: two bytes are the draw, four the lifetime in seconds, the rest is the
/// text.
pub fn duration(data: &[u8]) {
    let Some((head, text)) = data.split_first_chunk::<6>() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let [a, b, lasts @ ..] = *head;
    let (seed, seconds) = (u16::from_be_bytes([a, b]), u32::from_be_bytes(lasts));
    min_period(text);
    retries(seconds, seed);
    let Some(renew) = RenewBefore::parse(text) else { return };
    let (same, hours) = match renew {
        RenewBefore::Percent(percent) => {
            assert!((1..=50).contains(&percent));
            (format!("{percent}%"), 0)
        }
        RenewBefore::Span(span) => {
            let (hours, seconds) = (span.as_secs() / 3600, span.as_secs() % 3600);
            (format!("{hours}h{}m{}s", seconds / 60, seconds % 60), hours)
        }
    };
    // A number has six digits at most.
    assert!(hours > 999_999 || RenewBefore::parse(&same) == Some(renew), "{same} is read otherwise");
    let lasts = Duration::from_secs(u64::from(seconds));
    for since in [THEN, Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::MAX] {
        let life = Life { since, lasts };
        let due = life.refresh_at(renew, seed);
        assert!(due >= later(since, lasts / 2), "before half of its life");
        assert!(due <= life.expires_at(), "after its end");
        assert!((since..=due).contains(&life.joins_from(renew, seed)));
    }
}

fn min_period(text: &str) {
    let workload = Workload { kind: WorkloadKind::Deployment, name: "web".into() };
    let restart = Restart { workloads: vec![workload], min_period: Some(text.to_owned()) };
    let spec: Option<IamTokenSpec> = serde_json::from_value(serde_json::json!({"restart": restart})).ok();
    let wanted = spec.map(|spec| Wanted::new(&spec));
    assert!(wanted.is_some(), "the spec is not read");
    if let Some(Ok(wanted)) = wanted {
        assert!((1..=45 * 60).contains(&wanted.min_period.as_secs()));
    }
}

/// A failed try is repeated later than at once, and within a quarter of an hour and a fifth where nobody asked for more.
fn retries(asked: u32, seed: u16) {
    let asked = Duration::from_secs(u64::from(asked));
    let longest = Duration::from_mins(18);
    for (retry, longest) in [
        (Retry::Soon, longest),
        (Retry::Slowly, longest),
        (Retry::EverSlower, longest),
        (Retry::After(asked), longest.max(asked)),
        (Retry::NotWithin(asked), longest.max(asked)),
    ] {
        for expires_at in [None, Some(THEN), Some(later(THEN, asked)), Some(Timestamp::MIN), Some(Timestamp::MAX)] {
            let again = retry_at(retry, u32::from(seed), THEN, expires_at, seed);
            assert!(again.is_some_and(|at| at > THEN && at <= later(THEN, longest)), "{retry:?}: {again:?}");
        }
    }
}

/// An endpoint, of the admin's list or of a spec. A parser of URLs must see the same host as whoever reads the text.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    assert!(!text.starts_with("http://") || Endpoint::parse(text, false).is_err(), "plain http");
    let Ok(endpoint) = Endpoint::parse(text, true) else { return };
    assert_eq!(
        Endpoint::parse(endpoint.as_str(), true).as_ref(),
        Ok(&endpoint),
        "it is read otherwise the second time"
    );
    let (_, authority) = endpoint.as_str().split_once("://").unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    let shown = if authority.ends_with(']') {
        authority
    } else {
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    };
    for url in [endpoint.token_url(), endpoint.key_details_url()] {
        let url = reqwest::Url::parse(&url).unwrap_or_else(|error| panic!("{error}: {url}"));
        let host = url.host_str().unwrap_or_default();
        assert!(host == shown && url.username().is_empty(), "a key meant for {shown} is sent to {host}");
    }
}

/// A header, a payload and a signature that are all marked as no real ones.
const TOKEN: &str = concat!(
    "eyJhbGciOiJub25lIn0.",
    "eyJpYW1faWQiOiJpYW0tU2VydmljZUlkLTEiLCJuYW1lIjoiRkFLRS1jbGFpbSIsInNjb3BlIjoiaWJtIG9wZW5pZCIsImFjY291bnQiOnsiYnNzIjoiZmE0ZSJ9fQ.",
    "RkFLRS1zaWduYXR1cmU",
);

/// `spec.target.data[].template`.
pub fn template(data: &[u8]) {
    let Ok(source) = str::from_utf8(data) else { return };
    let tried = try_out([("key", source)].into_iter());
    if let Err((key, fault)) = tried {
        assert!(key == "key" && !fault.what.is_empty() && fault.what.len() < 2048);
    }
    let life = Life { since: THEN, lasts: Duration::from_hours(1) };
    let identity = claims::identity(TOKEN);
    let facts = Facts { token: TOKEN, life, identity: Some(&identity), namespace: "payments", name: "hpcs" };
    let render = || Renderer::new(&facts).render(source);
    let rendered = render();
    match &rendered {
        Ok(written) => assert!(written.len() <= 1 << 20, "more than a Secret holds"),
        Err(fault) => {
            assert!(fault.what.len() < 2048, "told at length: {}", fault.what.len());
            let quotes = |secret: &str| fault.what.contains(secret) && !source.contains(secret);
            assert!(!TOKEN.split('.').any(quotes) && !quotes("FAKE-claim"), "a value of the token is told");
        }
    }
    assert_eq!(render(), rendered, "a template depends on more than the token");
}
