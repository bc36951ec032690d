//! What each command of the plugin works with.

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;

use crate::api::Listed;
use crate::cli::Error;
use crate::cli::cluster::Cluster;
use crate::cli::text::Style;
use crate::clock::{Clock as _, SystemClock};

/// The cluster, and how the terminal looks.
pub(super) struct Desk {
    pub cluster: Cluster,
    pub style: Style,
}

/// Which IamTokens of the namespace are meant.
#[derive(Debug, Args)]
pub(super) struct Names {
    /// IamTokens
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,

    /// All IamTokens of the namespace
    #[arg(long)]
    all: bool,
}

// === impl Names ===

impl Names {
    /// Whether one alone was named.
    pub(super) fn is_one(&self) -> bool {
        self.names.len() == 1
    }
}

// === impl Desk ===

impl Desk {
    /// Those that are meant. Fails where one is not there, before anything is done to another.
    pub(super) async fn chosen(&self, names: &Names) -> Result<Vec<DynamicObject>, Error> {
        if names.all {
            let all = self.cluster.list(false, None).await?;
            if all.is_empty() {
                let namespace = &self.cluster.namespace;
                return Err(format!("there is no IamToken in namespace {namespace}. -n looks in another one.").into());
            }
            return Ok(all);
        }
        let mut chosen = vec![];
        for name in &names.names {
            chosen.push(self.cluster.get(name).await?);
        }
        Ok(chosen)
    }
}

/// What the operator would see of it.
pub(in crate::cli) fn listed(object: &DynamicObject) -> Result<Listed, Error> {
    Ok(serde_json::from_value(serde_json::to_value(object)?)?)
}

/// The time.
pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Its name.
pub(super) fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}
