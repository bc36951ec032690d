//! The claims of an access token and the answer that carries it.
//!
//! For service IDs as in IBM Cloud's published sample (docs, sell: "Integrating IAM"), for users as in tokens that users have
//! published; the answer as in IBM Cloud docs, account: "Generating an IBM Cloud IAM token by using an API key".

use serde_json::{Map, Value, json};

use super::signing::random_hex;
use super::tables::{Account, Entitled, Identity, Subject};

/// What a token says of its making.
pub(crate) struct Making<'a> {
    /// The issuer, `<url>/identity`.
    pub(crate) issuer: &'a str,
    /// The grant that it was asked for with.
    pub(crate) grant: &'a str,
    /// Seconds since the epoch, by the fake's clock.
    pub(crate) issued_at: i64,
    /// Seconds.
    pub(crate) lifetime: u64,
}

impl Making<'_> {
    /// Seconds since the epoch.
    pub(crate) fn expiration(&self) -> i64 {
        self.issued_at.saturating_add(i64::try_from(self.lifetime).unwrap_or(i64::MAX))
    }
}

/// The claims of an access token.
pub(crate) fn claims(entitled: &Entitled, making: &Making<'_>) -> Value {
    let mut claims = of_subject(&entitled.identity);
    claims.insert("jti".into(), json!(random_hex(16)));
    claims.insert("account".into(), of_account(&entitled.account));
    claims.insert("iat".into(), json!(making.issued_at));
    claims.insert("exp".into(), json!(making.expiration()));
    claims.insert("iss".into(), json!(making.issuer));
    claims.insert("grant_type".into(), json!(making.grant));
    claims.insert("scope".into(), json!("ibm openid"));
    claims.insert("client_id".into(), json!("default"));
    claims.insert("acr".into(), json!(1));
    claims.insert("amr".into(), json!(["pwd"]));
    Value::Object(claims)
}

fn of_account(account: &Account) -> Value {
    json!({"valid": account.valid, "bss": account.id, "frozen": account.frozen})
}

fn of_subject(identity: &Identity) -> Map<String, Value> {
    let iam_id = identity.iam_id.as_str();
    let claims = match &identity.subject {
        Subject::ServiceId { name } => {
            let mut claims = of_iams_own(iam_id, "ServiceId", name);
            let id = &claims["sub"];
            claims["authn"] = json!({"sub": id, "iam_id": iam_id, "sub_type": "ServiceId", "name": name});
            claims
        }
        Subject::Profile { name } => of_iams_own(iam_id, "Profile", name),
        // A user's token has no `sub_type`.
        Subject::User { given_name, family_name, email, .. } => {
            let name = format!("{given_name} {family_name}");
            json!({
                "iam_id": iam_id,
                "id": iam_id,
                "realmid": "IBMid",
                "identifier": iam_id.trim_start_matches("IBMid-"),
                "given_name": given_name,
                "family_name": family_name,
                "name": name,
                "email": email,
                "sub": email,
                "authn": {
                    "sub": email,
                    "iam_id": iam_id,
                    "name": name,
                    "given_name": given_name,
                    "family_name": family_name,
                    "email": email,
                },
            })
        }
    };
    match claims {
        Value::Object(claims) => claims,
        _ => Map::new(),
    }
}

/// Of an identity that is made in IAM itself.
fn of_iams_own(iam_id: &str, sub_type: &str, name: &str) -> Value {
    let id = iam_id.trim_start_matches("iam-");
    json!({
        "iam_id": iam_id,
        "id": iam_id,
        "realmid": "iam",
        "identifier": id,
        "name": name,
        "sub": id,
        "sub_type": sub_type,
    })
}

/// The body of a successful exchange.
pub(crate) fn answer(entitled: &Entitled, making: &Making<'_>, token: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("access_token".into(), json!(token));
    body.insert("refresh_token".into(), json!("not_supported"));
    if let Subject::User { ims_user_id: Some(number), .. } = &entitled.identity.subject {
        body.insert("ims_user_id".into(), json!(number));
    }
    body.insert("token_type".into(), json!("Bearer"));
    body.insert("expires_in".into(), json!(making.lifetime));
    body.insert("expiration".into(), json!(making.expiration()));
    body.insert("scope".into(), json!("ibm openid"));
    body
}
