//! What a request that failed means to whoever made it.

use std::fmt;
use std::time::Duration;

use kube::core::Status;

use super::causes;
use crate::cli::text::clean;

/// What was asked of the API server.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Asked<'a> {
    /// As RBAC names it.
    pub verb: &'static str,
    /// A kind, in the plural where many were asked for.
    pub what: &'static str,
    /// The object's name, if one was asked for.
    pub name: Option<&'a str>,
    /// `None` where it was all of them.
    pub namespace: Option<&'a str>,
}

/// Why a request failed.
#[derive(Debug)]
pub(in crate::cli) struct Refusal {
    /// The HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// What went wrong and what to do.
    pub text: String,
}

// === impl Refusal ===

impl Refusal {
    /// An answer that is none, or no answer.
    pub(super) fn of(asked: &Asked<'_>, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self { code: Some(status.code), text: refusal(asked, status) },
            error => Self { code: None, text: failure(error) },
        }
    }

    /// No answer within this time.
    pub(super) fn silence(waited: Duration) -> Self {
        let text = format!("the API server did not answer within {} s. Check the way to it.", waited.as_secs());
        Self { code: None, text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn failure(error: &kube::Error) -> String {
    match error {
        // Its text could hold a part of the answer, and the answer a Secret.
        kube::Error::SerdeError(_) => {
            "the answer of the API server can't be read. Check that it is one, and its version.".into()
        }
        kube::Error::Auth(error) => {
            format!("the kubeconfig's credentials can't be used: {}. Log in again.", causes(error))
        }
        error => format!("the API server can't be reached: {}. Check the kubeconfig and the way to it.", causes(error)),
    }
}

fn refusal(asked: &Asked<'_>, status: &Status) -> String {
    let Asked { verb, what, name, namespace } = asked;
    let object = name.map(|name| format!(" {name}")).unwrap_or_default();
    let place = namespace.map_or_else(|| " in all namespaces".into(), |namespace| format!(" in namespace {namespace}"));
    match status.code {
        401 => "the API server doesn't know you (HTTP 401). Log in again.".into(),
        403 => format!("you may not {verb} {what}{object}{place}. Ask an admin of it for {}.", role(asked)),
        404 if what.starts_with("IamToken") && !is_named(status) => {
            "the cluster has no IamTokens: the CRD iamtokens.iamtoken.dev is not installed. Install the operator \
             (docs/install.md)."
                .into()
        }
        404 => format!("{what}{object} does not exist{place}."),
        code => format!("could not {verb} {what}{object}{place} (HTTP {code}): {}", clean(&status.message)),
    }
}

/// The ClusterRole that grants it, if the chart's roles are aggregated to those of Kubernetes.
fn role(asked: &Asked<'_>) -> String {
    let role = if asked.verb == "patch" || asked.what.starts_with("Secret") { "edit" } else { "view" };
    match asked.namespace {
        Some(namespace) => format!("the ClusterRole {role} in namespace {namespace}"),
        None => format!("the ClusterRole {role} in all namespaces, or name one with -n"),
    }
}

/// Whether the API server speaks of an object: of a kind that it doesn't serve it can't.
fn is_named(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const GET: Asked<'_> = Asked { verb: "get", what: "IamToken", name: Some("hpcs"), namespace: Some("payments") };

    fn of(asked: &Asked<'_>, code: u16, details: &Value) -> String {
        let status = json!({"status": "Failure", "code": code, "message": "it is so\u{1b}", "details": details});
        Refusal::of(asked, &kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))).text
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let all = Asked { verb: "list", what: "IamTokens", name: None, namespace: None };
        let patch = Asked { verb: "patch", ..GET };
        let secret = Asked { what: "Secret", ..GET };
        for (asked, code, details, expected) in [
            (&GET, 401, json!({}), "Log in again"),
            (
                &GET,
                403,
                json!({}),
                "you may not get IamToken hpcs in namespace payments. Ask an admin of it for the ClusterRole view",
            ),
            (&patch, 403, json!({}), "the ClusterRole edit in namespace payments"),
            (&secret, 403, json!({}), "the ClusterRole edit in namespace payments"),
            (
                &all,
                403,
                json!({}),
                "may not list IamTokens in all namespaces. Ask an admin of it for the ClusterRole view in all namespaces, or name one with -n",
            ),
            (&all, 404, json!({}), "the CRD iamtokens.iamtoken.dev is not installed"),
            (&GET, 404, json!({"name": "hpcs"}), "IamToken hpcs does not exist in namespace payments"),
            (&secret, 404, json!({}), "Secret hpcs does not exist in namespace payments"),
            (&GET, 422, json!({}), "(HTTP 422): it is so?"),
        ] {
            let text = of(asked, code, &details);
            assert!(text.contains(expected), "{text:?} lacks {expected:?}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_shown() {
        let error = serde_json::from_str::<u8>("\"FAKE-secret\"").unwrap_err();
        let text = Refusal::of(&GET, &kube::Error::SerdeError(error)).text;
        assert!(!text.contains("FAKE"), "{text}");
    }
}
