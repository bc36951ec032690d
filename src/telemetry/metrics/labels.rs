//! The labels, and the closed lists that their values are from.

use std::fmt::Write as _;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::api::Reason;
use crate::core::failure::Failure;
use crate::core::watchdog::Watched;
use crate::iam::Grant;

macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// As it stands in labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
                encoder.write_str(self.as_str())
            }
        }
    };
}

values! {
    /// What a look at an `IamToken` came to. The later one of two matters more.
    Outcome {
        /// It was not looked at: this replica stands by, not all is known yet, or a newer copy is under way.
        Skipped = "skipped",
        /// There was nothing to do.
        Rested = "rested",
        /// It waits for its turn, for IAM's answer, or for the time of the next try.
        Waiting = "waiting",
        /// A person must change something first.
        Refused = "refused",
        /// Something was done: the target was looked at, refreshed, rewritten or removed.
        Acted = "acted",
        /// Something was tried and failed.
        Failed = "failed",
    }
}

values! {
    /// How an `IamToken` is. It is ready or not ready, and may be any of the others beside that.
    State {
        /// Its target holds a token that is valid now.
        Ready = "ready",
        /// It does not.
        NotReady = "not_ready",
        /// `spec.suspend` is true.
        Suspended = "suspended",
        /// Something is wrong, and a person must act.
        Stalled = "stalled",
        /// Something is wrong or not done yet, and it is tried again.
        Reconciling = "reconciling",
        /// Its refresh should have been done by now.
        Overdue = "overdue",
    }
}

values! {
    /// What the API server is asked about.
    Resource {
        /// `IamTokens`
        IamTokens = "iamtokens",
        /// The status of `IamTokens`.
        IamTokenStatus = "iamtokens/status",
        /// Secrets
        Secrets = "secrets",
        /// `ClusterIamCredentials`
        ClusterIamCredentials = "clusteriamcredentials",
        /// The status of `ClusterIamCredentials`.
        ClusterIamCredentialStatus = "clusteriamcredentials/status",
        /// Namespaces
        Namespaces = "namespaces",
        /// Events
        Events = "events",
        /// Leases
        Leases = "leases",
        /// TokenReviews
        TokenReviews = "tokenreviews",
        /// SubjectAccessReviews
        SubjectAccessReviews = "subjectaccessreviews",
        /// Anything else.
        Other = "other",
    }
}

values! {
    /// What the API server is asked for: the verbs of RBAC.
    Verb {
        /// One object.
        Get = "get",
        /// All of them.
        List = "list",
        /// Their changes.
        Watch = "watch",
        /// A new one.
        Create = "create",
        /// Another one in its place.
        Update = "update",
        /// A part of it, or server-side apply.
        Patch = "patch",
        /// None.
        Delete = "delete",
        /// Anything else.
        Other = "other",
    }
}

/// What an exchange came to, where it gave a token; else it is the reason that the status names.
const OK: &str = "ok";

/// The reasons that an exchange can fail for.
const REASONS: [Reason; 10] = [
    Reason::IamUnreachable,
    Reason::IamUntrusted,
    Reason::IamUnavailable,
    Reason::IamThrottled,
    Reason::IamRedirected,
    Reason::IamAnswerUnusable,
    Reason::CredentialRejected,
    Reason::ProfileNotEligible,
    Reason::RequestRejected,
    Reason::AccountMismatch,
];

/// All that an exchange can come to.
pub(super) fn results() -> impl Iterator<Item = &'static str> {
    std::iter::once(OK).chain(REASONS.iter().map(|reason| reason.as_str()))
}

/// What this exchange came to.
pub(crate) fn result(result: Result<&Grant, &Failure>) -> &'static str {
    result.map_or_else(|failure| failure.reason().as_str(), |_| OK)
}

/// Of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Exchanged {
    pub(super) endpoint: String,
    pub(super) result: &'static str,
}

/// Of what is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct To {
    pub(super) endpoint: String,
}

/// Of an exemplar: IBM's support asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Transaction {
    pub(super) transaction_id: String,
}

/// Of a look.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct With {
    pub(super) outcome: Outcome,
}

/// Of a request to the API server; the code is 0 where there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Requested {
    pub(super) verb: Verb,
    pub(super) resource: Resource,
    pub(super) code: u16,
}

/// Of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Of {
    pub(super) resource: Resource,
}

/// Of the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    version: &'static str,
    commit: &'static str,
    rustc: &'static str,
}

// === impl Resource ===

impl From<Watched> for Resource {
    fn from(watched: Watched) -> Self {
        match watched {
            Watched::IamTokens => Self::IamTokens,
            Watched::Secrets => Self::Secrets,
            Watched::ClusterIamCredentials => Self::ClusterIamCredentials,
            Watched::Namespaces => Self::Namespaces,
        }
    }
}

// === impl Build ===

impl Build {
    pub(super) fn of_this_program() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), commit: env!("BUILD_COMMIT"), rustc: env!("BUILD_RUSTC") }
    }
}
