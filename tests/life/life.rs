//! A full life: create, refresh, rotate, repair, delete.

use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_token_is_written_and_described() {
    let world = World::start().await;
    let key = world.put_pair("hpcs").await;
    let data = world.ready("hpcs").await;
    let token = data["token"].as_str().unwrap();
    assert_eq!(data["authorization"], format!("Bearer {token}"));
    let claims = world.iam.verify(token).expect("a valid token");
    assert_eq!(data["expiration"].as_str().unwrap().parse::<i64>().unwrap(), claims["exp"].as_i64().unwrap());
    let status = world.status("hpcs").await;
    let identity = status.identity.unwrap();
    assert_eq!(identity.iam_id.as_deref(), claims["iam_id"].as_str());
    assert_eq!(identity.subject_type.as_deref(), Some("ServiceId"));
    assert_eq!(status.target.unwrap().name, "hpcs");
    assert_eq!(world.iam.exchanges_of(&key), 1);
    eprintln!("{}", world.operator.log());
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_expires() {
    let world = World::start().await;
    world.iam.set_lifetime(6);
    world.put_pair("hpcs").await;
    let mut data = world.ready("hpcs").await;
    for _ in 0..3 {
        data = world.changed("hpcs", &data).await;
        world.iam.verify(data["token"].as_str().unwrap()).expect("a valid token");
    }
    let _ = json!({});
}
