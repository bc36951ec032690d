//! The HTTP/1.1 server behind both ports: a bounded number of connections, each of which must come to the point, and the
//! oldest of which makes room for who comes next.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::tls::Certificate;

/// More than this are not served at once: who comes next takes the place of the oldest. So nobody shuts kubelet out who
/// holds connections open, or asks again and again on them.
const MOST_CONNECTIONS: usize = 64;

/// How long the TLS handshake may take, and the head of a request, counted from the end of the one before.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may last. What it asked for by then is still answered, within [`HEAD`].
const LONGEST: Duration = Duration::from_mins(5);

/// The largest head of a request, in bytes. A ServiceAccount's token has about 1,200.
const LARGEST_HEAD: usize = 16 * 1024;

/// The pause after a connection could not be accepted, as where there are too many open files.
const BREATH: Duration = Duration::from_secs(1);

/// Answers `routes` on what comes in, for ever; over TLS where there is a certificate.
///
/// # Errors
/// Where nothing comes in any more.
pub(super) async fn serve(listener: TcpListener, certificate: Option<Certificate>, routes: Router) -> io::Result<()> {
    let mut served = VecDeque::with_capacity(MOST_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                make_room(&mut served);
                let routes = routes.clone().layer(Extension(ConnectInfo::<SocketAddr>(from)));
                let acceptor = certificate.as_ref().map(Certificate::acceptor);
                served.push_back(tokio::spawn(connection(stream, from, acceptor, routes)).abort_handle());
            }
            Err(error) => {
                debug!("a connection could not be accepted: {error}");
                sleep(BREATH).await;
            }
        }
    }
}

fn make_room(served: &mut VecDeque<AbortHandle>) {
    served.retain(|one| !one.is_finished());
    if served.len() >= MOST_CONNECTIONS
        && let Some(oldest) = served.pop_front()
    {
        oldest.abort();
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, acceptor: Option<TlsAcceptor>, routes: Router) {
    match acceptor {
        None => answer(stream, routes).await,
        Some(acceptor) => match timeout(HEAD, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, routes).await,
            Ok(Err(error)) => debug!(%from, "no TLS: {error}"),
            Err(_) => debug!(%from, "no TLS within {} s", HEAD.as_secs()),
        },
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    if timeout(LONGEST, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(HEAD, connection).await;
    }
}
