//! What holds of the objects that the chart renders.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{CHART, NAMESPACE, objects, only};
use crate::rendered::matrix;

fn pod(values: &str) -> Value {
    only(&objects(values), "Deployment")["spec"]["template"]["spec"].clone()
}

fn arguments(values: &str) -> Vec<String> {
    let arguments = pod(values)["containers"][0]["args"].clone();
    serde_json::from_value(arguments).unwrap()
}

fn kinds(values: &str) -> BTreeSet<String> {
    objects(values).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
}

// === pods ===

#[test]
fn no_user_is_fixed_and_none_is_root() {
    for (name, values) in matrix() {
        let pod = pod(&values);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        for field in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
            assert_eq!(pod["securityContext"][field], Value::Null, "{name}: {field}");
            assert_eq!(pod["containers"][0]["securityContext"][field], Value::Null, "{name}: {field}");
        }
    }
}

#[test]
fn the_token_of_the_service_account_is_mounted_in_the_one_container_and_nowhere_else() {
    for (name, values) in matrix() {
        let objects = objects(&values);
        let pod = pod(&values);
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        for account in objects.iter().filter(|object| object["kind"] == "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{name}");
        }
        let tokens = pod["volumes"].to_string().matches("serviceAccountToken").count();
        assert_eq!(tokens, 1, "{name}");
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{name}");
    }
}

#[test]
fn one_replica_has_no_budget_that_could_block_a_drain() {
    assert!(!kinds("replicas: 1").contains("PodDisruptionBudget"));
    assert!(!kinds("podDisruptionBudget: {enabled: false}").contains("PodDisruptionBudget"));
    let objects = objects("{}");
    assert_eq!(only(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
}

#[test]
fn a_rollout_keeps_a_standby_and_never_makes_two_that_act() {
    let strategy = |values: &str| only(&objects(values), "Deployment")["spec"]["strategy"].clone();
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(strategy("{}"), rolling);
    assert_eq!(strategy("replicas: 1"), rolling);
    assert_eq!(strategy("{replicas: 1, leaderElection: {enabled: false}}"), json!({"type": "Recreate"}));
}

#[test]
fn what_is_left_empty_is_no_argument() {
    let given = arguments("{}");
    assert_eq!(given[0], "run");
    for absent in ["--watch-namespaces", "--default-", "--failover-endpoints", "--iam-ca-file", "--allow-insecure-http"]
    {
        assert!(!given.iter().any(|argument| argument.starts_with(absent)), "{given:?}");
    }
    assert!(arguments("watchNamespaces: [a, b]").contains(&"--watch-namespaces=a,b".to_owned()));
}

#[test]
fn endpoints_and_defaults_are_arguments() {
    let (first, second) = ("https://iam.cloud.ibm.com", "https://private.iam.cloud.ibm.com");
    let given = arguments(&format!(
        "{{allowedEndpoints: ['{first}', '{second}'], failoverEndpoints: ['{second}'], defaultRenewBefore: 25%, \
         defaultAccountId: '0123'}}"
    ));
    for argument in
        [&*format!("--failover-endpoints={second}"), "--default-renew-before=25%", "--default-account-id=0123"]
    {
        assert!(given.iter().any(|it| it == argument), "{argument}: {given:?}");
    }
}

/// A file that is mounted by itself (`subPath`) would not follow a change.
#[test]
fn a_ca_is_mounted_for_reading_as_a_folder_that_follows_a_change() {
    for (values, volume) in [
        (
            "iamCA: {configMap: ours}",
            json!({"configMap": {"name": "ours", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        ),
        (
            "iamCA: {secret: ours, key: tls.pem}",
            json!({"secret": {"secretName": "ours", "items": [{"key": "tls.pem", "path": "ca.crt"}]}}),
        ),
    ] {
        let pod = pod(values);
        let mut expected = volume;
        expected["name"] = json!("iam-ca");
        assert_eq!(pod["volumes"][1], expected, "{values}");
        let mount = json!({"name": "iam-ca", "mountPath": "/etc/iam-ca", "readOnly": true});
        assert_eq!(pod["containers"][0]["volumeMounts"][1], mount, "{values}");
        assert!(arguments(values).contains(&"--iam-ca-file=/etc/iam-ca/ca.crt".to_owned()), "{values}");
    }
    assert_eq!(pod("{}")["volumes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_proxy_is_in_the_environment_beside_what_else_is() {
    let env = |values: &str| pod(values)["containers"][0]["env"].clone();
    let proxy = "proxy: {httpsProxy: 'http://proxy.test:3128', noProxy: .test}";
    let [https, no] = [("HTTPS_PROXY", "http://proxy.test:3128"), ("NO_PROXY", ".test")]
        .map(|(name, value)| json!({"name": name, "value": value}));
    assert_eq!(env("{}"), Value::Null);
    assert_eq!(env(proxy), json!([https, no]));
    let of_secret = json!({"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}});
    assert_eq!(env(&format!("{{proxy: {{noProxy: .test}}, extraEnv: [{of_secret}]}}")), json!([no, of_secret]));
}

#[test]
fn a_pod_is_selected_by_its_own_labels_alone() {
    for (name, values) in matrix() {
        let objects = objects(&values);
        let spec = &only(&objects, "Deployment")["spec"];
        let (labels, selector) = (&spec["template"]["metadata"]["labels"], &spec["selector"]["matchLabels"]);
        for (key, value) in selector.as_object().unwrap() {
            assert_eq!(labels[key], *value, "{name}");
        }
        for spread in spec["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap() {
            assert_eq!(spread["labelSelector"]["matchLabels"], *selector, "{name}");
        }
    }
}

// === rights ===

#[test]
fn a_list_of_namespaces_grants_nothing_cluster_wide() {
    let objects = objects("watchNamespaces: [payments, orders]");
    let without_namespace: BTreeSet<_> =
        objects.iter().filter(|o| o["metadata"]["namespace"].is_null()).map(|o| o["kind"].as_str().unwrap()).collect();
    assert_eq!(without_namespace, BTreeSet::from(["CustomResourceDefinition"]));
    let roles = objects.iter().filter(|object| object["kind"] == "Role");
    let places: BTreeSet<_> = roles.map(|role| role["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(places, BTreeSet::from([NAMESPACE, "orders", "payments"]));
}

#[test]
fn workloads_are_restarted_by_a_role_of_its_own_where_asked() {
    let roles = |values: &str| -> Vec<Value> {
        let named = |object: &Value| object["metadata"]["name"] == "iam-token-operator-restart";
        objects(values).into_iter().filter(named).collect()
    };
    assert_eq!(roles("{}"), Vec::<Value>::new());
    assert_eq!(roles("{workloadRestarts: {enabled: true}, rbac: {create: false}}"), Vec::<Value>::new());
    let everywhere = roles("workloadRestarts: {enabled: true}");
    let rule =
        json!({"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["patch"]});
    assert_eq!(only(&everywhere, "ClusterRole")["rules"], json!([rule]));
    let listed = roles("{workloadRestarts: {enabled: true, names: [web]}, watchNamespaces: [payments, orders]}");
    let kinds: Vec<_> = listed.iter().map(|o| (o["kind"].clone(), o["metadata"]["namespace"].clone())).collect();
    let pair = |namespace: &str| [(json!("Role"), json!(namespace)), (json!("RoleBinding"), json!(namespace))];
    assert_eq!(kinds.iter().map(|pair| format!("{pair:?}")).collect::<BTreeSet<_>>().len(), 4);
    assert!(["payments", "orders"].iter().all(|namespace| pair(namespace).iter().all(|it| kinds.contains(it))));
    for role in listed.iter().filter(|object| object["kind"] == "Role") {
        assert_eq!(role["rules"][0]["resourceNames"], json!(["web"]));
    }
}

#[test]
fn both_forms_grant_the_same() {
    let (everywhere, listed) = (objects("rbac: {aggregate: false}"), objects("watchNamespaces: [payments]"));
    let role = listed.iter().find(|o| o["kind"] == "Role" && o["metadata"]["namespace"] == "payments").unwrap();
    assert_eq!(only(&everywhere, "ClusterRole")["rules"], role["rules"]);
}

#[test]
fn no_role_holds_a_wildcard_and_no_lease_but_the_one_is_written() {
    for (name, values) in matrix() {
        for object in objects(&values) {
            assert!(object["rules"].is_null() || !object["rules"].to_string().contains('*'), "{name}: {object}");
            for rule in object["rules"].as_array().into_iter().flatten() {
                let named = rule["resourceNames"].as_array().is_some_and(|names| names.len() == 1);
                assert!(rule["resources"] != json!(["leases"]) || named || rule["verbs"] == json!(["create"]));
            }
        }
    }
}

#[test]
fn without_leader_election_there_is_no_role_for_leases() {
    let objects = objects("{replicas: 1, leaderElection: {enabled: false}, watchNamespaces: [payments]}");
    assert_eq!(only(&objects, "Role")["metadata"]["namespace"], "payments");
}

// === network ===

fn egress(values: &str) -> Vec<Value> {
    let values = format!("{{networkPolicy: {{enabled: true}}, {values}}}");
    only(&objects(&values), "NetworkPolicy")["spec"]["egress"].as_array().unwrap().clone()
}

#[test]
fn the_network_policy_lets_out_to_the_ports_of_the_endpoints() {
    let iam = |values: &str| egress(values)[2]["ports"].clone();
    assert_eq!(iam(""), json!([{"port": 443}]));
    assert_eq!(
        iam("allowedEndpoints: ['https://a.test', 'https://b.test:8443/iam', 'https://c.test']"),
        json!([{"port": 443}, {"port": 8443}])
    );
    assert_eq!(iam("proxy: {httpsProxy: 'http://proxy.test:3128'}"), json!([{"port": 443}, {"port": 3128}]));
    assert_eq!(iam("allowInsecureHttp: true, allowedEndpoints: ['http://a.test']"), json!([{"port": 80}]));
}

#[test]
fn the_network_policy_lets_in_no_more_than_what_listens() {
    let ingress = |values: &str| only(&objects(values), "NetworkPolicy")["spec"]["ingress"].clone();
    let health = json!({"ports": [{"port": "health"}]});
    let metrics = json!({"ports": [{"port": "metrics"}]});
    assert_eq!(ingress("networkPolicy: {enabled: true}"), json!([health, metrics]));
    assert_eq!(ingress("{networkPolicy: {enabled: true}, metrics: {enabled: false}}"), json!([health]));
}

// === names and versions ===

#[test]
fn names_follow_the_release_and_fit() {
    let name = |values: &str| only(&objects(values), "Deployment")["metadata"]["name"].clone();
    assert_eq!(name("{}"), "iam-token-operator");
    assert_eq!(name("nameOverride: tokens"), "iam-token-operator-tokens");
    assert_eq!(name("fullnameOverride: iam"), "iam");
    let long = "a".repeat(63);
    for object in objects(&format!("{{fullnameOverride: {long}, metrics: {{dashboard: {{enabled: true}}}}}}")) {
        assert!(object["metadata"]["name"].as_str().unwrap().len() <= 63, "{object}");
    }
}

#[test]
fn the_chart_and_the_operator_have_one_version() {
    let chart = std::fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_digest_names_the_image_in_place_of_the_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let image = |values: &str| pod(values)["containers"][0]["image"].clone();
    assert_eq!(image("{}"), concat!("iam-token-operator:", env!("CARGO_PKG_VERSION")));
    assert_eq!(image("image: {tag: dev}"), "iam-token-operator:dev");
    assert_eq!(image(&format!("image: {{tag: dev, digest: '{digest}'}}")), format!("iam-token-operator@{digest}"));
}
