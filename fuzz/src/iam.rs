//! What IAM says.

use std::time::Duration;

use iam_token_operator::core::endpoint::Endpoint;
use iam_token_operator::core::problem::Problem;
use iam_token_operator::iam::wire::{Answer, Request, read};
use iam_token_operator::iam::{Ask, Credential};
use secrecy::ExposeSecret as _;

use super::{THEN, is_time_for_go};

/// In the corpus, so that answers echo it.
const KEY: &str = "FAKE-key_0123456789012345678901234567890123";

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
    let Ok(endpoint) = Endpoint::parse("https://iam.cloud.ibm.com", false) else { return };
    let ask = Ask {
        endpoint,
        failover: vec![],
        credential: Credential::ApiKey(KEY.into()),
        profile: None,
        account_id: (who % 2 == 1).then(|| ACCOUNT.to_owned()),
    };
    let now = THEN + Duration::from_secs(u64::from(*who));
    match read(Request::first(&ask), &answer, THEN, now) {
        Ok(grant) => {
            let token = grant.token.expose_secret();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "unfit for a header");
            assert!(grant.life.expires_at() > now && grant.life.lasts <= Duration::from_hours(24));
            assert!(ask.account_id.is_none() || grant.identity.account_id == ask.account_id);
            assert!(!format!("{grant:?}").contains(token) || token.len() < 8, "shown by Debug");
        }
        Err(failure) => {
            let text = format!("{failure:?} {}", Problem::Iam(failure.clone()).message());
            assert!(!text.contains(KEY), "the key is echoed");
            assert!(text.len() < 2048, "what IAM says is repeated at length");
        }
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
