use serde_json::{Value, json};

use super::{kubeconfig, line, plugin, plugin_as, tells_an_hour};
use crate::harness::World;

#[tokio::test]
async fn each_iamtoken_has_a_line_with_the_life_of_its_token() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.put_token("lost", &json!({"apiKeySecretRef": {"name": "no-such"}, "target": {"name": "there"}})).await;
    world.ready("hpcs").await;
    world.condition("lost", "Stalled", "SourceNotFound").await;
    let out = plugin(&world, &["list"]).run().succeeded();
    assert_eq!(out.lines().count(), 3, "{out}");
    let titles: Vec<_> = out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["NAME", "STATE", "LIFE", "LEFT", "REFRESH", "TARGET"]);
    let good = line(&out, "hpcs");
    assert!(
        good.contains("Ready   ") && good.contains("|===") && tells_an_hour(good) && good.ends_with("hpcs"),
        "{good}"
    );
    let bad = line(&out, "lost");
    assert!(bad.contains("Not ready: SourceNotFound") && bad.ends_with("there") && !bad.contains('['), "{bad}");
    let wide = plugin(&world, &["list", "-o", "wide"]).run().succeeded();
    assert!(line(&wide, "hpcs").contains("iam-ServiceId-"), "{wide}");
}

#[tokio::test]
async fn all_namespaces_and_labels_are_looked_through() {
    let (here, there) = (World::start().await, World::start().await);
    for world in [&here, &there] {
        world.put_pair("hpcs").await;
    }
    let out = plugin_as(&here.plane.kubeconfig_for_admin(), &["list", "-A"]).run().succeeded();
    for world in [&here, &there] {
        assert!(out.lines().any(|line| line.starts_with(&format!("{} ", world.namespace))), "{out}");
    }
    let label = ["label", "iamtoken", "hpcs", "-n", &here.namespace, "tier=web"];
    assert!(here.plane.kubectl_cmd(label).status().unwrap().success());
    assert_eq!(
        plugin(&here, &["list", "-l", "tier=web", "-o", "name"]).run().succeeded(),
        "iamtoken.iamtoken.dev/hpcs\n"
    );
    let (out, err) = plugin(&there, &["list", "-l", "tier=web"]).run().ended(0);
    assert!(out.is_empty() && err.contains("no IamToken with such labels in namespace"), "{err}");
}

#[tokio::test]
async fn programs_get_whole_objects() {
    let world = World::start().await;
    let (out, err) = plugin(&world, &["list"]).run().ended(0);
    assert!(out.is_empty() && err.contains(&format!("no IamToken in namespace {}", world.namespace)), "{err}");
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let json: Value = serde_json::from_str(&plugin(&world, &["list", "-o", "json"]).run().succeeded()).unwrap();
    let yaml: Value = serde_saphyr::from_str(&plugin(&world, &["list", "-o", "yaml"]).run().succeeded()).unwrap();
    assert_eq!(json, yaml);
    assert_eq!((&json["kind"], &json["items"][0]["kind"]), (&json!("List"), &json!("IamToken")));
    assert_eq!(json["items"][0]["status"]["conditions"][0]["reason"], "TokenValid");
}

#[tokio::test]
async fn the_namespace_is_that_of_the_context_where_none_is_named() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    let config = kubeconfig(&world, "context", |config| {
        let mut other = config["contexts"][0].clone();
        other["name"] = json!("other");
        config["contexts"][0]["context"]["namespace"] = json!(world.namespace);
        config["contexts"].as_array_mut().unwrap().push(other);
    });
    let name = "iamtoken.iamtoken.dev/hpcs\n";
    assert_eq!(plugin_as(&config, &["list", "-o", "name"]).run().succeeded(), name);
    let elsewhere = plugin_as(&config, &["list", "-o", "name", "--context", "other"]).run().succeeded();
    assert_eq!(elsewhere, "");
    let flag = ["--kubeconfig", config.to_str().unwrap(), "list", "-o", "name"];
    assert_eq!(plugin_as("/nowhere".as_ref(), &flag).run().succeeded(), name);
}

#[tokio::test]
async fn a_pipe_gets_no_colours_unless_it_asks_for_them() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let plain = plugin(&world, &["list"]).run().succeeded();
    let coloured = plugin(&world, &["list", "--color", "always"]).env("LANG", "C.UTF-8").run().succeeded();
    assert!(plain.is_ascii() && !plain.contains('\x1b'), "{plain}");
    assert!(coloured.contains("\x1b[32mReady\x1b[0m") && coloured.contains("╋━━"), "{coloured}");
}
