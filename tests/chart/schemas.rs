//! The schemas of Kubernetes' own kinds, from the sources of Kubernetes: `api/openapi-spec/swagger.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helm::ROOT;

/// All schemas of one version.
pub struct Schemas {
    /// Such as `1.33.13`.
    pub version: String,
    root: Value,
    /// From group, version and kind to the name of the definition.
    names: HashMap<(String, String, String), String>,
}

// === impl Schemas ===

impl Schemas {
    /// Of the oldest Kubernetes that the chart takes.
    pub fn oldest() -> Self {
        Self::of_module("tests/chart/kubernetes-1.33")
    }

    /// Of that which the tests run on.
    pub fn newest() -> Self {
        Self::of_module("hack/control-plane/kubernetes")
    }

    /// Of the Kubernetes that the Go module in this folder requires.
    fn of_module(folder: &str) -> Self {
        let (version, source) = download(folder);
        let text = std::fs::read_to_string(source.join("api/openapi-spec/swagger.json")).unwrap();
        let swagger: Value = serde_json::from_str(&text).unwrap();
        let definitions = swagger["definitions"].as_object().unwrap();
        let mut names = HashMap::new();
        for (name, definition) in definitions {
            for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let part = |field: &str| kind[field].as_str().unwrap().to_owned();
                names.insert((part("group"), part("version"), part("kind")), name.clone());
            }
        }
        let strict = definitions.iter().map(|(name, definition)| (name.clone(), strict(name, definition)));
        Self { version, root: json!({"definitions": strict.collect::<serde_json::Map<_, _>>()}), names }
    }

    /// What is wrong with the object; `None` where its kind is not of Kubernetes.
    pub fn problems(&self, object: &Value) -> Option<Vec<String>> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = self.names.get(&(group.to_owned(), version.to_owned(), kind.to_owned()))?;
        let mut schema = self.root.clone();
        schema["$ref"] = json!(format!("#/definitions/{name}"));
        let validator = jsonschema::draft4::new(&schema).unwrap();
        let errors = validator.iter_errors(object);
        Some(errors.map(|error| format!("{}: {error}", error.instance_path())).collect())
    }
}

/// The definition, which takes no field that it doesn't name. Two types are more than their schema says.
fn strict(name: &str, definition: &Value) -> Value {
    if name.ends_with(".IntOrString") || name.ends_with(".Quantity") {
        return json!({"type": ["string", "number"]});
    }
    let mut definition = definition.clone();
    if definition.get("properties").is_some() {
        definition["additionalProperties"] = json!(false);
    }
    definition
}

/// The version of Kubernetes, and the folder that holds its sources. The module's go.sum vouches for them.
fn download(folder: &str) -> (String, PathBuf) {
    let output = Command::new("go")
        .args(["mod", "download", "-json", "k8s.io/kubernetes"])
        .current_dir(Path::new(ROOT).join(folder))
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .output()
        .expect("go is needed: https://go.dev/dl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let module: Value = serde_json::from_slice(&output.stdout).unwrap();
    let version = module["Version"].as_str().unwrap().trim_start_matches('v').to_owned();
    (version, PathBuf::from(module["Dir"].as_str().unwrap()))
}

// === tests ===

#[test]
fn a_field_or_a_type_that_is_wrong_is_found() {
    let schemas = Schemas::oldest();
    let wrong = |pod: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        object["spec"] = pod;
        schemas.problems(&object).unwrap().join("; ")
    };
    assert_eq!(wrong(json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": 1}}}]})), "");
    for (pod, said) in [
        (json!({"containers": []  , "serviceAcountName": "a"}), "serviceAcountName"),
        (json!({"containers": [{"name": 1}]}), "/spec/containers/0/name"),
        (json!({}), "containers"),
        (json!({"containers": [{"name": "a", "ports": [{"containerPort": "metrics"}]}]}), "containerPort"),
    ] {
        let found = wrong(pod);
        assert!(found.contains(said), "{said} is not in {found:?}");
    }
    assert!(schemas.problems(&json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor"})).is_none());
}
