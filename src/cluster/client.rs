//! The client, and the wait for what it needs.

use std::time::Duration;

use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, Client, Config};
use tracing::{info, warn};

use super::{DEADLINE, transport};
use crate::api::IamToken;

const CRD_POLL: Duration = Duration::from_secs(2);

/// From the environment: the kubeconfig where there is one, else the pod's ServiceAccount.
///
/// # Errors
/// Where neither is there, or it cannot be used.
pub async fn connect() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let config = directly(Config::infer().await?, Kubeconfig::read().ok().as_ref(), None)?;
    Ok(client(config, concat!("iam-token-operator/", env!("CARGO_PKG_VERSION")))?)
}

/// A client that calls itself `agent` and tries nothing again: whoever asks has a deadline and a schedule of their own.
///
/// # Errors
/// Where the configuration cannot be used.
pub fn client(mut config: Config, agent: &'static str) -> kube::Result<Client> {
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    transport::client(config)
}

/// Without the environment's proxy, which kube takes for its own, too: that one is for IAM.
///
/// # Errors
/// Where the kubeconfig itself names a proxy for the cluster of this context, or of its current one.
pub fn directly(mut config: Config, from: Option<&Kubeconfig>, context: Option<&str>) -> Result<Config, &'static str> {
    if config.proxy_url.take().is_some() && from.is_some_and(|from| names_a_proxy(from, context)) {
        return Err("the kubeconfig names a proxy-url, which is not supported: reach the API server directly");
    }
    Ok(config)
}

fn names_a_proxy(config: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(config.current_context.as_deref());
    let context = config.contexts.iter().find(|known| Some(known.name.as_str()) == context);
    let name = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster);
    let cluster = config.clusters.iter().find(|cluster| Some(&cluster.name) == name);
    let proxy = cluster.and_then(|cluster| cluster.cluster.as_ref()?.proxy_url.as_deref());
    proxy.is_some_and(|url| !url.is_empty())
}

/// Returns when the API server serves IamTokens. Says what it waits for, to the log and to `say`, once and again whenever
/// that changes.
pub async fn wait_for_crd(api: &Api<IamToken>, say: impl Fn(&str)) {
    let mut said = String::new();
    loop {
        let first = ListParams::default().limit(1);
        let waits_for = match tokio::time::timeout(DEADLINE, api.list_metadata(&first)).await {
            Ok(Ok(_)) => break,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                "the CRD iamtokens.iamtoken.dev is not installed: kubectl apply -f crds/".to_owned()
            }
            Ok(Err(kube::Error::Api(status))) => format!(
                "the API server refuses to list iamtokens (HTTP {}): grant the operator the ClusterRole iam-token-operator",
                status.code
            ),
            Ok(Err(error)) => format!("the API server cannot be reached: {error}"),
            Err(_) => "the API server does not answer".to_owned(),
        };
        if said != waits_for {
            warn!("waiting: {waits_for}");
            say(&waits_for);
            said = waits_for;
        }
        tokio::time::sleep(CRD_POLL).await;
    }
    if !said.is_empty() {
        info!("IamTokens are served");
    }
}
