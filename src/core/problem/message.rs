//! What is wrong and what to do, in words for whoever reads a condition, an event or a log.

use super::{ApiKind, ApiProblem, Problem};
use crate::core::template::Fault;

// === impl Problem ===

impl Problem {
    /// What is wrong and what to do, in one or two sentences.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "one arm for each problem")]
    pub fn message(&self) -> String {
        match self {
            Self::Undecodable { kind } => format!(
                "The {kind} does not decode. Compare it with `kubectl explain {}.spec` and apply it again.",
                kind.to_lowercase()
            ),
            Self::InvalidField { field, hint } => format!("{field} {hint}. Correct the spec."),
            Self::InvalidEntry { key, hint } => format!("{} {hint}. Correct the spec.", entry(key)),
            Self::TemplateInvalid { key, fault } => format!(
                "The template of {}{}: {}. Correct the template (docs/templates.md).",
                entry(key),
                line(fault),
                fault.what
            ),
            Self::TemplateFailed { key, fault } => format!(
                "The template of {} does not suit the token that IAM gave{}: {}. Correct the template; what was in the \
                 target is left there.",
                entry(key),
                line(fault),
                fault.what
            ),
            Self::NothingIsLent => "spec.credentialRef is of no use: this operator was started without ClusterIamCredentials. \
                 Use spec.apiKeySecretRef, or ask its admin to set the chart's clusterCredentials.namespaces."
                .into(),
            Self::LendersUnknown => "ClusterIamCredentials could not be listed yet. It is tried again by itself; where it \
                 takes long, ask the operator's admin whether their CRD and role are installed."
                .into(),
            Self::CredentialNotFound { name } => format!(
                "ClusterIamCredential {name} does not exist. Correct spec.credentialRef.name, or ask the cluster's admin to \
                 create it."
            ),
            Self::NamespaceNotAdmitted { name, namespace } => format!(
                "ClusterIamCredential {name} does not admit namespace {namespace}. Ask the cluster's admin to add it to \
                 its allowedNamespaces."
            ),
            Self::Lent { name, why } if why.needs_a_person() => format!(
                "ClusterIamCredential {name} gives no tokens. Ask the cluster's admin, whom `kubectl describe \
                 clusteriamcredential {name}` tells why."
            ),
            Self::Lent { name, .. } => {
                format!("ClusterIamCredential {name} gives no tokens at the moment. It is tried again by itself.")
            }
            Self::NotLockedAway { namespace, allowed } => format!(
                "The operator may not read credentials in namespace {namespace}. Use {allowed}, or add the namespace to the \
                 chart's clusterCredentials.namespaces (--credential-namespaces)."
            ),
            Self::EndpointNotAllowed { endpoint, allowed } => format!(
                "The endpoint {endpoint} is not allowed. Use one of {allowed}, or ask the operator's admin to allow it."
            ),
            Self::SourceNotFound { name } => {
                format!("Secret {name}, which should hold the API key, does not exist. Create it in this namespace.")
            }
            Self::SourceKeyNotFound { name, key } => {
                format!("Secret {name} has no key {key}. Add it, or correct spec.apiKeySecretRef.key.")
            }
            Self::SourceInvalid { name, key, why } => {
                format!("The value at key {key} of Secret {name} {why}. Put an IBM Cloud API key there.")
            }
            Self::ServiceAccountNotFound { name } => {
                format!("ServiceAccount {name} does not exist. Create it in this namespace, or correct spec.serviceAccountRef.")
            }
            Self::TokenRequestRefused { name, code } => format!(
                "The API server gives the operator no token of ServiceAccount {name}{}. Ask the operator's admin to list \
                 it in the chart's serviceAccountTokens.",
                code.map(|code| format!(" (HTTP {code})")).unwrap_or_default()
            ),
            Self::OwnServiceAccount { name } => format!(
                "ServiceAccount {name} is the operator's own, whose tokens it gives to nobody. Name another one in \
                 spec.serviceAccountRef."
            ),
            Self::TargetExists { name, controller: Some(owner) } => {
                format!("Secret {name} exists and is controlled by {owner}. Set spec.target.name to another name.")
            }
            Self::TargetExists { name, controller: None } => format!(
                "Secret {name} exists and was not made by this IamToken. Set spec.target.name to another name, delete \
                 the Secret, or set spec.target.adopt to take it over."
            ),
            Self::TargetConflict { name, winner } => format!(
                "Secret {name} is the target of the older IamToken {winner}. Set spec.target.name to another name."
            ),
            Self::TargetAltered { name } => format!(
                "Secret {name} is changed by somebody else in the very moment in which it is written. Look for an \
                 admission rule that changes Secrets, and exempt this one."
            ),
            Self::TargetFought { name } => format!(
                "Secret {name} is changed or deleted by somebody else again and again, and is restored ever more slowly, \
                 at least every 5 minutes. `kubectl get secret {name} --show-managed-fields -o yaml` names them."
            ),
            Self::Api(problem) => problem.message(),
            Self::Iam(failure) => failure.to_string(),
            Self::Queued => {
                "Many tokens are due at once, and those that expire sooner are refreshed first. It is this one's turn in \
                 a while by itself; where it takes long, start the operator with a larger --concurrency."
                    .into()
            }
            Self::OverBudget { namespace, per_minute } => format!(
                "Namespace {namespace} is over its budget: beside routine refreshes the operator does {per_minute} things a \
                 minute for it, ten minutes' worth at once. It is this one's turn in a while by itself. Find out who \
                 changes IamTokens or Secrets there again and again; where so many changes are meant, start the operator \
                 with a larger --namespace-budget."
            ),
            Self::WorkloadNotFound { workload } => format!(
                "{workload}, which is to be restarted for each token, does not exist. Create it in this namespace, or \
                 correct spec.restart.workloads; it is tried again by itself."
            ),
            Self::RestartDenied { workload, code: Some(code @ (401 | 403)) } => format!(
                "The operator may not restart {workload} (HTTP {code}). Ask the operator's admin to set \
                 workloadRestarts.enabled in the chart, with its name in workloadRestarts.names if names are listed there."
            ),
            Self::RestartDenied { workload, code } => format!(
                "The API server refuses the annotation that restarts {workload}{}. Look for an admission rule that keeps \
                 the operator from it.",
                code.map(|code| format!(" (HTTP {code})")).unwrap_or_default()
            ),
            Self::RestartTooLate { workload, expires_at, until } => format!(
                "{workload} is not restarted before {until}, but the token that its pods read expires at {expires_at}. \
                 Shorten spec.restart.minPeriod."
            ),
        }
    }
}

/// An entry of the target's data, as messages name it.
fn entry(key: &str) -> String {
    format!("spec.target.data[key {key}]")
}

fn line(fault: &Fault) -> String {
    fault.line.map(|line| format!(", line {line}")).unwrap_or_default()
}

// === impl ApiKind, ApiProblem ===

impl ApiKind {
    fn meaning(self) -> &'static str {
        match self {
            Self::Denied => {
                "the operator lacks the permission. Grant it the ClusterRole iam-token-operator in this namespace"
            }
            Self::Terminating => "the namespace is being deleted. Nothing is left to do",
            Self::Immutable => "the Secret is immutable. Delete it, and it is made anew",
            Self::OtherType => {
                "the Secret has another type than spec.target wants (as its type says, or else its keys), and a type \
                 cannot change. Delete the Secret, and it is made anew, or correct spec.target.type and spec.target.data"
            }
            Self::TooLarge => "the Secret would be over 1 MiB. Remove keys that others put there, or from spec.target",
            Self::Refused => {
                "the API server refuses it as spec.target describes it. Correct its labels, annotations, type and keys"
            }
            Self::Conflict => "somebody else wrote it at the same time. It is tried again by itself",
            Self::Unavailable => "the API server gave no usable answer. It is tried again by itself",
        }
    }
}

impl ApiProblem {
    fn message(&self) -> String {
        let code = self.code.map(|code| format!(" (HTTP {code})")).unwrap_or_default();
        let fields = match self.fields.as_slice() {
            [] => String::new(),
            fields => format!(" because of {}", fields.join(", ")),
        };
        format!("Could not {}{fields}{code}: {}.", self.action, self.kind.meaning())
    }
}
