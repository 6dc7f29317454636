//! Connections: accepted here, handed on to `http1` or `http2`, and let go in good order. An accept loop of our
//! own, so that a port can be 0, an idle connection ends when we say so, and a shutdown waits for requests instead
//! of for time. It decides nothing about a request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::Peek as _;
use pingora::proxy::HttpProxy;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config;
use crate::descriptors::AcceptError;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::panics::{self, Panicked};

mod http1;
mod http2;
mod transport;

use transport::{Transport, with_address};

/// How long accepting pauses when there are no file descriptors left: long enough for some to close.
const PAUSE: Duration = Duration::from_millis(50);

/// What every client of HTTP/2 begins with.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The versions of HTTP that are spoken here.
enum Version {
    Http1,
    Http2,
}

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
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    let (metrics, serving) =
                        (Arc::clone(&self.metrics), self.clone().serve(stream, peer, terms.clone()));
                    self.connections.spawn(async move {
                        panics::caught(serving).await.unwrap_or_else(|Panicked| metrics.panicked("connection"));
                    });
                }
                Err(error) => {
                    let kind = AcceptError::of(&error);
                    self.metrics.accept_failed(&terms.name, kind.name());
                    if !kind.lasts() {
                        continue;
                    }
                    if !failing {
                        warn!(target: "error", listener = terms.name, %error, "accepting fails: pausing again and again");
                    }
                    failing = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end.
    async fn serve(self, stream: TcpStream, peer: SocketAddr, terms: config::Listener) {
        let _open = self.metrics.connection_opened();
        let _ = stream.set_nodelay(true); // A connection that can't be tuned can still be served.
        let mut transport = Transport::Plain(with_address(stream, peer));
        match version(&mut transport, &terms).await {
            Ok(Version::Http1) => http1::serve(&self, transport, peer, &terms).await,
            Ok(Version::Http2) => http2::serve(&self, transport, &terms).await,
            Err(_) => {} // It said nothing.
        }
    }

    /// Stops accepting, ends idle connections, and waits for requests in flight: whether all ended in time.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.ending.send_replace(true);
        self.proxy.http_cleanup().await;
        self.connections.close();
        timeout(deadline, self.connections.wait()).await.is_ok()
    }
}

/// Which HTTP a client speaks. One that begins with the preface of HTTP/2 (RFC 9113 §3.4) can't mean a request of
/// HTTP/1.1.
async fn version(transport: &mut Transport, terms: &config::Listener) -> io::Result<Version> {
    let mut start = [0; PREFACE.len()];
    if terms.h2c && timeout(terms.read_timeout, transport.try_peek(&mut start)).await?? && start == PREFACE {
        return Ok(Version::Http2);
    }
    Ok(Version::Http1)
}
