//! An HTTP/1.1 server on a thread and runtime of its own, so that it outlives the runtime of the test that started it, with
//! a door that can be shut and opened again on the same port.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The body of an answer. An error in it closes the connection.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// No answer: the connection is closed as it is.
pub(crate) type Answer = Result<Response<Body>, io::Error>;

/// Answers a request.
pub(crate) type Handler =
    Arc<dyn Fn(Request<Incoming>, Connection) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// The connection that a request came on.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    twin: Arc<std::net::TcpStream>,
}

impl Connection {
    /// Lets the connection end with a TCP RST instead of a FIN when it is closed next.
    pub(crate) fn reset_when_closed(&self) -> io::Result<()> {
        TcpStream::from_std(self.twin.try_clone()?)?.set_zero_linger()
    }
}

enum Command {
    Down(Option<std_mpsc::Sender<()>>),
    Up(Option<std_mpsc::Sender<io::Result<()>>>),
}

/// Shuts and opens the door; for handlers, which must not wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Door(mpsc::UnboundedSender<Command>);

impl Door {
    /// Shuts the door a little later, so that the answer under way still leaves, and opens it again after `time`.
    pub(crate) fn shut_for(&self, time: Duration) {
        let door = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = door.send(Command::Down(None));
            tokio::time::sleep(time).await;
            let _ = door.send(Command::Up(None));
        });
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    door: Door,
    commands: Option<mpsc::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A bound port, before anything is served on it.
pub(crate) struct Bound {
    listener: StdListener,
    pub(crate) address: SocketAddr,
}

/// Binds a port (0: any).
pub(crate) fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

impl Server {
    /// Serves on a bound port. `make_handler` gets the door, for a handler that shuts it.
    pub(crate) fn start(
        name: &str,
        bound: Bound,
        tls: Option<TlsAcceptor>,
        make_handler: impl FnOnce(Door) -> Handler,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (alive, ended) = mpsc::channel(1);
        let door = Door(commands);
        let handler = make_handler(door.clone());
        let address = bound.address;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(serve(bound, tls, handler, inbox, ended));
            runtime.shutdown_background();
        })?;
        Ok(Self { address, door, commands: Some(alive), thread: Some(thread) })
    }

    /// The address, which stays the same for the server's life.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and every connection; returns when connections are refused.
    pub(crate) fn down(&self) {
        let (done, wait) = std_mpsc::channel();
        if self.door.0.send(Command::Down(Some(done))).is_ok() {
            let _ = wait.recv();
        }
    }

    /// Listens again on the same port; returns when connections are accepted.
    pub(crate) fn up(&self) -> io::Result<()> {
        let (done, wait) = std_mpsc::channel();
        let _ = self.door.0.send(Command::Up(Some(done)));
        wait.recv().unwrap_or_else(|_| Err(io::Error::other("the server has ended")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// The port: listened on, or only held so that nobody else gets it.
enum Port {
    Open(TcpListener),
    Shut(Option<TcpSocket>),
}

impl Port {
    async fn accept(&self) -> Option<TcpStream> {
        match self {
            Self::Open(listener) => match listener.accept().await {
                Ok((stream, _)) => Some(stream),
                Err(_) => {
                    // Out of file descriptors or the like: not a reason to spin.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    None
                }
            },
            Self::Shut(_) => std::future::pending().await,
        }
    }

    /// A socket that is bound but doesn't listen: connections are refused.
    fn shut(&mut self, address: SocketAddr) {
        if matches!(self, Self::Open(_)) {
            *self = Self::Shut(None);
            *self = Self::Shut(held(address).ok());
        }
    }

    fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        if let Self::Shut(socket) = self {
            let socket = match socket.take() {
                Some(socket) => socket,
                None => held(address)?,
            };
            *self = Self::Open(socket.listen(1024)?);
        }
        Ok(())
    }
}

fn held(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(
    bound: Bound,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    mut commands: mpsc::UnboundedReceiver<Command>,
    mut ended: mpsc::Receiver<Infallible>,
) {
    let address = bound.address;
    let Ok(listener) = TcpListener::from_std(bound.listener) else {
        return;
    };
    let mut port = Port::Open(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = ended.recv() => break,
            Some(command) = commands.recv() => match command {
                Command::Down(done) => {
                    port.shut(address);
                    connections.shutdown().await;
                    done.map(|done| done.send(()));
                }
                Command::Up(done) => {
                    let result = port.open(address);
                    done.map(|done| done.send(result));
                }
            },
            stream = port.accept() => if let Some(stream) = stream {
                connections.spawn(converse(stream, tls.clone(), Arc::clone(&handler)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler) {
    let _ = stream.set_nodelay(true);
    let Ok(connection) = connection_of(&stream) else {
        return;
    };
    match tls {
        None => speak(stream, connection, handler).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, connection, handler).await;
            }
        }
    }
}

fn connection_of(stream: &TcpStream) -> io::Result<Connection> {
    let twin = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
    Ok(Connection { peer: stream.peer_addr()?, twin: Arc::new(twin) })
}

async fn speak<S>(stream: S, connection: Connection, handler: Handler)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| handler(request, connection.clone()));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}
