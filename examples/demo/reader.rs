//! The target Secret as a workload has it: what it read last, even while the Secret is gone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Result;

/// How long anything may take: much longer than it should, for machines that are busy with something else.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The files of the mounted Secret.
#[derive(Clone, Default)]
pub struct Mounted {
    /// Their contents as last read, by name.
    pub files: BTreeMap<String, String>,
    /// The uid of the Secret that they are of.
    pub uid: String,
    /// Its resourceVersion.
    pub version: u64,
    /// Every token so far.
    pub tokens: Vec<String>,
    /// For each but the first: how many seconds the one before had left. Negative: it was too late.
    pub left: Vec<f64>,
}

/// Follows the Secret. Dropping it ends that.
pub struct Reader {
    mounted: watch::Receiver<Mounted>,
    task: JoinHandle<()>,
}

// === impl Mounted ===

impl Mounted {
    pub fn file(&self, name: &str) -> &str {
        self.files.get(name).map_or("", String::as_str)
    }

    /// For how many seconds the token is good.
    pub fn seconds_left(&self) -> f64 {
        let expires: f64 = self.file("expiration").parse().unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        expires - now.as_secs_f64()
    }

    /// Whether `token` and `authorization` are of the same token.
    pub fn is_whole(&self) -> bool {
        self.file("authorization").strip_prefix("Bearer ") == Some(self.file("token"))
    }

    fn read(&mut self, secret: Secret) {
        let left = self.seconds_left();
        let before = self.files.remove("authorization");
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        self.files = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value.0))).collect();
        self.uid = secret.metadata.uid.unwrap_or_default();
        self.version = secret.metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or_default();
        if before.as_deref() != Some(self.file("authorization")) {
            self.tokens.push(self.file("authorization").trim_start_matches("Bearer ").to_owned());
            self.left.extend(before.map(|_| left));
        }
    }
}

// === impl Reader ===

impl Reader {
    pub fn start(secrets: Api<Secret>, name: &'static str) -> Self {
        let (sender, mounted) = watch::channel(Mounted::default());
        let task = tokio::spawn(async move {
            let mut changes = std::pin::pin!(watch_object(secrets, name).default_backoff());
            while let Some(change) = changes.next().await {
                if let Ok(Some(secret)) = change {
                    sender.send_modify(|mounted| mounted.read(secret));
                }
            }
        });
        Self { mounted, task }
    }

    pub fn subscribe(&self) -> watch::Receiver<Mounted> {
        self.mounted.clone()
    }

    /// What is there now.
    pub fn now(&self) -> Mounted {
        self.mounted.borrow().clone()
    }

    /// Returns what is there as soon as this holds of it.
    pub async fn until(&self, what: &str, holds: impl Fn(&Mounted) -> bool) -> Result<Mounted> {
        let mut mounted = self.mounted.clone();
        let found = timeout(LIMIT, mounted.wait_for(|mounted| holds(mounted))).await;
        match found {
            Ok(found) => Ok(found?.clone()),
            Err(_) => Err(format!("not within {} s: {what}", LIMIT.as_secs()).into()),
        }
    }

    /// Returns when there are more than `count` tokens.
    pub async fn more_tokens_than(&self, count: usize) -> Result<Mounted> {
        let mounted = self.until("another token in the target", |mounted| mounted.tokens.len() > count).await?;
        match mounted.left.last() {
            Some(left) if *left <= 0.0 => Err(format!("the token before had expired {:.1} s earlier", -left).into()),
            _ => Ok(mounted),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
