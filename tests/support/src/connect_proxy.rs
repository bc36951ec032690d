//! A forward proxy as companies have them: it connects by HTTP `CONNECT` (RFC 9110, 9.3.6) and sees all that passes.

// What waits for real processes waits in real time.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Whom it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admits {
    All,
    /// 403
    Nobody,
    /// 407 without this value of `Proxy-Authorization`.
    Only(String),
    /// The connection is closed.
    Silence,
}

/// A proxy on a loopback port. It belongs to the tokio runtime it is started in; dropping it ends it and all connections.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    admits: watch::Sender<Admits>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    connects: Vec<String>,
    bytes: Vec<u8>,
}

impl ConnectProxy {
    /// Which admits all.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (admits, changes) = watch::channel(Admits::All);
        let seen = Arc::<Mutex<Seen>>::default();
        let task = tokio::spawn(accept(listener, changes, Arc::clone(&seen)));
        Ok(Self { address, admits, seen, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on. All connections that there are end.
    pub fn set(&self, admits: Admits) {
        self.admits.send_replace(admits);
    }

    /// Whom it was asked to connect to, as `host:port`, admitted or not.
    ///
    /// # Panics
    /// Never.
    pub fn connects(&self) -> Vec<String> {
        lock(&self.seen).connects.clone()
    }

    /// All bytes that have come, either way, those of `CONNECT` included.
    ///
    /// # Panics
    /// Never.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.seen).bytes.clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nobody panics while it is held")
}

async fn accept(listener: TcpListener, mut admits: watch::Receiver<Admits>, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                let admits = admits.borrow().clone();
                connections.spawn(carry(client, admits, Arc::clone(&seen)));
            },
            changed = admits.changed() => match changed {
                Ok(()) => connections.shutdown().await,
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, admits: Admits, seen: Arc<Mutex<Seen>>) -> io::Result<()> {
    let head = head(&mut client).await?;
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    {
        let mut seen = lock(&seen);
        seen.bytes.extend_from_slice(head.as_bytes());
        seen.connects.push(target.clone());
    }
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    let refusal = match &admits {
        Admits::Silence => return Ok(()),
        Admits::Nobody => Some("403 Forbidden"),
        Admits::Only(wanted) if authorization != Some(wanted) => Some("407 Proxy Authentication Required"),
        Admits::All | Admits::Only(_) => None,
    };
    if let Some(refusal) = refusal {
        return client.write_all(format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
    }
    let Ok(mut server) = TcpStream::connect(&target).await else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(pump(from_client, to_server, &seen), pump(from_server, to_client, &seen))?;
    Ok(())
}

/// What comes before the empty line.
async fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut chunk = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        lock(seen).bytes.extend_from_slice(&chunk[..length]);
        to.write_all(&chunk[..length]).await?;
    }
}
