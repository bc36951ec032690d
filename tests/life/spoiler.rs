//! An API server whose answers about one object are spoilt, since the real one gives none that cannot be decoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;

/// The largest body, in bytes: an object of etcd.
const LARGEST: usize = 4 << 20;

/// Stands before the real one, on plain HTTP, and asks it with this client's rights.
pub struct Spoiler {
    kubeconfig: PathBuf,
    spoilt: Arc<AtomicUsize>,
}

impl Spoiler {
    /// In answers about what has this end of its path, `good` becomes `bad`.
    pub async fn start(client: Client, path: &'static str, good: String, bad: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let spoilt = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&spoilt);
        let routes = Router::new().fallback(move |request: Request| {
            let (client, good, bad, count) = (client.clone(), good.clone(), bad.clone(), Arc::clone(&count));
            async move {
                let meant = request.uri().path().ends_with(path);
                let (head, body) = request.into_parts();
                let body = to_bytes(body, LARGEST).await.unwrap();
                let answer = client.send(Request::from_parts(head, body.into())).await.unwrap();
                let (mut head, body) = answer.into_parts();
                if !meant {
                    return Response::from_parts(head, Body::new(body));
                }
                let text = String::from_utf8(to_bytes(Body::new(body), LARGEST).await.unwrap().into()).unwrap();
                count.fetch_add(usize::from(text.contains(&good)), Ordering::Relaxed);
                head.headers.remove(CONTENT_LENGTH);
                Response::from_parts(head, Body::from(text.replace(&good, &bad)))
            }
        });
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {}}],
        });
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("spoiler-{}", std::process::id()));
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Self { kubeconfig, spoilt }
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// How many answers it has spoilt.
    pub fn spoilt(&self) -> usize {
        self.spoilt.load(Ordering::Relaxed)
    }
}

impl Drop for Spoiler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}
