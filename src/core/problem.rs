//! Everything that can be wrong, in words that name the next action.

use k8s_openapi::jiff::Timestamp;

use super::credential::KeyProblem;
use super::failure::Failure;
use super::schedule::Retry;
use super::template::Fault;
use crate::api::Reason;

/// Why a target is not, or will not stay, as its `IamToken` wants it.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The object in the API server is no `IamToken` of this version.
    Undecodable,
    /// A field that the CRD should have refused.
    InvalidField {
        /// Its path.
        field: &'static str,
        /// What it must be, as the rest of a sentence.
        hint: &'static str,
    },
    /// An entry of `spec.target.data` that the CRD should have refused.
    InvalidEntry {
        /// Its key.
        key: String,
        /// What it must be, as the rest of a sentence.
        hint: &'static str,
    },
    /// A template that no token can be written with.
    TemplateInvalid {
        /// The key of its entry.
        key: String,
        /// What is wrong, and in which line.
        fault: Fault,
    },
    /// A template that this token cannot be written with.
    TemplateFailed {
        /// The key of its entry.
        key: String,
        /// What is wrong, and in which line.
        fault: Fault,
    },
    /// A `credentialRef`, where the operator was not started to lend credentials.
    NothingIsLent,
    /// What is lent is not known yet, or cannot be listed.
    LendersUnknown,
    /// No such `ClusterIamCredential`.
    CredentialNotFound {
        /// Its name.
        name: String,
    },
    /// The `ClusterIamCredential` does not admit the `IamToken`'s namespace.
    NamespaceNotAdmitted {
        /// Its name.
        name: String,
        /// The namespace.
        namespace: String,
    },
    /// As the users of a `ClusterIamCredential` are told of a problem with it.
    Lent {
        /// Its name.
        name: String,
        /// What its admin is told.
        why: Box<Problem>,
    },
    /// A `ClusterIamCredential` names a namespace that the operator was not started to read credentials in.
    NotLockedAway {
        /// The namespace.
        namespace: String,
        /// Those that it may name.
        allowed: String,
    },
    /// Not on the admin's list.
    EndpointNotAllowed {
        /// As the spec has it.
        endpoint: String,
        /// The admin's list.
        allowed: String,
    },
    /// No such Secret.
    SourceNotFound {
        /// The Secret's name.
        name: String,
    },
    /// No such key in the Secret.
    SourceKeyNotFound {
        /// The Secret's name.
        name: String,
        /// The key.
        key: String,
    },
    /// No API key there.
    SourceInvalid {
        /// The Secret's name.
        name: String,
        /// The key.
        key: String,
        /// What is there instead.
        why: KeyProblem,
    },
    /// No such ServiceAccount.
    ServiceAccountNotFound {
        /// Its name.
        name: String,
    },
    /// The operator may not ask for its tokens.
    TokenRequestRefused {
        /// The ServiceAccount's name.
        name: String,
        /// The HTTP status, if there was an answer.
        code: Option<u16>,
    },
    /// The ServiceAccount that the operator itself runs as.
    OwnServiceAccount {
        /// Its name.
        name: String,
    },
    /// The target belongs to somebody else.
    TargetExists {
        /// The Secret's name.
        name: String,
        /// Its controller as `kind/name`, if it has one.
        controller: Option<String>,
    },
    /// An older `IamToken` has the same target.
    TargetConflict {
        /// The Secret's name.
        name: String,
        /// The older `IamToken`.
        winner: String,
    },
    /// Somebody changes the target whenever it is written.
    TargetAltered {
        /// The Secret's name.
        name: String,
    },
    /// Somebody changes or deletes the target again and again.
    TargetFought {
        /// The Secret's name.
        name: String,
    },
    /// A refused write, or one that did not come through.
    Api(ApiProblem),
    /// IAM gave no usable token.
    Iam(Failure),
    /// Others go first.
    Queued,
    /// No such workload.
    WorkloadNotFound {
        /// Its kind and name.
        workload: String,
    },
    /// The operator may not restart it.
    RestartDenied {
        /// Its kind and name.
        workload: String,
        /// The HTTP status, if there was an answer.
        code: Option<u16>,
    },
    /// Its pods must go on with a token until after that has expired.
    RestartTooLate {
        /// Its kind and name.
        workload: String,
        /// When that token expires.
        expires_at: Timestamp,
        /// When the workload may be restarted.
        until: Timestamp,
    },
}

/// Why a request to the API server failed.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiProblem {
    /// What was tried, such as `write Secret hpcs-token`.
    pub action: String,
    /// What it means.
    pub kind: ApiKind,
    /// The HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// The fields that the refusal is about, such as `metadata.labels`.
    pub fields: Vec<String>,
}

/// What an API server's refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKind {
    /// 403 by RBAC.
    Denied,
    /// 403 because the namespace is being deleted.
    Terminating,
    /// The Secret is immutable.
    Immutable,
    /// The Secret has another type, which cannot change.
    OtherType,
    /// Over 1 MiB.
    TooLarge,
    /// Another 4xx.
    Refused,
    /// Somebody else wrote at the same time.
    Conflict,
    /// 5xx, 429, time-out, no connection.
    Unavailable,
}

// === impl Problem ===

impl Problem {
    /// The reason that conditions and events carry.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Undecodable | Self::InvalidField { .. } | Self::InvalidEntry { .. } | Self::NotLockedAway { .. } => {
                Reason::InvalidSpec
            }
            Self::TemplateInvalid { .. } => Reason::TemplateInvalid,
            Self::TemplateFailed { .. } => Reason::TemplateFailed,
            Self::NothingIsLent => Reason::CredentialUnsupported,
            Self::LendersUnknown => Reason::ApiServerUnavailable,
            Self::CredentialNotFound { .. } => Reason::CredentialNotFound,
            Self::NamespaceNotAdmitted { .. } => Reason::NamespaceNotAdmitted,
            Self::Lent { why, .. } if why.needs_a_person() => Reason::CredentialNotReady,
            Self::Lent { why, .. } => why.reason(),
            Self::EndpointNotAllowed { .. } => Reason::EndpointNotAllowed,
            Self::SourceNotFound { .. } => Reason::SourceNotFound,
            Self::SourceKeyNotFound { .. } => Reason::SourceKeyNotFound,
            Self::SourceInvalid { .. } => Reason::SourceInvalid,
            Self::ServiceAccountNotFound { .. } => Reason::ServiceAccountNotFound,
            Self::TokenRequestRefused { .. } | Self::OwnServiceAccount { .. } => Reason::TokenRequestRefused,
            Self::TargetExists { .. } => Reason::TargetExists,
            Self::TargetConflict { .. } => Reason::TargetConflict,
            Self::TargetAltered { .. } | Self::TargetFought { .. } => Reason::TargetAltered,
            Self::Api(problem) => problem.kind.reason(),
            Self::Iam(failure) => failure.reason(),
            Self::Queued => Reason::Queued,
            Self::WorkloadNotFound { .. } => Reason::WorkloadNotFound,
            Self::RestartDenied { .. } => Reason::RestartDenied,
            Self::RestartTooLate { .. } => Reason::RestartTooLate,
        }
    }

    /// Whether a person must act (`Stalled`) or it should pass by itself (`Reconciling`).
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Api(problem) => !matches!(problem.kind, ApiKind::Conflict | ApiKind::Unavailable),
            Self::Iam(failure) => failure.needs_a_person(),
            Self::Lent { why, .. } => why.needs_a_person(),
            // What is installed together may come in any order.
            Self::Queued | Self::LendersUnknown | Self::WorkloadNotFound { .. } => false,
            _ => true,
        }
    }

    /// How to go on.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Api(problem) => match problem.kind {
                ApiKind::Conflict | ApiKind::Unavailable => Retry::Soon,
                // An API server that has just started refuses what it will allow in a moment.
                ApiKind::Denied => Retry::EverSlower,
                ApiKind::Terminating | ApiKind::Refused => Retry::Slowly,
                ApiKind::Immutable | ApiKind::OtherType | ApiKind::TooLarge => Retry::OnChange,
            },
            Self::Iam(failure) => failure.retry(),
            Self::Lent { why, .. } => why.retry(),
            Self::Queued | Self::LendersUnknown => Retry::Soon,
            // ServiceAccounts, roles and workloads are not watched.
            Self::ServiceAccountNotFound { .. }
            | Self::TokenRequestRefused { .. }
            | Self::WorkloadNotFound { .. }
            | Self::RestartDenied { .. } => Retry::EverSlower,
            _ => Retry::OnChange,
        }
    }

    /// What is wrong and what to do, in one or two sentences.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Undecodable => {
                "The IamToken does not decode. Compare it with `kubectl explain iamtoken.spec` and apply it again."
                    .into()
            }
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
    fn reason(self) -> Reason {
        match self {
            Self::Denied => Reason::AccessDenied,
            Self::Terminating => Reason::NamespaceTerminating,
            Self::Immutable => Reason::TargetImmutable,
            Self::OtherType => Reason::TargetTypeMismatch,
            Self::TooLarge => Reason::TargetTooLarge,
            Self::Refused => Reason::TargetInvalid,
            Self::Conflict | Self::Unavailable => Reason::ApiServerUnavailable,
        }
    }

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

#[cfg(test)]
mod tests;
