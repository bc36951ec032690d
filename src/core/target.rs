//! The target of a spec with its defaults filled in and its fields checked once more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::problem::Problem;
use super::template;
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
    /// What this template says of the token.
    Template(String),
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
    if entries.is_empty() {
        return Err(invalid("spec.target.data", "must have at least one key"));
    }
    let mut data = Vec::with_capacity(entries.len());
    let mut keys = BTreeSet::new();
    for entry in entries {
        let key = entry.key.clone();
        let refused = |hint| Problem::InvalidEntry { key: key.clone(), hint };
        if !keys.insert(key.clone()) {
            return Err(refused("is given twice: a key stands once in spec.target.data"));
        }
        let content = content(entry).map_err(refused)?;
        data.push((key, content));
    }
    let templates = data.iter().filter_map(|(key, content)| match content {
        Content::Template(source) => Some((key.as_str(), source.as_str())),
        _ => None,
    });
    template::try_out(templates).map_err(|(key, fault)| Problem::TemplateInvalid { key, fault })?;
    Ok(data)
}

/// What is to be written, or what must be corrected.
fn content(entry: DataEntry) -> Result<Content, &'static str> {
    let format = match (entry.format, entry.template) {
        (Some(format), None) => format,
        (None, Some(template)) if entry.registries.is_none() => return Ok(Content::Template(template)),
        (None, Some(_)) => return Err("has registries with a template, which takes none"),
        _ => return Err("must have exactly one of format and template"),
    };
    Ok(match (format, entry.registries) {
        (Format::DockerConfigJson, Some(hosts)) if !hosts.is_empty() && hosts.iter().all(|host| is_registry(host)) => {
            Content::DockerConfigJson(hosts)
        }
        (Format::DockerConfigJson, _) => {
            return Err(
                "with the format DockerConfigJson needs registries: host names such as us.icr.io, without https://",
            );
        }
        (_, Some(_)) => return Err("has registries with a format that takes none: use DockerConfigJson"),
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
            assert!(matches!(refused, Err(Problem::InvalidEntry { key, .. }) if key == "c"), "{entry}");
        }
    }

    /// A change here would have all targets written again by a new version.
    #[test]
    fn what_is_digested_of_each_format_stays_the_same() {
        for (rest, digested) in [
            (json!({"format": "AccessToken"}), r#""AccessToken""#),
            (json!({"format": "Bearer"}), r#""Bearer""#),
            (json!({"format": "AuthorizationHeader"}), r#""AuthorizationHeader""#),
            (json!({"format": "Expiration"}), r#""Expiration""#),
            (json!({"format": "ExpiresAt"}), r#""ExpiresAt""#),
            (json!({"format": "Json"}), r#""Json""#),
            (json!({"format": "DockerConfigJson", "registries": ["b", "a"]}), r#"{"DockerConfigJson":["b","a"]}"#),
            (json!({"template": "{{ expiration }}\n"}), r#"{"Template":"{{ expiration }}\n"}"#),
        ] {
            let mut entry = rest.clone();
            entry["key"] = json!("a");
            let data = new(&json!({"data": [entry]})).unwrap().data;
            assert_eq!(serde_json::to_string(&data).unwrap(), format!(r#"[["a",{digested}]]"#), "{rest}");
        }
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_named_by_its_key() {
        let format = json!({"key": "t", "format": "Json"});
        for (entries, key) in [
            (json!([format, {"key": "u", "format": "Json", "template": "x"}]), "u"),
            (json!([format, {"key": "u"}]), "u"),
            (json!([{"key": "u", "template": "x", "registries": ["a"]}, format]), "u"),
            (json!([format, format]), "t"),
        ] {
            let refused = new(&json!({"data": entries})).unwrap_err();
            assert!(refused.message().starts_with(&format!("spec.target.data[key {key}] ")), "{}", refused.message());
        }
    }

    #[test]
    fn a_template_that_is_none_is_refused_with_its_key_and_line() {
        let entries =
            json!([{"key": "a", "template": "{{ expiration }}"}, {"key": "hpcs.env", "template": "\n{{ tokn }}"}]);
        let message = new(&json!({"data": entries})).unwrap_err().message();
        assert!(
            message.starts_with("The template of spec.target.data[key hpcs.env], line 2: there is no variable tokn"),
            "{message}"
        );
        let pull = json!({"key": ".dockerconfigjson", "template": "{}"});
        assert_eq!(new(&json!({"data": [pull]})).unwrap().type_, "Opaque", "a template is no login");
    }
}
