//! What the API server was asked, by whom.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use serde::Deserialize;
use tokio::time::sleep;

use super::{ControlPlane, Error, expect, get};

/// How long the audit log may take to show a request.
const AUDIT_WITHIN: Duration = Duration::from_secs(10);

/// Who asks so often that the log would be of little else.
pub const UNAUDITED: &str = "unaudited";

/// Metadata of every request but the API server's own and those of [`UNAUDITED`], once: when it is answered, or for a watch when it begins.
pub(super) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: None
    users: ["system:apiserver", "unaudited"]
  - level: Metadata
    verbs: ["watch"]
    omitStages: ["RequestReceived", "ResponseComplete"]
  - level: Metadata
    omitStages: ["RequestReceived", "ResponseStarted"]
"#;

/// The name of the log in the run folder.
pub(super) const LOG: &str = "audit.log";

/// The path of the requests that show how far the log is written.
const BARRIER: &str = "/version?audit-barrier=";

/// A place in the audit log: see [`ControlPlane::audit_mark`](super::ControlPlane::audit_mark).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditMark(u64);

/// One request to the API server. What does not apply to it is empty: a request that names no object has no `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group, empty for the core one.
    pub group: String,
    /// The plural name of the resource, such as `secrets`.
    pub resource: String,
    /// The part of the resource, such as `status` or `token`.
    pub subresource: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The user name, for a ServiceAccount `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// What the client called itself.
    pub user_agent: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The path and query of the request.
    pub uri: String,
    /// When the API server received it.
    pub received: Timestamp,
}

/// An event as the log has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: MicroTime,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Every request so far but the API server's own and those of [`UNAUDITED`], in the order they were answered. A watch counts as answered when
    /// it begins. Needs [`Options::audit`].
    pub async fn audit(&self) -> Vec<AuditEvent> {
        self.audit_since(AuditMark::default()).await
    }

    /// The end of the audit log: what was answered so far lies before it. Needs [`Options::audit`].
    pub async fn audit_mark(&self) -> AuditMark {
        let log = self.audit_log();
        self.audit_barrier(log).await;
        let length = expect("read the audit log", fs::metadata(log)).len();
        AuditMark(length)
    }

    /// The requests that were answered after `mark`, like [`Self::audit`].
    pub async fn audit_since(&self, mark: AuditMark) -> Vec<AuditEvent> {
        let log = self.audit_log();
        self.audit_barrier(log).await;
        let lines = expect("read the audit log", read_lines(log, mark));
        expect("read the audit log", parse(&lines))
    }

    fn audit_log(&self) -> &Path {
        expect("audit", self.audit_log.as_deref().ok_or("start it with Options { audit: true }"))
    }

    /// Returns when the log shows a request made now; at once where no API server runs to make one to.
    async fn audit_barrier(&self, log: &Path) {
        if self.api_server.pid().is_none() {
            return;
        }
        let from = AuditMark(fs::metadata(log).map_or(0, |metadata| metadata.len()));
        let path = format!("{}{}", BARRIER, self.next());
        expect("make a request to be audited", get(&self.admin(), &path).await);
        let deadline = Instant::now() + AUDIT_WITHIN;
        while !expect("read the audit log", read_lines(log, from)).contains(&path) {
            assert!(Instant::now() < deadline, "the audit log does not show {path}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl From<Record> for AuditEvent {
    fn from(record: Record) -> Self {
        Self {
            verb: record.verb,
            group: record.object_ref.api_group,
            resource: record.object_ref.resource,
            subresource: record.object_ref.subresource,
            namespace: record.object_ref.namespace,
            name: record.object_ref.name,
            user: record.user.username,
            user_agent: record.user_agent,
            code: record.response_status.code,
            uri: record.request_uri,
            received: record.request_received_timestamp.0,
        }
    }
}

/// The whole lines of the log from byte `from` on.
fn read_lines(log: &Path, from: AuditMark) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from.0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    bytes.truncate(whole);
    String::from_utf8(bytes).map_err(|e| Error::new(format!("{}: {e}", log.display())))
}

/// The events of these lines but the barriers.
fn parse(lines: &str) -> Result<Vec<AuditEvent>, Error> {
    lines
        .lines()
        .filter(|line| !line.contains(BARRIER))
        .map(|line| {
            serde_json::from_str::<Record>(line)
                .map(AuditEvent::from)
                .map_err(|e| Error::new(format!("not an audit event: {e}: {line}")))
        })
        .collect()
}
