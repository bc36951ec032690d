//! What is known of the Secrets that an `IamToken` names, from their metadata alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::ownership::{self, Owned};
use super::plan::Plan;
use super::record::{Mark, Record};
use super::short::Short;
use crate::api::RECORD;

/// What is known of one Secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Seen {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It does not exist.
    Absent,
    /// It exists.
    Present(Box<Facts>),
}

/// The few facts of a Secret's metadata that decisions rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Which Secret in which state.
    pub mark: Mark,
    /// Its controller, if it has one.
    pub controller: Option<Controller>,
    /// What the operator noted on it. Boxed, as no source has one.
    pub record: Option<Box<Record>>,
    /// Which of its fields the operator still manages.
    pub owned: Owned,
}

/// The controller that a Secret names.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    /// Its uid.
    pub uid: Short,
    /// `kind/name`
    pub name: String,
}

/// A target as its `IamToken` stands to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<'a> {
    /// Nothing is known yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It is somebody else's: that controller's, if it has one.
    Foreign(Option<&'a Controller>),
    /// It was made, or taken over, for this `IamToken`.
    Ours(&'a Facts),
}

// === impl Seen ===

impl Seen {
    /// The facts, if it exists.
    #[must_use]
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Present(facts) => Some(facts),
            Self::Unknown | Self::Absent => None,
        }
    }
}

// === impl Facts ===

impl Facts {
    /// `None` where the API server left out uid or resourceVersion, which it never does for a stored object.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let controller = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let annotation = metadata.annotations.as_ref().and_then(|all| all.get(RECORD));
        Some(Self {
            mark: Mark { uid: metadata.uid.as_deref()?.into(), version: metadata.resource_version.as_deref()?.into() },
            controller: controller.map(Controller::of),
            record: annotation
                .and_then(|text| Record::parse(text))
                .filter(|record| Some(record.owner.namespace.as_str()) == metadata.namespace.as_deref())
                .map(Box::new),
            owned: ownership::owned(metadata.managed_fields.as_deref().unwrap_or_default()),
        })
    }

    /// Whether every key of the data is as the operator wrote it; true where `plan` has changed since.
    #[must_use]
    pub fn data_is_intact(&self, plan: &Plan, uid: &str) -> bool {
        self.is_of_shape(plan).is_none_or(|same| !same || self.owned.data == plan.owned(uid).data)
    }

    /// Whether nothing is left to write: the Secret looks as `plan` wants, and nobody changed what the operator wrote.
    #[must_use]
    pub fn is_as_planned(&self, plan: &Plan, uid: &str) -> bool {
        self.is_of_shape(plan) == Some(true) && self.owned == plan.owned(uid)
    }

    fn is_of_shape(&self, plan: &Plan) -> Option<bool> {
        self.record.as_ref().map(|record| record.shape == plan.shape)
    }
}

impl Controller {
    fn of(owner: &OwnerReference) -> Self {
        Self { uid: owner.uid.as_str().into(), name: format!("{}/{}", owner.kind, owner.name) }
    }
}

// === impl Standing ===

impl<'a> Standing<'a> {
    /// How the `IamToken` of this name and uid stands to the Secret. A Secret that was kept when its `IamToken` was
    /// deleted is its successor's of the same name.
    #[must_use]
    pub fn of(seen: &'a Seen, name: &str, uid: &str) -> Self {
        let facts = match seen {
            Seen::Unknown => return Self::Unknown,
            Seen::Absent => return Self::Absent,
            Seen::Present(facts) => facts,
        };
        let owner = facts.record.as_ref().map(|record| &record.owner);
        let ours = match &facts.controller {
            Some(controller) => controller.uid == *uid,
            None => owner.is_some_and(|owner| owner.uid == *uid || owner.name == name),
        };
        if ours { Self::Ours(facts) } else { Self::Foreign(facts.controller.as_ref()) }
    }

    /// Whether the `IamToken` with this uid controls the Secret or is the last that wrote it.
    #[must_use]
    pub fn is_held_by(&self, uid: &str) -> bool {
        match self {
            Self::Ours(facts) => {
                let controls = facts.controller.as_ref().is_some_and(|controller| controller.uid == *uid);
                controls || facts.record.as_ref().is_some_and(|record| record.owner.uid == *uid)
            }
            _ => false,
        }
    }

    /// What is noted on the token, where there is one of ours.
    #[must_use]
    pub fn record(&self) -> Option<&'a Record> {
        match self {
            Self::Ours(facts) => facts.record.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
