//! `--iam-ca-file`

use std::path::Path;

use iam_token_operator::api::{CONDITION_STALLED, REFRESH_REQUESTED};
use serde_json::json;
use testkit::fake_iam::FakeIam;

use crate::harness::{World, eventually};
use crate::path;

/// In one step, as kubelet replaces the file of a ConfigMap.
fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[tokio::test]
async fn iam_may_be_signed_by_a_ca_of_the_admins_own_which_may_change_without_a_restart() {
    let [first, second] = [(); 2].map(|()| FakeIam::start_tls());
    let [ours, theirs] = [&first, &second].map(|iam| iam.ca_pem().unwrap().to_owned());
    let file = path("ca.pem");
    replace(&file, &ours);
    let (endpoints, flag) = ([first.url(), second.url()], format!("--iam-ca-file={}", file.display()));
    let world = World::begin_in(&[], first, &endpoints, "info", &[&flag]).await;
    world.put_pair("first").await;
    let data = world.ready("first").await;

    let key = second.service_id_key(&format!("{}-second", world.namespace));
    world.put_key("second-key", &key).await;
    let spec = json!({"apiKeySecretRef": {"name": "second-key"}, "endpoint": second.url()});
    world.put_token("second", &spec).await;
    let told = world.condition("second", CONDITION_STALLED, "IamUntrusted").await;
    assert!(told.message.contains("Give the operator the CA that signed it (--iam-ca-file)"), "{}", told.message);
    assert!(second.calls().is_empty(), "a key went to a server that is not trusted");

    replace(&file, &format!("{ours}{theirs}"));
    world.ready("second").await;
    assert!(world.operator.log().contains("it has changed"), "{}", world.operator.log());

    replace(&file, "no PEM\n");
    world.annotate("first", REFRESH_REQUESTED, "under what it held before").await;
    world.changed("first", &data).await;
    eventually("a word about the file", async || {
        let log = world.operator.log();
        if log.contains("it holds no certificate in PEM") { Ok(()) } else { Err(log) }
    })
    .await;

    // The one that is taken out is trusted no more.
    replace(&file, &ours);
    world.annotate("second", REFRESH_REQUESTED, "in vain").await;
    world.condition("second", CONDITION_STALLED, "IamUntrusted").await;
    std::fs::remove_file(&file).unwrap();
}
