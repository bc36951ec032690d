//! `CONNECT host:443` (RFC 9110, section 9.3.6): bytes go to the one server that is all hosts.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::upgrade::{self, OnUpgrade};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::fake_iam::server::Body;
use crate::fake_iam::text_answer;

/// Opens the tunnel where the host is known, and no other.
pub(super) fn answer(
    mut request: Request<Incoming>,
    server: SocketAddr,
    knows: impl Fn(&str) -> bool,
) -> Response<Body> {
    if request.method() != Method::CONNECT {
        return text_answer(StatusCode::METHOD_NOT_ALLOWED, "only CONNECT");
    }
    let host = request.uri().host().unwrap_or_default();
    if request.uri().port_u16() != Some(443) || !knows(host) {
        return text_answer(StatusCode::FORBIDDEN, "no such host among the fakes");
    }
    tokio::spawn(carry(upgrade::on(&mut request), server));
    text_answer(StatusCode::OK, "")
}

async fn carry(client: OnUpgrade, server: SocketAddr) {
    if let (Ok(client), Ok(mut server)) = (client.await, TcpStream::connect(server).await) {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
    }
}
