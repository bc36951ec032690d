//! What only the store itself can be asked for: its API as JSON (etcd documentation, "gRPC gateway").

use std::net::Ipv4Addr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Error;

/// Compacts up to the last revision, and returns when what came before is gone.
pub(super) async fn compact(port: u16) -> Result<(), Error> {
    // Any read tells the revision; keys are in base64.
    let read = call(port, "/v3/kv/range", &json!({"key": "AA=="})).await?;
    call(port, "/v3/kv/compaction", &json!({"revision": read["header"]["revision"], "physical": true})).await?;
    Ok(())
}

async fn call(port: u16, path: &str, body: &Value) -> Result<Value, Error> {
    let failed = |what: String| Error::new(format!("etcd {path}: {what}"));
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    let request = Request::post(path)
        .header(header::HOST, format!("127.0.0.1:{port}"))
        .body(Full::<Bytes>::from(body.to_string()))
        .map_err(|error| failed(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
    };
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    let (status, bytes) = answer.map_err(|error| failed(error.to_string()))?;
    if !status.is_success() {
        return Err(failed(format!("{status} {}", String::from_utf8_lossy(&bytes))));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}
