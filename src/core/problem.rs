//! Everything that can be wrong, in words that name the next action.

mod message;

use k8s_openapi::jiff::Timestamp;

use super::credential::KeyProblem;
use super::failure::Failure;
use super::schedule::Retry;
use super::template::Fault;
use crate::api::Reason;

/// Why a target is not, or will not stay, as its `IamToken` wants it.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The object in the API server is none of its kind in this version.
    Undecodable {
        /// Its kind.
        kind: &'static str,
    },
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
    /// The namespace has used up its budget.
    OverBudget {
        /// The namespace.
        namespace: String,
        /// How many acts it has a minute.
        per_minute: u32,
    },
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
    /// IAM's id of the request that came to it, which its support asks for.
    #[must_use]
    pub fn transaction_id(&self) -> Option<&str> {
        match self {
            Self::Iam(failure) => failure.request_id.as_deref(),
            _ => None,
        }
    }

    /// The reason that conditions and events carry.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Undecodable { .. }
            | Self::InvalidField { .. }
            | Self::InvalidEntry { .. }
            | Self::NotLockedAway { .. } => Reason::InvalidSpec,
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
            Self::OverBudget { .. } => Reason::NamespaceOverBudget,
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
            Self::Queued | Self::OverBudget { .. } | Self::LendersUnknown | Self::WorkloadNotFound { .. } => false,
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
            Self::Queued | Self::OverBudget { .. } | Self::LendersUnknown => Retry::Soon,
            // ServiceAccounts, roles and workloads are not watched.
            Self::ServiceAccountNotFound { .. }
            | Self::TokenRequestRefused { .. }
            | Self::WorkloadNotFound { .. }
            | Self::RestartDenied { .. } => Retry::EverSlower,
            _ => Retry::OnChange,
        }
    }
}

// === impl ApiKind ===

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
}

#[cfg(test)]
mod tests;
