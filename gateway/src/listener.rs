//! Connections: accepted here, handed to the engine one request after another, and let go in good order.
//! An accept loop of our own, so that a port can be 0, an idle connection ends when we say so, and a
//! shutdown waits for requests instead of for time. It never reads a byte of a request.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest as _, SocketDigest};
use pingora::proxy::HttpProxy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config;
use crate::connection::{Connection, PATIENCE};
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::streams::carrier::Carrier;

/// How long accepting pauses when there are no file descriptors left: long enough for some to close.
const PAUSE: Duration = Duration::from_millis(50);

/// What connections are handed to, and how they end.
#[derive(Clone)]
pub struct Acceptor {
    proxy: Arc<HttpProxy<Gateway>>,
    metrics: Arc<Metrics>,
    connections: TaskTracker,
    stop: CancellationToken,
    /// What the engine looks at before it keeps a connection.
    ending: watch::Sender<bool>,
}

impl Acceptor {
    /// Hands connections to `proxy`.
    pub fn new(proxy: HttpProxy<Gateway>, metrics: Arc<Metrics>) -> Self {
        Self {
            proxy: Arc::new(proxy),
            metrics,
            connections: TaskTracker::new(),
            stop: CancellationToken::new(),
            ending: watch::Sender::new(false),
        }
    }

    /// Listens, and accepts until [`Acceptor::drain`]: the address, whose port may have been 0.
    pub async fn listen(&self, terms: config::Listener) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(terms.address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(self.clone().accept(listener, terms));
        Ok(address)
    }

    async fn accept(self, listener: TcpListener, terms: config::Listener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let serving = self.clone().serve(stream, peer, terms.clone());
                    self.connections.spawn(serving);
                }
                Err(error) => {
                    warn!(target: "error", listener = terms.name, %error, "accepting failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end.
    async fn serve(self, stream: TcpStream, peer: SocketAddr, terms: config::Listener) {
        let _open = self.metrics.connection_opened();
        let _ = stream.set_nodelay(true); // A connection that can't be tuned can still be served.
        let carrier = Arc::new(Carrier::default());
        let connection = Connection::new(with_address(stream, peer), Arc::clone(&carrier));
        let mut next = Some(ServerSession::new_http1(Box::new(connection)));
        let ending = self.ending.subscribe();
        while let Some(mut session) = next {
            // The engine waits for ever for a next request unless told again each time.
            let keepalive = (!*ending.borrow()).then_some(terms.keepalive.as_secs().max(1));
            session.set_keepalive(keepalive);
            session.set_read_timeout(Some(terms.read_timeout));
            session.set_write_timeout(Some(terms.write_timeout));
            let reusable = tokio::select! {
                biased; // See `overdue`.
                cause = carrier.overdue(PATIENCE) => {
                    // Both its sides were stuck, so that the engine did not look at either.
                    let (listener, reason) = (&terms.name, cause.reason());
                    warn!(target: "error", listener, client = %peer.ip(), reason, "a stream did not end and was cut off");
                    return;
                }
                reusable = self.proxy.process_new_http(session, &ending) => reusable,
            };
            next = reusable.map(|reusable| {
                let (stream, settings) = reusable.consume();
                let mut session = ServerSession::new_http1(stream);
                if let Some(settings) = settings {
                    settings.apply_to_session(&mut session);
                }
                session
            });
        }
    }

    /// Stops accepting, ends idle connections, and waits for requests in flight: whether all ended in time.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.ending.send_replace(true);
        self.proxy.http_cleanup().await;
        self.connections.close();
        tokio::time::timeout(deadline, self.connections.wait()).await.is_ok()
    }
}

fn with_address(stream: TcpStream, peer: SocketAddr) -> L4Stream {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    digest.peer_addr.set(Some(peer.into())).expect("it was made in the line above");
    let mut stream = L4Stream::from(stream);
    stream.set_socket_digest(digest);
    stream
}
