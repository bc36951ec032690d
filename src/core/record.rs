//! What a target Secret's own annotation says of the token in it, so that a restart or a new leader knows all it needs
//! without asking IAM.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::schedule::Life;
use super::short::Short;
use crate::api::Identity;

/// The value of the annotation [`crate::api::RECORD`], as JSON.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The `IamToken` that the Secret was written for.
    pub owner: Owner,
    /// When the exchange of the token in it began.
    pub refreshed_at: Timestamp,
    /// The token's lifetime from then on, in seconds.
    pub lifetime: u32,
    /// The draw that spreads refreshes; equal for all tokens of one credential.
    pub jitter: u16,
    /// The source Secret as it was read.
    pub source: Mark,
    /// [`super::digest::of_secret`] of the credential.
    pub credential: Short,
    /// [`super::digest::of_secret`] of the token.
    pub token: Short,
    /// [`super::plan::Plan::ask`] of the spec that the token was asked for.
    pub ask: Short,
    /// [`super::plan::Plan::shape`] of the spec that the Secret was rendered for.
    pub shape: Short,
    /// The value of [`crate::api::REFRESH_REQUESTED`] that the refresh answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_requested: Option<String>,
    /// Whose token it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// How far IAM's clock was ahead of ours, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skew: i64,
    /// How far the API server's clock was, in seconds: by it every process can tell how old the token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ahead: Option<i64>,
}

/// The `IamToken` that a Secret is written for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace, which a copy of the Secret elsewhere does not have.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// Its uid.
    pub uid: Short,
}

/// One state of one object.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its uid.
    pub uid: Short,
    /// Its resourceVersion.
    pub version: Short,
}

// === impl Record ===

impl Record {
    /// `None` for anything that this version did not write: such a Secret is treated as one without a token. A time before
    /// 1970 is among it: the API server would refuse a status that tells of a year before 0.
    #[must_use]
    pub fn parse(annotation: &str) -> Option<Self> {
        let record: Self = serde_json::from_str(annotation).ok()?;
        (record.refreshed_at >= Timestamp::UNIX_EPOCH).then_some(record)
    }

    /// The token's life.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { since: self.refreshed_at, lasts: Duration::from_secs(self.lifetime.into()) }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
