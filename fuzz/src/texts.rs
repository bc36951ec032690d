//! What a tenant or an admin writes.

use std::time::Duration;

use iam_token_operator::core::credential::parse;
use iam_token_operator::core::endpoint::Endpoint;
use iam_token_operator::core::schedule::{Life, RenewBefore};
use iam_token_operator::core::template::{Facts, Renderer, try_out};
use secrecy::ExposeSecret as _;

use super::THEN;

/// The value of a source Secret.
pub fn credential(data: &[u8]) {
    let read = |value: &[u8]| parse(value).map(|key| key.expose_secret().to_owned());
    let key = read(data);
    if let Ok(key) = &key {
        assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()), "unfit to be sent");
        assert!(key.len() <= data.len(), "longer than what it was read from");
    }
    let with_newline = [data, b"\n"].concat();
    if with_newline.len() <= 4096 {
        assert_eq!(read(&with_newline), key, "an editor's newline makes a difference");
    }
}

/// `spec.renewBefore`: two bytes are the draw, four the lifetime in seconds, the rest is the text.
pub fn duration(data: &[u8]) {
    let Some((head, text)) = data.split_first_chunk::<6>() else { return };
    let Some(renew) = str::from_utf8(text).ok().and_then(RenewBefore::parse) else { return };
    if let RenewBefore::Percent(percent) = renew {
        assert!((1..=50).contains(&percent));
    }
    let [a, b, lasts @ ..] = *head;
    let lasts = Duration::from_secs(u64::from(u32::from_be_bytes(lasts)));
    let life = Life { since: THEN, lasts };
    let due = life.refresh_at(renew, u16::from_be_bytes([a, b]));
    assert!(due >= life.since + lasts / 2, "before half of its life");
    assert!(due <= life.expires_at(), "after its end");
    assert!(life.joins_from(renew, u16::from_be_bytes([a, b])) <= due);
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
    let life = Life { since: THEN, lasts: Duration::from_hours(1) };
    let facts = Facts { token: TOKEN, life, identity: None, namespace: "payments", name: "hpcs" };
    match Renderer::new(&facts).render(source) {
        Ok(written) => assert!(written.len() <= 1 << 20, "more than a Secret holds"),
        Err(fault) => {
            assert!(fault.what.len() < 2048, "told at length: {}", fault.what.len());
            let quotes = |secret: &str| fault.what.contains(secret) && !source.contains(secret);
            assert!(!quotes(TOKEN) && !quotes("FAKE-claim"), "a value of the token is told");
        }
    }
    if let Err((key, fault)) = tried {
        assert!(key == "key" && !fault.what.is_empty() && fault.what.len() < 2048);
    }
}
