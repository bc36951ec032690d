//! The connections to the API server. Those that keys and tokens travel on are no others, and end soon after: what is in
//! the buffers of a connection, here and in the TLS library, stays there until it is overwritten or the connection ends.

use std::time::Duration;

use http::Request;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// How long a connection that has carried a key or a token may idle.
const BRIEF: Duration = Duration::from_secs(10);

/// How long another may.
const LONG: Duration = Duration::from_secs(90);

/// A client as kube makes it, but for the pools: without retries, the HTTP traces whose fields are told by the operator's
/// own, and timeouts that a deadline for each request takes the place of.
///
/// # Errors
/// Where the configuration cannot be used.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Else the second half of a request may wait 40 ms for the answer to the first to be acknowledged.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let connector = config.rustls_https_connector_with_connector(tcp)?;
    let pool = |idle| -> Pool<_, Body> {
        let mut pool = Builder::new(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(idle).build(connector.clone())
    };
    let (brief, long) = (pool(BRIEF), pool(LONG));
    let layers = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from);
    let service = layers.service_fn(move |request: Request<Body>| {
        if carries_a_secret(request.uri().path()) { brief.request(request) } else { long.request(request) }
    });
    Ok(Client::new(service, config.default_namespace))
}

/// A named Secret; a token that is made or reviewed. Lists of Secrets and watches on them are of metadata.
fn carries_a_secret(path: &str) -> bool {
    path.contains("/secrets/") || path.ends_with("/token") || path.ends_with("/tokenreviews")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_secret_is_told_by_its_path() {
        for (path, carries) in [
            ("/api/v1/namespaces/shop/secrets/hpcs-api-key", true),
            ("/api/v1/namespaces/shop/serviceaccounts/orders/token", true),
            ("/apis/authentication.k8s.io/v1/tokenreviews", true),
            ("/api/v1/namespaces/shop/secrets", false),
            ("/apis/coordination.k8s.io/v1/namespaces/operator/leases/iam-token-operator", false),
            ("/apis/iamtoken.dev/v1alpha1/namespaces/shop/iamtokens/hpcs/status", false),
        ] {
            assert_eq!(carries_a_secret(path), carries, "{path}");
        }
    }
}
