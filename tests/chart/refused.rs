//! Values that make no sense are refused by helm, in words that name the value.

use crate::helm::{objects, template};

/// Values, and what helm must say of them.
const WRONG: &[(&str, &[&str])] = &[
    // A name that doesn't exist, at each depth.
    ("replicaCount: 2", &["additional properties 'replicaCount' not allowed"]),
    ("image: {repo: a}", &["/image", "additional properties 'repo' not allowed"]),
    ("metrics: {serviceMonitor: {enable: true}}", &["/metrics/serviceMonitor", "'enable' not allowed"]),
    ("resources: {limit: {memory: 1Gi}}", &["/resources", "'limit' not allowed"]),
    // A value that is taken away.
    ("image: null", &["missing property 'image'"]),
    ("log: {level: null}", &["/log", "missing property 'level'"]),
    ("allowedEndpoints: null", &["missing property 'allowedEndpoints'"]),
    ("watchNamespaces: null", &["missing property 'watchNamespaces'"]),
    // Of the wrong type.
    ("replicas: two", &["/replicas", "got string, want integer"]),
    ("replicas: -1", &["/replicas", "minimum"]),
    ("watchNamespaces: payments", &["/watchNamespaces", "got string, want array"]),
    ("allowedEndpoints: https://iam.cloud.ibm.com", &["/allowedEndpoints", "got string, want array"]),
    ("crds: {keep: 'yes'}", &["/crds/keep", "want boolean"]),
    ("podAnnotations: {a: 1}", &["/podAnnotations/a", "want string"]),
    ("nodeSelector: {a: true}", &["/nodeSelector/a", "want string"]),
    ("extraEnv: {A: b}", &["/extraEnv", "want array"]),
    ("extraVolumeMounts: [{name: a}]", &["/extraVolumeMounts/0", "missing property 'mountPath'"]),
    // Out of what it may be.
    ("concurrency: 0", &["/concurrency", "minimum"]),
    ("namespaceBudget: -1", &["/namespaceBudget", "minimum"]),
    ("concurrency: 1025", &["/concurrency", "maximum"]),
    ("metrics: {port: 70000}", &["/metrics/port", "maximum"]),
    ("tracing: {otlpEndpoint: 'otel-collector:4317'}", &["/tracing/otlpEndpoint", "does not match pattern"]),
    ("tracing: {otlpEndpoint: 'http://user:pass@otel'}", &["/tracing/otlpEndpoint", "does not match pattern"]),
    ("tracing: null", &["missing property 'tracing'"]),
    ("log: {format: xml}", &["/log/format", "'json', 'text'"]),
    ("log: {level: verbose}", &["/log/level", "does not match pattern"]),
    ("image: {pullPolicy: Sometimes}", &["/image/pullPolicy", "'IfNotPresent'"]),
    ("image: {tag: 'a b'}", &["/image/tag", "does not match pattern"]),
    ("image: {digest: 'sha256:abc'}", &["/image/digest", "does not match pattern"]),
    ("image: {repository: ''}", &["/image/repository", "does not match pattern"]),
    ("watchNamespaces: ['a,b']", &["/watchNamespaces/0", "does not match pattern"]),
    ("watchNamespaces: ['']", &["/watchNamespaces/0", "does not match pattern"]),
    ("watchNamespaces: [a, a]", &["/watchNamespaces", "equal"]),
    ("allowedEndpoints: []", &["/allowedEndpoints", "minItems"]),
    ("allowedEndpoints: [iam.cloud.ibm.com]", &["/allowedEndpoints/0", "does not match pattern"]),
    ("allowedEndpoints: ['https://a,https://b']", &["/allowedEndpoints/0", "does not match pattern"]),
    ("allowedEndpoints: ['https://user:pass@iam.test']", &["/allowedEndpoints/0", "does not match pattern"]),
    ("workloadRestarts: {names: [Web]}", &["/workloadRestarts/names/0", "does not match pattern"]),
    ("workloadRestarts: {enabled: 'yes'}", &["/workloadRestarts/enabled", "want boolean"]),
    ("networkPolicy: {apiServerCIDRs: [10.0.0.1]}", &["/networkPolicy/apiServerCIDRs/0", "does not match pattern"]),
    ("podLabels: {app.kubernetes.io/name: other}", &["/podLabels"]),
    // What the schema can't say.
    ("leaderElection: {enabled: false}", &["replicas: more than one needs leaderElection.enabled: true"]),
    (
        "allowedEndpoints: ['http://iam.test']",
        &["allowedEndpoints: http://iam.test sends API keys in the clear", "allowInsecureHttp: true"],
    ),
    ("defaultEndpoint: https://iam.test", &["defaultEndpoint: https://iam.test is not in allowedEndpoints"]),
    ("failoverEndpoints: [https://iam.test]", &["failoverEndpoints: https://iam.test is not in allowedEndpoints"]),
    (
        "failoverEndpoints: [https://iam.cloud.ibm.com]",
        &["failoverEndpoints: https://iam.cloud.ibm.com is the default"],
    ),
    ("failoverEndpoints: https://iam.test", &["/failoverEndpoints", "got string, want array"]),
    ("defaultRenewBefore: 60%", &["/defaultRenewBefore", "does not match pattern"]),
    ("defaultRenewBefore: soon", &["/defaultRenewBefore", "does not match pattern"]),
    ("defaultAccountId: 'a b'", &["/defaultAccountId", "does not match pattern"]),
    ("iamCA: {configMap: a, secret: b}", &["iamCA: name a configMap or a secret, not both"]),
    ("iamCA: {configMap: a, key: ''}", &["/iamCA/key", "does not match pattern"]),
    ("iamCA: {pem: a}", &["/iamCA", "additional properties 'pem' not allowed"]),
    ("proxy: {httpsProxy: 'http://user:password@proxy.test'}", &["/proxy/httpsProxy", "does not match pattern"]),
    ("proxy: {httpsProxy: 'socks5://proxy.test'}", &["/proxy/httpsProxy", "does not match pattern"]),
    ("proxy: http://proxy.test", &["/proxy", "got string, want object"]),
    ("serviceAccount: {create: false}", &["serviceAccount.name: name the ServiceAccount"]),
    (
        "metrics: {enabled: false, serviceMonitor: {enabled: true}}",
        &["metrics.serviceMonitor.enabled: there is nothing to read; set metrics.enabled: true"],
    ),
    ("metrics: {enabled: false, dashboard: {enabled: true}}", &["metrics.dashboard.enabled"]),
    ("metrics: {port: 8081}", &["metrics.port: it is health.port, too"]),
];

#[test]
fn each_wrong_value_is_named() {
    let mut failed = vec![];
    for (values, words) in WRONG {
        match template(values) {
            Ok(_) => failed.push(format!("{values}: was taken")),
            Err(said) => {
                let absent: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
                if !absent.is_empty() {
                    failed.push(format!("{values}: {absent:?} not in:\n{said}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What others put there: helm's own `global`, the condition of an umbrella chart.
#[test]
fn what_an_umbrella_chart_passes_is_taken() {
    assert_eq!(objects("{global: {imageRegistry: a}, enabled: true}"), objects("{}"));
}

/// Every object that is ours is closed, so that no misspelt name passes.
#[test]
fn the_schema_is_closed() {
    let text = std::fs::read_to_string(format!("{}/values.schema.json", crate::helm::CHART)).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(open_objects("", &schema), Vec::<String>::new());
}

/// The paths of the objects that take any name, though they name some.
fn open_objects(path: &str, schema: &serde_json::Value) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else { return vec![] };
    let open = schema["additionalProperties"] != false;
    let inner = properties.iter().flat_map(|(name, schema)| open_objects(&format!("{path}/{name}"), schema));
    open.then(|| path.to_owned()).into_iter().chain(inner).collect()
}
