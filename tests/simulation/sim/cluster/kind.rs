//! What is served.

use super::schema::{IAM_TOKEN, LEASE, SECRET, Type};

/// The kinds that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `iamtokens.iamtoken.dev`
    IamToken,
    /// `secrets`
    Secret,
    /// `leases.coordination.k8s.io`
    Lease,
    /// `events.events.k8s.io`: kept without owners of fields, and not watched.
    Event,
}

// === impl Kind ===

impl Kind {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::IamToken, Self::Secret, Self::Lease, Self::Event];

    /// `Secret`
    pub fn name(self) -> &'static str {
        match self {
            Self::IamToken => "IamToken",
            Self::Secret => "Secret",
            Self::Lease => "Lease",
            Self::Event => "Event",
        }
    }

    /// `secrets`
    pub fn plural(self) -> &'static str {
        match self {
            Self::IamToken => "iamtokens",
            Self::Secret => "secrets",
            Self::Lease => "leases",
            Self::Event => "events",
        }
    }

    /// Empty for the core group.
    pub fn group(self) -> &'static str {
        match self {
            Self::IamToken => "iamtoken.dev",
            Self::Secret => "",
            Self::Lease => "coordination.k8s.io",
            Self::Event => "events.k8s.io",
        }
    }

    /// `coordination.k8s.io/v1`
    pub fn api_version(self) -> &'static str {
        match self {
            Self::IamToken => "iamtoken.dev/v1alpha1",
            Self::Secret => "v1",
            Self::Lease => "coordination.k8s.io/v1",
            Self::Event => "events.k8s.io/v1",
        }
    }

    /// `leases.coordination.k8s.io`, as messages have it.
    pub fn resource(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// How its objects are merged.
    pub(super) fn type_(self) -> &'static Type {
        match self {
            Self::IamToken => &IAM_TOKEN,
            Self::Secret => &SECRET,
            Self::Lease | Self::Event => &LEASE,
        }
    }

    /// Whether a PUT may create it (`AllowCreateOnUpdate` of its strategy in Kubernetes' registry).
    pub(super) fn is_created_by_put(self) -> bool {
        matches!(self, Self::Lease | Self::Event)
    }

    /// Whether a PUT may leave out the resourceVersion (`AllowUnconditionalUpdate`).
    pub(super) fn is_put_unconditionally(self) -> bool {
        matches!(self, Self::Secret | Self::Event)
    }
}
