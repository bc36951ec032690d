//! The target of a spec with its defaults filled in and its fields checked once more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::problem::Problem;
use crate::api::{DataEntry, DeletionPolicy, Format, IamTokenSpec};

/// The Secret in the `IamToken`'s namespace that the token goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The Secret's name.
    pub name: String,
    /// The Secret's type.
    pub type_: String,
    /// Labels beside the operator's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's own.
    pub annotations: BTreeMap<String, String>,
    /// Take over a Secret that nobody controls.
    pub adopt: bool,
    /// Leave the Secret when it is no longer wanted.
    pub retain: bool,
    /// The keys of its data.
    pub data: Vec<(String, Content)>,
}

/// What is written at one key. As JSON it is part of [`super::plan::Plan::shape`]: where that changes, all targets are
/// written again.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The bare token.
    AccessToken,
    /// `Bearer` and the token.
    Bearer,
    /// A line for `curl -H @file`.
    AuthorizationHeader,
    /// Seconds since 1970.
    Expiration,
    /// RFC 3339.
    ExpiresAt,
    /// As IAM answers it.
    Json,
    /// What pulls images from these registries.
    DockerConfigJson(Vec<String>),
}

const DEFAULT_TYPE: &str = "Opaque";
const DEFAULT_DATA: [(&str, Content); 3] =
    [("token", Content::AccessToken), ("authorization", Content::Bearer), ("expiration", Content::Expiration)];

/// The type and the key that the kubelet pulls images with (Kubernetes documentation, "Secret", types).
const PULL_TYPE: &str = "kubernetes.io/dockerconfigjson";
const PULL_KEY: &str = ".dockerconfigjson";

// === impl Target ===

impl Target {
    /// That of the `IamToken` called `name`.
    ///
    /// # Errors
    /// The [`Problem`] that a person has to mend in the spec.
    pub fn new(name: &str, spec: &IamTokenSpec) -> Result<Self, Problem> {
        let given = spec.target.clone().unwrap_or_default();
        let data = data(given.data)?;
        Ok(Self {
            name: target_name(name, spec),
            type_: type_(given.type_, &data)?,
            labels: given.labels.unwrap_or_default(),
            annotations: given.annotations.unwrap_or_default(),
            adopt: given.adopt.unwrap_or(false),
            retain: given.deletion_policy.unwrap_or_default() == DeletionPolicy::Retain,
            data,
        })
    }
}

/// The target's name, whatever else is wrong with the spec of the `IamToken` called `name`.
#[must_use]
pub fn target_name(name: &str, spec: &IamTokenSpec) -> String {
    let given = spec.target.as_ref().and_then(|target| target.name.as_deref());
    given.unwrap_or(name).to_owned()
}

fn data(given: Option<Vec<DataEntry>>) -> Result<Vec<(String, Content)>, Problem> {
    let Some(entries) = given else {
        return Ok(DEFAULT_DATA.into_iter().map(|(key, content)| (key.to_owned(), content)).collect());
    };
    let data = entries.into_iter().map(|entry| Ok((entry.key, content(entry.format, entry.registries)?)));
    let data = data.collect::<Result<Vec<_>, Problem>>()?;
    let distinct: BTreeSet<&String> = data.iter().map(|(key, _)| key).collect();
    if data.is_empty() || distinct.len() != data.len() {
        return Err(invalid("spec.target.data", "must have at least one key, and each key once"));
    }
    Ok(data)
}

fn content(format: Format, registries: Option<Vec<String>>) -> Result<Content, Problem> {
    let refused = |hint| Err(invalid("spec.target.data", hint));
    Ok(match (format, registries) {
        (Format::DockerConfigJson, Some(hosts)) if !hosts.is_empty() && hosts.iter().all(|host| is_registry(host)) => {
            Content::DockerConfigJson(hosts)
        }
        (Format::DockerConfigJson, _) => {
            return refused(
                "with the format DockerConfigJson needs registries: host names such as us.icr.io, without https://",
            );
        }
        (_, Some(_)) => return refused("has registries with a format that takes none: use DockerConfigJson"),
        (Format::AccessToken, None) => Content::AccessToken,
        (Format::Bearer, None) => Content::Bearer,
        (Format::AuthorizationHeader, None) => Content::AuthorizationHeader,
        (Format::Expiration, None) => Content::Expiration,
        (Format::ExpiresAt, None) => Content::ExpiresAt,
        (Format::Json, None) => Content::Json,
    })
}

/// A host name in lower case, with or without a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let plain = host.chars().all(|c| ends(c) || c == '.' || c == '-');
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits && port.parse::<u16>().is_ok_and(|port| port > 0);
    plain && port && host.starts_with(ends) && host.ends_with(ends)
}

/// Only a Secret of the right type pulls images, and the API server wants its key there.
fn type_(given: Option<String>, data: &[(String, Content)]) -> Result<String, Problem> {
    let pulls = data.iter().any(|(key, content)| key == PULL_KEY && matches!(content, Content::DockerConfigJson(_)));
    match given {
        None if pulls => Ok(PULL_TYPE.to_owned()),
        None => Ok(DEFAULT_TYPE.to_owned()),
        Some(type_) if (type_ == PULL_TYPE) == pulls => Ok(type_),
        Some(_) if pulls => Err(invalid(
            "spec.target.type",
            "must be kubernetes.io/dockerconfigjson for the key .dockerconfigjson; leave it out, or use another key",
        )),
        Some(_) => Err(invalid(
            "spec.target.type",
            "kubernetes.io/dockerconfigjson needs the key .dockerconfigjson with the format DockerConfigJson in spec.target.data",
        )),
    }
}

fn invalid(field: &'static str, hint: &'static str) -> Problem {
    Problem::InvalidField { field, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn new(target: &Value) -> Result<Target, Problem> {
        let spec = json!({"apiKeySecretRef": {"name": "key"}, "target": target});
        Target::new("hpcs", &serde_json::from_value(spec).unwrap())
    }

    fn pull(key: &str, registries: &Value) -> Value {
        json!({"key": key, "format": "DockerConfigJson", "registries": registries})
    }

    #[test]
    fn a_secret_that_pulls_images_has_its_type() {
        let icr = json!(["us.icr.io", "localhost:5000"]);
        for (target, type_) in [
            (json!({"data": [pull(".dockerconfigjson", &icr)]}), PULL_TYPE),
            (json!({"data": [pull(".dockerconfigjson", &icr)], "type": PULL_TYPE}), PULL_TYPE),
            (json!({"data": [pull("config.json", &icr)]}), "Opaque"),
            (json!({"data": [pull("config.json", &icr)], "type": "example.com/own"}), "example.com/own"),
            (json!({}), "Opaque"),
        ] {
            assert_eq!(new(&target).unwrap().type_, type_, "{target}");
        }
        for target in [
            json!({"data": [pull(".dockerconfigjson", &icr)], "type": "Opaque"}),
            json!({"data": [pull("config.json", &icr)], "type": PULL_TYPE}),
            json!({"type": PULL_TYPE}),
        ] {
            assert!(matches!(new(&target), Err(Problem::InvalidField { field: "spec.target.type", .. })), "{target}");
        }
    }

    #[test]
    fn registries_are_host_names_and_belong_to_one_format() {
        let hosts = [
            "",
            "https://us.icr.io",
            "us.icr.io/namespace",
            "US.icr.io",
            "us.icr.io:",
            "a:0",
            "a:65536",
            "a:+443",
            "a:000443",
            "-a",
            "a.",
            "a b",
        ];
        let bad = hosts.map(|host| pull("c", &json!(["us.icr.io", host])));
        let others = [
            pull("c", &json!([])),
            pull("c", &json!(null)),
            json!({"key": "c", "format": "Json", "registries": ["a"]}),
        ];
        for entry in bad.into_iter().chain(others) {
            let refused = new(&json!({"data": [entry.clone()]}));
            assert!(matches!(refused, Err(Problem::InvalidField { field: "spec.target.data", .. })), "{entry}");
        }
    }

    /// A change here would have all targets written again by a new version.
    #[test]
    fn what_is_digested_of_the_first_formats_stays_the_same() {
        let data =
            new(&json!({"data": [{"key": "a", "format": "Bearer"}, {"key": "b", "format": "Json"}]})).unwrap().data;
        assert_eq!(serde_json::to_string(&data).unwrap(), r#"[["a","Bearer"],["b","Json"]]"#);
    }
}
