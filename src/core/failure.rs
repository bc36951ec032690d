//! How an exchange can fail, what it means, and what a person can do.
//!
//! The codes are those of IBM Cloud IAM's token API (IBM's OpenAPI of IAM Identity, `OidcExceptionResponse`; IBM Cloud
//! account documentation). The IAM team says that they can be relied upon, while messages are localised.

use std::fmt;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::schedule::Retry;
use crate::api::Reason;

/// A failed exchange. Holds nothing that IAM echoes of the request: neither `errorMessage` nor `errorDetails`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: Kind,
    /// The endpoint that was asked; with the proxy, and what became of others, where it was not that one alone.
    pub endpoint: String,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// `errorCode`, such as `BXNIM0415E`.
    pub code: Option<String>,
    /// `context.requestId` or `Transaction-Id`, which IBM's support asks for.
    pub request_id: Option<String>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection, or none that lasted.
    Unreachable(Cause),
    /// IAM's certificate is not trusted.
    Untrusted,
    /// 408, 5xx: with the seconds of `Retry-After`, if it came.
    Unavailable(Option<Duration>),
    /// 429: with the seconds of `Retry-After`, if it came.
    Throttled(Option<Duration>),
    /// This operator itself has asked too often with this credential: wait so long.
    Paced(Duration),
    /// 3xx.
    Redirected,
    /// 200, but no usable token.
    Unusable(Flaw),
    /// The API key was refused.
    Rejected(Verdict),
    /// Another 4xx: the request itself was refused.
    RequestRejected,
    /// A token of another account than the spec wants.
    OtherAccount,
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host name does not resolve.
    Dns,
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection ended before the answer did.
    Broken,
    /// The proxy's host name does not resolve, nobody listens there, or the connection to it broke.
    ProxyGone,
    /// The proxy does not connect to the endpoint.
    ProxyRefused,
    /// The proxy wants a user name and a password, or others: 407.
    ProxyCredentials,
}

/// Why an answer is no usable token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No JSON object, such as a page of a proxy.
    NotJson,
    /// More than any token answer.
    TooLarge,
    /// No `access_token`, or an empty one.
    NoToken,
    /// Characters that no HTTP header may hold.
    NotHeaderSafe,
    /// `token_type` is not Bearer.
    NotBearer,
    /// `expires_in` is missing, no whole number, not positive, or over a day.
    Lifetime,
    /// It has died on the way.
    Expired,
    /// It would die before the token that is in place.
    ShorterLived,
    /// The claims do not say of which account it is, though the spec wants to know.
    NoAccount,
}

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// BXNIM0415E
    NotFound,
    /// BXNIM0462E
    Disabled,
    /// BXNIM0410E, BXNIM0436E, BXNIM0141E: its user is gone, suspended or no member of the account.
    UserGone,
    /// BXNIM0400E
    Locked,
    /// BXNIM0398E
    ProfileNotEligible,
    /// 400, 401 or 403 with no code or another one, for an API key.
    Other,
    /// The same, for the token of a ServiceAccount.
    ServiceAccount,
    /// The same, for a trusted profile that an API key's token asked to become.
    Profile,
}

// === impl Failure ===

impl Failure {
    /// One that is told without IAM's words: it did not answer, or was not asked.
    #[must_use]
    pub fn unanswered(kind: Kind, endpoint: &Endpoint) -> Self {
        Self { kind, endpoint: endpoint.to_string(), status: None, code: None, request_id: None }
    }

    /// The same, by way of this proxy.
    #[must_use]
    pub fn by_proxy(mut self, proxy: &str) -> Self {
        self.endpoint = format!("{} (by the proxy {proxy})", self.endpoint);
        self
    }

    /// The same, and what became of others that were asked in the same try.
    #[must_use]
    pub fn beside(mut self, others: &[Self]) -> Self {
        let others: Vec<_> = others.iter().map(|other| format!("at {}: {}", other.endpoint, other.what())).collect();
        if !others.is_empty() {
            self.endpoint = format!("{} (and {})", self.endpoint, others.join(", "));
        }
        self
    }

    /// Classifies an answer that is no success, by its status and `errorCode`; `retry_after` if it came.
    #[must_use]
    pub fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Kind {
        match (status, code) {
            (429, _) => Kind::Throttled(retry_after),
            (408 | 500.., _) => Kind::Unavailable(retry_after),
            (300..400, _) => Kind::Redirected,
            (_, Some("BXNIM0415E")) => Kind::Rejected(Verdict::NotFound),
            (_, Some("BXNIM0462E")) => Kind::Rejected(Verdict::Disabled),
            (_, Some("BXNIM0410E" | "BXNIM0436E" | "BXNIM0141E")) => Kind::Rejected(Verdict::UserGone),
            (_, Some("BXNIM0400E")) => Kind::Rejected(Verdict::Locked),
            (_, Some("BXNIM0398E")) => Kind::Rejected(Verdict::ProfileNotEligible),
            (_, Some("BXNIM0109E" | "BXNIM0106E" | "BXNIM0308E" | "BXNIM0310E" | "BXNIM0060E")) => {
                Kind::RequestRejected
            }
            (400 | 401 | 403, _) => Kind::Rejected(Verdict::Other),
            (400.., _) => Kind::RequestRejected,
            _ => Kind::Unusable(Flaw::NotJson),
        }
    }

    /// How to go on. Nothing that IAM says is final: it answers 400 for valid keys under load, and its replicas lag
    /// (IBM/ibm-cos-sdk-python#59, IBM-Cloud/terraform-provider-ibm#3561).
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self.kind {
            Kind::Throttled(Some(after)) | Kind::Unavailable(Some(after)) | Kind::Paced(after) => Retry::After(after),
            Kind::Rejected(Verdict::Locked) => Retry::NotWithin(Duration::from_mins(30)),
            Kind::Unusable(Flaw::ShorterLived | Flaw::NoAccount)
            | Kind::Redirected
            | Kind::Rejected(_)
            | Kind::RequestRejected
            | Kind::OtherAccount => Retry::Slowly,
            Kind::Unreachable(_) | Kind::Untrusted | Kind::Unavailable(_) | Kind::Throttled(_) | Kind::Unusable(_) => {
                Retry::Soon
            }
        }
    }

    /// Whether a person must act.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self.kind {
            Kind::Untrusted | Kind::Redirected | Kind::Rejected(_) | Kind::RequestRejected | Kind::OtherAccount => true,
            Kind::Unusable(flaw) => flaw == Flaw::NoAccount,
            Kind::Unreachable(_) | Kind::Unavailable(_) | Kind::Throttled(_) | Kind::Paced(_) => false,
        }
    }

    /// Whether it is the endpoint that failed, and not what was asked of it: others who ask would fare no better.
    #[must_use]
    pub fn is_of_endpoint(&self) -> bool {
        match self.kind {
            Kind::Unreachable(_) | Kind::Untrusted | Kind::Unavailable(_) | Kind::Redirected => true,
            Kind::Unusable(flaw) => matches!(flaw, Flaw::NotJson | Flaw::TooLarge),
            Kind::Throttled(_) | Kind::Paced(_) | Kind::Rejected(_) | Kind::RequestRejected | Kind::OtherAccount => {
                false
            }
        }
    }

    /// The reason that conditions and events carry.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.kind {
            Kind::Unreachable(_) => Reason::IamUnreachable,
            Kind::Untrusted => Reason::IamUntrusted,
            Kind::Unavailable(_) => Reason::IamUnavailable,
            Kind::Throttled(_) => Reason::IamThrottled,
            Kind::Paced(_) => Reason::ExchangesPaced,
            Kind::Redirected => Reason::IamRedirected,
            Kind::Unusable(_) => Reason::IamAnswerUnusable,
            Kind::Rejected(Verdict::ProfileNotEligible | Verdict::Profile) => Reason::ProfileNotEligible,
            Kind::Rejected(_) => Reason::CredentialRejected,
            Kind::RequestRejected => Reason::RequestRejected,
            Kind::OtherAccount => Reason::AccountMismatch,
        }
    }

    /// `IAM at https://…: what (HTTP 400, BXNIM0415E). What to do. (IAM request id …)`
    #[must_use]
    pub fn with_action(&self, action: &str) -> String {
        let answer = match (self.status, &self.code) {
            (Some(status), Some(code)) => format!(" (HTTP {status}, {code})"),
            (Some(status), None) if status != 200 => format!(" (HTTP {status})"),
            _ => String::new(),
        };
        let id = self.request_id.as_ref().map(|id| format!("{REQUEST_ID}{id})")).unwrap_or_default();
        format!("IAM at {}: {}{answer}. {action}.{id}", self.endpoint, self.what())
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::Unreachable(Cause::Dns) => "its host name does not resolve",
            Kind::Unreachable(Cause::Refused) => "it refuses connections",
            Kind::Unreachable(Cause::Timeout) => "it does not answer in time",
            Kind::Unreachable(Cause::Broken) => "the connection broke",
            Kind::Unreachable(Cause::ProxyGone) => "the proxy cannot be reached",
            Kind::Unreachable(Cause::ProxyRefused) => "the proxy does not connect to it",
            Kind::Unreachable(Cause::ProxyCredentials) => {
                "the proxy wants a user name and a password, or does not accept those that it got"
            }
            Kind::Untrusted => "its certificate is not trusted",
            Kind::Unavailable(_) => "it answers with an error that should pass",
            Kind::Throttled(_) => "too many tokens were asked for with this credential",
            Kind::Paced(_) => "the operator itself has asked for many tokens with this credential and waits a moment",
            Kind::Redirected => "it answers with a redirect, which is never followed: a key must not travel on",
            Kind::Unusable(flaw) => flaw.what(),
            Kind::Rejected(Verdict::NotFound) => "the API key could not be found",
            Kind::Rejected(Verdict::Disabled) => "the API key is disabled",
            Kind::Rejected(Verdict::UserGone) => "the user of the API key is not active in its account",
            Kind::Rejected(Verdict::Locked) => "the account of the API key is locked",
            Kind::Rejected(Verdict::ProfileNotEligible) => "the trusted profile does not admit this credential",
            Kind::Rejected(Verdict::Other) => "the API key was rejected",
            Kind::Rejected(Verdict::ServiceAccount) => "the ServiceAccount's token was rejected",
            Kind::Rejected(Verdict::Profile) => "the trusted profile was refused",
            Kind::RequestRejected => "the request was rejected",
            Kind::OtherAccount => "the token is of another account than asked for",
        }
    }

    fn next_action(&self) -> &'static str {
        match self.kind {
            Kind::Unreachable(Cause::Dns) => "Check the endpoint and the cluster's DNS; it is tried again by itself",
            Kind::Unreachable(Cause::ProxyGone | Cause::ProxyCredentials) => {
                "Ask the admin to correct HTTPS_PROXY or NO_PROXY of the operator; it is tried again by itself"
            }
            Kind::Unreachable(Cause::ProxyRefused) => {
                "Have the proxy let the operator through, or ask the admin to name the endpoint in NO_PROXY; it is tried \
                 again by itself"
            }
            Kind::Unreachable(_) => {
                "Check network policies, proxy and firewall towards it; it is tried again by itself"
            }
            Kind::Untrusted => {
                "Give the operator the CA that signed it (--iam-ca-file), or find out who answers in IAM's place"
            }
            Kind::Unavailable(_) => "It is tried again by itself; see cloud.ibm.com/status if it lasts",
            Kind::Throttled(_) => "It is tried again by itself; find out who else uses this credential",
            Kind::Paced(_) => "Find out who changes the source Secret, the target or the IamToken again and again",
            Kind::Redirected => "Ask the admin to correct the operator's endpoint or the proxy in front of it",
            Kind::Unusable(Flaw::NoAccount) => {
                "Remove spec.accountId, or use a credential whose tokens name their account"
            }
            Kind::Unusable(_) => "It is tried again by itself",
            Kind::Rejected(Verdict::Locked) => "Wait for 30 minutes or unlock the account",
            Kind::Rejected(Verdict::ProfileNotEligible | Verdict::Profile) => {
                "Correct spec.trustedProfile, or have the profile trust this ServiceAccount or identity (a link, or a rule \
                 on its namespace and name)"
            }
            Kind::Rejected(Verdict::ServiceAccount) => {
                "Check that the cluster is an IKS or ROKS cluster of the profile's account, which alone IAM trusts"
            }
            Kind::Rejected(_) => {
                "Put a valid key into the source Secret (ibmcloud iam service-api-key-create); it is tried at once"
            }
            Kind::RequestRejected => "Check spec.endpoint; where it is right, report this to IBM",
            Kind::OtherAccount => {
                "Use a key of that account, or correct spec.accountId, for which the admin may have set a default"
            }
        }
    }
}

impl fmt::Display for Failure {
    /// [`Failure::with_action`] with what the user of an IamToken can do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_action(self.next_action()))
    }
}

/// What stands before the request id at the end of a message.
pub const REQUEST_ID: &str = " (IAM request id ";

impl Flaw {
    fn what(self) -> &'static str {
        match self {
            Self::NotJson => "its answer is not the JSON of a token (a proxy's page, or cut off?)",
            Self::TooLarge => "its answer is larger than any token",
            Self::NoToken => "its answer holds no access_token",
            Self::NotHeaderSafe => "the token in its answer has characters that no header may hold",
            Self::NotBearer => "the token in its answer is no Bearer token",
            Self::Lifetime => "expires_in of its answer is not a number of seconds from 1 to 86400",
            Self::Expired => "the token in its answer has expired before it arrived",
            Self::ShorterLived => "the token in its answer would expire before the one in place, which is kept",
            Self::NoAccount => "the token does not say of which account it is, as was asked",
        }
    }
}

#[cfg(test)]
mod tests;
