//! The service on a socket: accepts connections, serves HTTP/1 on each, and stops in good order. Relies on
//! [`App`] for every answer. Bounds what a client may hold up: connections, heads, and the time for a head.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::store::{Store, StoreError};

/// How long a connection may take to send a head. hyper counts the wait for a next request too, so this is
/// also how long an idle connection lives: longer than gateways keep theirs, or they would write to a closed one.
const HEAD_DEADLINE: Duration = Duration::from_secs(90);
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_CONNECTIONS: usize = 4096;

/// Why the service did not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// It would be unsafe, or could not work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The password workers can't be started.
    #[error("can't start the password workers")]
    Workers(#[source] io::Error),
}

/// How the service stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Drained,
    /// Some requests took longer than they were given, and were cut off.
    CutOff {
        /// On how many connections.
        connections: usize,
    },
}

/// A running service. Dropping it stops it without waiting; [`stop`](Server::stop) waits.
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    accepting: JoinHandle<Stopped>,
    stopping: DropGuard,
}

impl Server {
    /// Opens the database, listens, and serves in the background of the present runtime.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        config.check()?;
        let store = Store::open(&config.database).await?;
        let app = Arc::new(App::new(&config, store).map_err(ServerError::Workers)?);
        let listening = |source| ServerError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let stopping = CancellationToken::new();
        let connections = Connections::new(Arc::clone(&app));
        let accepting = tokio::spawn(accept(listener, connections, stopping.clone(), config.drain));
        Ok(Self { address, app, accepting, stopping: stopping.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, lets running requests finish within [`Config::drain`], and closes the database.
    pub async fn stop(self) -> Stopped {
        drop(self.stopping);
        let stopped = self.accepting.await.unwrap_or(Stopped::CutOff { connections: 0 });
        self.app.store.close().await;
        stopped
    }
}

/// The connections that are open, and the two ways of ending them.
struct Connections {
    app: Arc<App>,
    open: TaskTracker,
    room: Arc<Semaphore>,
    /// Finish the request at hand, then close.
    finish: CancellationToken,
    /// Close now.
    cut: CancellationToken,
}

impl Connections {
    fn new(app: Arc<App>) -> Self {
        let (finish, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { app, open: TaskTracker::new(), room: Arc::new(Semaphore::new(MAX_CONNECTIONS)), finish, cut }
    }

    /// Serves one connection in a task of its own, once there is room for it.
    async fn serve(&self, stream: TcpStream) {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        let (app, finish, cut) = (Arc::clone(&self.app), self.finish.clone(), self.cut.clone());
        self.open.spawn(async move {
            let _room = room;
            tokio::select! {
                () = cut.cancelled() => {}
                () = serve(stream, app, finish) => {}
            }
        });
    }

    /// Ends all connections: in good order within `drain`, then in any.
    async fn end(self, drain: Duration) -> Stopped {
        self.finish.cancel();
        self.open.close();
        if timeout(drain, self.open.wait()).await.is_ok() {
            return Stopped::Drained;
        }
        let connections = self.open.len();
        self.cut.cancel();
        self.open.wait().await;
        Stopped::CutOff { connections }
    }
}

/// Accepts connections until told to stop.
async fn accept(
    listener: TcpListener,
    connections: Connections,
    stopping: CancellationToken,
    drain: Duration,
) -> Stopped {
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => connections.serve(stream).await,
                // Mostly too many open files: there is nothing to do but to wait for some to be closed.
                Err(error) => {
                    tracing::warn!(target: "error", %error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    connections.end(drain).await
}

/// Serves the requests of one connection.
async fn serve(stream: TcpStream, app: Arc<App>, finish: CancellationToken) {
    // Answers are written whole; there is nothing to gather.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(app.serve(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = finish.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(target: "api", %error, "a connection broke off");
    }
}
