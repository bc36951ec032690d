//! A token and a plan -> the target Secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::digest;
use super::plan::Plan;
use super::problem::Problem;
use super::record::{Owner, Record};
use super::schedule::Life;
use super::short::Short;
use super::target::Content;
use super::template::{Facts, Renderer};
use crate::api::{MANAGED, RECORD};

/// What must be true of the Secret in the cluster at the moment of the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It is this one in this state.
    Exactly {
        /// The Secret's uid.
        uid: Short,
        /// Its resourceVersion.
        version: Short,
    },
}

/// A resourceVersion that no Secret can have (etcd's first revision is 1 and holds none): an apply that carries it can
/// only create.
const NEVER: &str = "1";

/// A word that is shorter, in bytes, is no token.
const SHORTEST: usize = 16;

/// How many words of a text are compared with the record's digest.
const MOST_WORDS: usize = 16;

/// Who pulls images with an access token (IBM Cloud Container Registry documentation, "Accessing Container Registry").
const PULL_USER: &str = "iambearer";

/// The whole of what the operator applies. Never to be logged: it holds the token.
///
/// # Errors
/// [`Problem::TemplateFailed`], where a template does not suit the token.
pub fn secret(plan: &Plan, record: &Record, token: &SecretString, expect: &Expect) -> Result<Secret, Problem> {
    let owner = &record.owner;
    let target = &plan.target;
    let mut labels = target.labels.clone();
    labels.insert(MANAGED.into(), "true".into());
    let mut annotations = target.annotations.clone();
    annotations.insert(RECORD.into(), serde_json::to_string(record).unwrap_or_default());
    let (uid, version) = match expect {
        Expect::Absent => (None, NEVER.to_owned()),
        Expect::Exactly { uid, version } => (Some(uid.to_string()), version.to_string()),
    };
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(target.name.clone()),
            namespace: Some(owner.namespace.to_string()),
            uid,
            resource_version: Some(version),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: (!target.retain).then(|| vec![owner_reference(owner)]),
            ..ObjectMeta::default()
        },
        type_: Some(target.type_.clone()),
        data: Some(data(plan, record, token)?),
        ..Secret::default()
    })
}

/// Templates come last: they share the room that the others leave.
fn data(plan: &Plan, record: &Record, token: &SecretString) -> Result<BTreeMap<String, ByteString>, Problem> {
    let mut data = BTreeMap::new();
    let mut templates = vec![];
    for (key, content) in &plan.target.data {
        match value(content, token, record.life()) {
            Ok(value) => _ = data.insert(key.clone(), ByteString(value)),
            Err(template) => templates.push((key, template)),
        }
    }
    if templates.is_empty() {
        return Ok(data);
    }
    let mut renderer = Renderer::new(&Facts {
        token: token.expose_secret(),
        life: record.life(),
        identity: record.identity.as_ref(),
        namespace: &record.owner.namespace,
        name: &record.owner.name,
    });
    renderer.makes_room_for(data.values().map(|value| value.0.len()).sum());
    for (key, source) in templates {
        let failed = |fault| Problem::TemplateFailed { key: key.clone(), fault };
        data.insert(key.clone(), ByteString(renderer.render(source).map_err(failed)?));
    }
    Ok(data)
}

/// The token in a target's data, if it is still the one that its record was written for.
#[must_use]
pub fn recover(uid: &str, record: &Record, data: &BTreeMap<String, SecretString>) -> Option<SecretString> {
    let candidates = data.values().filter_map(|value| token_in(value.expose_secret()));
    let is_it = |token: &SecretString| digest::of_secret(uid, token.expose_secret()) == record.token;
    candidates.into_iter().find(is_it).or_else(|| {
        data.values().flat_map(|value| tokens_within(value.expose_secret())).map(SecretString::from).find(is_it)
    })
}

/// What could be a token within a text that a template wrote: the longest words of three parts, as JSON Web Tokens are.
fn tokens_within(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mut words: Vec<&str> = text
        .split(|c| !word(c))
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.len() >= SHORTEST && word.bytes().filter(|byte| *byte == b'.').count() == 2)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(MOST_WORDS);
    words
}

/// The token in a value of any [`Content`] that has one.
fn token_in(value: &str) -> Option<SecretString> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Json {
        Answer { access_token: SecretString },
        DockerConfig { auths: BTreeMap<String, Login> },
    }
    #[derive(Deserialize)]
    struct Login {
        password: SecretString,
    }
    if value.starts_with('{') {
        return match serde_json::from_str(value).ok()? {
            Json::Answer { access_token } => Some(access_token),
            Json::DockerConfig { auths } => auths.into_values().next().map(|login| login.password),
        };
    }
    let header = value.strip_prefix("Authorization: ").and_then(|line| line.strip_suffix('\n'));
    let value = header.unwrap_or(value);
    Some(SecretString::from(value.strip_prefix("Bearer ").unwrap_or(value)))
}

fn owner_reference(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: "iamtoken.dev/v1alpha1".into(),
        kind: "IamToken".into(),
        name: owner.name.to_string(),
        uid: owner.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// What the content is, or the template that says it.
fn value<'a>(content: &'a Content, token: &SecretString, life: Life) -> Result<Vec<u8>, &'a str> {
    let token = token.expose_secret();
    let expiration = life.expires_at().as_second();
    Ok(match content {
        Content::AccessToken => token.as_bytes().to_vec(),
        Content::Bearer => format!("Bearer {token}").into_bytes(),
        Content::AuthorizationHeader => format!("Authorization: Bearer {token}\n").into_bytes(),
        Content::Expiration => expiration.to_string().into_bytes(),
        Content::ExpiresAt => life.expires_at().to_string().into_bytes(),
        Content::DockerConfigJson(registries) => docker_config(registries, token).into_bytes(),
        Content::Template(source) => return Err(source),
        Content::Json => json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": life.lasts.as_secs(),
            "expiration": expiration,
        })
        .to_string()
        .into_bytes(),
    })
}

/// `~/.docker/config.json` with a login for each registry.
fn docker_config(registries: &[String], token: &str) -> String {
    let auth = Zeroizing::new(format!("{PULL_USER}:{token}"));
    let login = json!({"username": PULL_USER, "password": token, "auth": STANDARD.encode(&*auth)});
    let auths: BTreeMap<_, _> = registries.iter().map(|registry| (registry, &login)).collect();
    json!({"auths": auths}).to_string()
}

#[cfg(test)]
mod tests;
