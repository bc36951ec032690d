//! The Lease that replicas compete for.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::core::lease::{self as core, DURATION};

/// How long a request may take: a renewal that takes longer than the time to the next is none.
const DEADLINE: Duration = core::RENEW_EVERY;

/// One Lease object.
pub struct Leases {
    api: Api<Lease>,
    name: String,
}

/// A write that did not take effect, or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Somebody else wrote it meanwhile.
    Conflict,
    /// The API server refuses, with this HTTP status.
    Refused(u16),
    /// No answer.
    Unknown,
}

// === impl Leases ===

impl Leases {
    /// The Lease `name` in `namespace`.
    #[must_use]
    pub fn new(client: &Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), name: name.to_owned() }
    }

    /// One read.
    ///
    /// # Errors
    /// Where there is no answer in time.
    pub async fn get(&self) -> Result<Option<Lease>, Failed> {
        within(self.api.get_opt(&self.name)).await
    }

    /// One write, which takes effect only where the lease is still as `old`; `holder` is who holds it from now on.
    ///
    /// # Errors
    /// `Conflict` where it is not.
    pub async fn write(&self, old: Option<&Lease>, holder: Option<&str>, now: Timestamp) -> Result<Lease, Failed> {
        let before = old.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let same = before.holder_identity.as_deref() == holder;
        let spec = LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if same { before.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(!same))),
            ..LeaseSpec::default()
        };
        let version = old.and_then(|lease| lease.metadata.resource_version.clone());
        let metadata = ObjectMeta { name: Some(self.name.clone()), resource_version: version, ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        let params = PostParams::default();
        match old {
            Some(_) => within(self.api.replace(&self.name, &params, &lease)).await,
            None => within(self.api.create(&params, &lease)).await,
        }
    }
}

/// What a decision rests on.
#[must_use]
pub fn facts(lease: &Lease) -> core::Lease {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
    core::Lease {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: holder.filter(|holder| !holder.is_empty()),
    }
}

async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failed> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Failed::Conflict),
        Ok(Err(kube::Error::Api(status))) => Err(Failed::Refused(status.code)),
        Ok(Err(_)) | Err(_) => Err(Failed::Unknown),
    }
}
