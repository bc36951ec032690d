//! What all watches have in common.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, future};
use kube::runtime::{WatchStreamExt as _, watcher, watcher::Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::core::watchdog::Watched;
use crate::telemetry::metrics::{self, Metrics};

/// Lists and watches for ever, with a growing pause after each failure, which is counted.
pub fn events<K>(api: Api<K>, watched: Watched, metrics: Metrics) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, watcher::Config::default()).default_backoff().filter_map(move |event| {
        let event = event.inspect_err(|error| {
            let resource = metrics::Resource::from(watched).as_str();
            // Each service around the client says so once more.
            let error = error.to_string().replace("ServiceError: ", "");
            warn!(resource, "the watch on {watched} failed: {error}");
            metrics.watch_failed(watched);
        });
        future::ready(event.ok())
    })
}
