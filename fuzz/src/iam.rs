//! What IAM says.

use std::time::Duration;

use iam_token_operator::core::asker::Profile;
use iam_token_operator::core::endpoint::Endpoint;
use iam_token_operator::core::problem::Problem;
use iam_token_operator::core::schedule::retry_at;
use iam_token_operator::iam::wire::{Answer, Request, read};
use iam_token_operator::iam::{Ask, Credential, Grant};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::{THEN, is_time_for_go};

/// In the corpus, so that answers echo them.
const KEY: &str = "FAKE-key_0123456789012345678901234567890123";
const OWN_TOKEN: &str = "FAKE-sa-header.FAKE-sa-payload.FAKE-sa-signature";
const FIRST_TOKEN: &str = "FAKE-first-header.FAKE-first-payload.FAKE-first-signature";

const ACCOUNT: &str = "fa4e0000000000000000000000000001";

const STATUS: [u16; 8] = [200, 400, 401, 403, 404, 429, 500, 503];

/// The answer to an exchange. Two bytes say with which status and to whom, two lines are headers, the rest is the body.
pub fn answer(data: &[u8]) {
    let [status, who, rest @ ..] = data else { return };
    let mut parts = rest.splitn(3, |byte| *byte == b'\n');
    let mut header = || parts.next().and_then(|line| str::from_utf8(line).ok()).filter(|line| !line.is_empty());
    let (retry_after, transaction_id) = (header(), header());
    let answer = Answer {
        status: STATUS[usize::from(*status) % STATUS.len()],
        retry_after,
        transaction_id,
        body: parts.next().unwrap_or_default(),
    };
    let (Some(ask), first) = (ask(*who), SecretString::from(FIRST_TOKEN)) else { return };
    let request = Request::first(&ask);
    let assumes = who & 0b110 == 0b110;
    let request = if assumes { request.next(&first).unwrap_or(request) } else { request };
    let now = THEN + Duration::from_secs(u64::from(*who));
    match read(request, &answer, THEN, now) {
        Ok(grant) => {
            let id = request.transaction_id(&answer, &grant);
            let last = request.next(&first).is_none();
            granted(&grant, ask.account_id.as_deref().filter(|_| last), id.as_deref(), now);
        }
        Err(failure) => {
            let text = format!("{failure:?} {}", Problem::Iam(failure.clone()).message());
            let secret = ask.credential.secret().expose_secret();
            let sent = [secret, if assumes { FIRST_TOKEN } else { secret }];
            assert!(sent.iter().all(|secret| !text.contains(secret)), "what was sent is echoed");
            assert!(text.len() < 2048, "what IAM says is repeated at length");
            [&failure.code, &failure.request_id].into_iter().flatten().for_each(|id| is_fit_to_show(id, &sent));
            let retry = Problem::Iam(failure).retry();
            for expires_at in [None, Some(now), Some(now + Duration::from_hours(1))] {
                let again = retry_at(retry, u32::from(*who), now, expires_at, u16::from(*status));
                assert!(again.is_none_or(|again| again > now), "tried again at once");
            }
        }
    }
}

/// An API key, a ServiceAccount's token, and an API key that becomes a profile in two requests; of any account or of one.
fn ask(who: u8) -> Option<Ask> {
    let service_account = || {
        let who = iam_token_operator::core::view::Key::new("payments", "hpcs");
        Credential::ServiceAccount { who, token: OWN_TOKEN.into() }
    };
    let profile = || Profile::Id("Profile-1".to_owned());
    Some(Ask {
        endpoint: Endpoint::parse("https://iam.cloud.ibm.com", false).ok()?,
        failover: vec![],
        credential: if who & 0b110 == 0b010 { service_account() } else { Credential::ApiKey(KEY.into()) },
        profile: (who & 0b110 != 0).then(profile),
        account_id: (who & 1 == 1).then(|| ACCOUNT.to_owned()),
    })
}

fn granted(grant: &Grant, account: Option<&str>, id: Option<&str>, now: Timestamp) {
    let token = grant.token.expose_secret();
    assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "unfit for a header");
    assert!(grant.life.expires_at() > now && grant.life.lasts <= Duration::from_hours(24));
    assert!(account.is_none() || grant.identity.account_id.as_deref() == account, "of another account");
    assert!(!format!("{grant:?}").contains(token) || token.len() < 8, "shown by Debug");
    if let Some(id) = id {
        is_fit_to_show(id, &[token]);
    }
}

/// A code or an id of IAM: short, plain, and no eight characters of a secret in a row.
fn is_fit_to_show(id: &str, secrets: &[&str]) {
    assert!(id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{id}");
    for secret in secrets {
        let part = |part: &[u8]| secret.as_bytes().windows(part.len()).any(|there| there == part);
        assert!(!id.as_bytes().windows(8).any(part) && !id.contains(secret), "a part of a secret is shown: {id}");
    }
}

/// The answer to a question about an API key.
pub fn key_details(data: &[u8]) {
    use iam_token_operator::iam::key_details::read;
    if let Some(expiry) = read(200, data).and_then(|health| health.expires_at) {
        assert!(is_time_for_go(&expiry.to_string()), "{expiry} would have the API server refuse the status");
    }
    assert_eq!(read(404, data), None);
}
