//! Connections: accepted here, handed on to `http1` or `http2`, and let go in good order. An accept loop of our
//! own, so that a port can be 0, an idle connection ends when we say so, and a shutdown waits for requests instead
//! of for time. It decides nothing about a request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::Peek as _;
use pingora::protocols::l4::stream::Stream as L4Stream;
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
mod tls;
mod transport;

pub use tls::Tls;
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
    pub async fn listen(&self, terms: config::Listener, tls: Option<Arc<Tls>>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(terms.address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(self.clone().accept(listener, terms, tls));
        Ok(address)
    }

    async fn accept(self, listener: TcpListener, terms: config::Listener, tls: Option<Arc<Tls>>) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    let metrics = Arc::clone(&self.metrics);
                    let serving = self.clone().serve(stream, peer, terms.clone(), tls.clone());
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
    async fn serve(self, stream: TcpStream, peer: SocketAddr, terms: config::Listener, tls: Option<Arc<Tls>>) {
        let _open = self.metrics.connection_opened();
        let _ = stream.set_nodelay(true); // A connection that can't be tuned can still be served.
        let stream = with_address(stream, peer);
        let opened = match tls {
            Some(tls) => self.stop.run_until_cancelled(tls.handshake(stream, peer)).await.flatten(),
            None => in_plain(stream, &terms).await.ok(),
        };
        match opened {
            Some((transport, Version::Http1)) => http1::serve(&self, transport, peer, &terms).await,
            Some((transport, Version::Http2)) => http2::serve(&self, transport, &terms).await,
            None => {} // It said nothing that we understand.
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
async fn in_plain(stream: Box<L4Stream>, terms: &config::Listener) -> io::Result<(Transport, Version)> {
    let (mut transport, mut start) = (Transport::Plain(stream), [0; PREFACE.len()]);
    let h2c = matches!(terms.transport, config::Transport::Plain { h2c: true });
    if h2c && timeout(terms.read_timeout, transport.try_peek(&mut start)).await?? && start == PREFACE {
        return Ok((transport, Version::Http2));
    }
    Ok((transport, Version::Http1))
}
