//! The key-management endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use testkit::fake_iam::{FakeIam, SigningKey, TokenError, claims_unverified};
use testkit::fake_kms::{DEFAULT_INSTANCE, FakeKms};

use crate::http::{exchange, send};

#[test]
fn the_kms_lets_valid_tokens_through_and_no_others() {
    let iam = FakeIam::start();
    let kms = FakeKms::start(&iam);
    let (one, two) = (iam.service_id_key("one"), iam.service_id_key("two"));
    let token = exchange(&iam, &one).token();
    let get = |token: &str, more: &str| {
        let address = kms.url().trim_start_matches("http://").parse().expect("an address");
        send(address, "GET /api/v2/keys", &format!("Authorization: Bearer {token}\r\n{more}"), "")
    };
    let instance = format!("Bluemix-Instance: {DEFAULT_INSTANCE}\r\n");
    let reply = get(&token, &instance);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["metadata"]["collectionType"], "application/vnd.ibm.kms.key+json");
    assert_eq!(get(&token, "").status, 400);
    assert_eq!(get(&token, "Bluemix-Instance: nobody\r\n").status, 400);
    kms.add_instance("another");
    assert_eq!(get(&token, "Bluemix-Instance: another\r\n").status, 200);

    let mut claims = claims_unverified(&token).expect("claims");
    let forged = SigningKey::generate().sign(&claims);
    claims["iss"] = json!("https://iam.example.com/identity");
    let foreign = iam.signing_key().sign(&claims);
    let (text, signature) = token.rsplit_once('.').expect("three parts");
    let (header, _) = text.split_once('.').expect("three parts");
    let swapped = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let bad = [
        (iam.mint(&one, -1), TokenError::Expired),
        (forged, TokenError::OtherKey),
        (swapped, TokenError::Signature),
        (foreign, TokenError::Issuer),
        ("eyJ".into(), TokenError::Malformed),
        (format!("\"{token}\""), TokenError::Malformed),
    ];
    for (token, why) in bad {
        let reply = get(&token, &instance);
        assert_eq!(reply.status, 401, "{why:?}");
        assert_eq!(
            reply.json()["resources"][0]["errorMsg"],
            "Unauthorized: The user does not have access to the specified resource"
        );
        let call = kms.calls().pop().expect("recorded");
        assert_eq!((call.iam_id, call.refused), (None, Some(why)));
    }
    kms.allow_only([iam.identity_of(&two).expect("known").iam_id]);
    assert_eq!(get(&token, &instance).status, 401);
    assert_eq!(get(&iam.mint(&two, 60), &instance).status, 200);
    kms.allow_all();
    iam.set_clock_offset(7200);
    assert_eq!(get(&token, &instance).status, 401);
}
