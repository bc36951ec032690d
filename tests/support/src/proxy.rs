//! A road between one client and one server that can be cut: bytes pass, are reset, are swallowed, or wait.

// What waits for real processes waits in real time.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const CHUNK: usize = 16 << 10;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// They pass.
    Open,
    /// Every connection is reset (TCP RST), and so is every new one.
    Reset,
    /// They are lost, and neither side is told. A connection that was there stays deaf when the road is open again, as
    /// behind a firewall that has forgotten it.
    Swallow,
    /// They wait, and pass when the road is open again, as TCP sends again what was lost.
    Hold,
}

/// A TCP proxy on a loopback port. It belongs to the tokio runtime it is started in; dropping it ends it and all
/// connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    road: watch::Sender<Road>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Towards `server`, open.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (road, seen) = watch::channel(Road::Open);
        Ok(Self { address, road, task: tokio::spawn(accept(listener, server, seen)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for the connections that there are and for new ones.
    pub fn set(&self, road: Road) {
        self.road.send_replace(road);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, road: watch::Receiver<Road>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(carry(client, server, road.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, to its end.
async fn carry(mut client: TcpStream, server: SocketAddr, mut road: watch::Receiver<Road>) {
    let Some(first) = beginning(&mut road).await else {
        return;
    };
    if first == Road::Swallow {
        return swallow(&mut client).await;
    }
    let opened = if first == Road::Reset { None } else { TcpStream::connect(server).await.ok() };
    let Some(mut server) = opened else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let there = pump(from_client, to_server, road.clone());
    let back = pump(from_server, to_client, road);
    if tokio::try_join!(there, back).is_err() {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Waits while the road is held. `None` where the proxy has ended.
async fn beginning(road: &mut watch::Receiver<Road>) -> Option<Road> {
    road.wait_for(|road| *road != Road::Hold).await.ok().map(|road| *road)
}

/// One direction, until it is closed. The error is a reset, of either side or of the road.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut road: watch::Receiver<Road>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let now = *road.borrow_and_update();
        let changed = road.changed();
        match now {
            Road::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            Road::Hold => changed.await.map_err(io::Error::other)?,
            Road::Swallow => {
                while from.read(&mut chunk).await.is_ok_and(|length| length > 0) {}
                // The other side is not told that this one has left.
                std::future::pending::<()>().await;
            }
            Road::Open => tokio::select! {
                changed = changed => changed.map_err(io::Error::other)?,
                length = from.read(&mut chunk) => match length? {
                    0 => return to.shutdown().await,
                    length => to.write_all(&chunk[..length]).await?,
                },
            },
        }
    }
}

async fn swallow(client: &mut TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while client.read(&mut chunk).await.is_ok_and(|length| length > 0) {}
}
