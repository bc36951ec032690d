/// True exactly while the target holds a token that is valid now.
pub const CONDITION_READY: &str = "Ready";
/// Present only while True: something is not as it should be, and the operator will try again by itself.
pub const CONDITION_RECONCILING: &str = "Reconciling";
/// Present only while True: something is not as it should be, and a person must act.
pub const CONDITION_STALLED: &str = "Stalled";
/// Present only while True: the API key is about to be of no more use, or is already.
pub const CONDITION_API_KEY_AT_RISK: &str = "ApiKeyAtRisk";

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The closed list of condition and event reasons.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it stands in conditions and events.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The target holds a valid token and nothing is wrong.
    TokenValid,
    /// The target holds a valid token, but its next refresh fails; Reconciling or Stalled says why.
    RefreshFailing,
    /// spec.suspend is true.
    Suspended,
    /// The first token, or the one after it, is being fetched.
    Refreshing,

    /// The IamToken cannot be decoded, or a field of its spec makes no sense.
    InvalidSpec,
    /// A template in spec.target.data does not parse, or uses what there is not.
    TemplateInvalid,
    /// A template in spec.target.data cannot be filled in with the token that IAM gave.
    TemplateFailed,
    /// The spec names a ClusterIamCredential, and the operator was not started for those.
    CredentialUnsupported,
    /// The ClusterIamCredential does not exist.
    CredentialNotFound,
    /// The ClusterIamCredential does not admit the namespace.
    NamespaceNotAdmitted,
    /// Something is wrong with the ClusterIamCredential that its admin must mend.
    CredentialNotReady,
    /// Of a ClusterIamCredential: nothing is known to be wrong with it.
    CredentialUsable,
    /// The endpoint is not on the operator's list.
    EndpointNotAllowed,
    /// The source Secret does not exist.
    SourceNotFound,
    /// The source Secret has no such key.
    SourceKeyNotFound,
    /// The value at the key is not an API key.
    SourceInvalid,
    /// The ServiceAccount does not exist.
    ServiceAccountNotFound,
    /// The API server gives the operator no token of the ServiceAccount, or it is the operator's own.
    TokenRequestRefused,
    /// The API server refuses the operator access to a Secret.
    AccessDenied,

    /// The target exists and belongs to somebody else.
    TargetExists,
    /// An older IamToken has the same target.
    TargetConflict,
    /// Somebody else changes the target as it is written, or again and again.
    TargetAltered,
    /// The target is immutable.
    TargetImmutable,
    /// The target has another type.
    TargetTypeMismatch,
    /// The target would be larger than a Secret may be.
    TargetTooLarge,
    /// The API server refuses the target as it would be written.
    TargetInvalid,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The API server did not answer, or answered with an error that should pass.
    ApiServerUnavailable,

    /// IAM could not be reached.
    IamUnreachable,
    /// IAM's certificate is not trusted.
    IamUntrusted,
    /// IAM answered with an error that should pass.
    IamUnavailable,
    /// IAM says that too many tokens were asked for.
    IamThrottled,
    /// The operator itself holds back: this credential was exchanged many times in a row.
    ExchangesPaced,
    /// Others whose tokens expire sooner are refreshed first.
    Queued,
    /// Much was changed in the namespace, and what the operator does for it in a minute is used up.
    NamespaceOverBudget,
    /// IAM answered with a redirect, which is never followed.
    IamRedirected,
    /// IAM answered with something that is no usable token.
    IamAnswerUnusable,
    /// IAM rejects the API key, or the ServiceAccount's token.
    CredentialRejected,
    /// The trusted profile does not admit the credential.
    ProfileNotEligible,
    /// IAM rejects the request itself.
    RequestRejected,
    /// The token is of another account than spec.accountId.
    AccountMismatch,

    /// The API key expires soon.
    ApiKeyExpiring,
    /// The API key has expired.
    ApiKeyExpired,
    /// The API key is disabled.
    ApiKeyDisabled,
    /// A workload of spec.restart does not exist.
    WorkloadNotFound,
    /// The API server does not let the operator restart a workload.
    RestartDenied,
    /// spec.restart.minPeriod holds up a restart for longer than the token lives that the pods read.
    RestartTooLate,

    /// Event: the target was brought back to what it should be.
    TargetRepaired,
    /// Event: a workload was restarted, so that its pods read the new token.
    WorkloadRestarted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
