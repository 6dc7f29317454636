//! Connections: accepted here, handed to one of the `workers`, which serves them by `http1` or `http2`, and let go in good
//! order. An accept loop of our own, so that a port can be 0, an idle connection ends when we say so, and a shutdown
//! waits for requests instead of for time. It decides nothing about a request.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::HttpServerApp as _;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::proxy::HttpProxy;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config;
use crate::descriptors::AcceptError;
use crate::gateway::Gateway;
use crate::gateway::snapshot::Snapshot;
use crate::metrics::Metrics;
use crate::overload::Room;
use crate::panics::{self, Panicked};
use crate::telemetry::AccessLog;

mod crowd;
mod http1;
mod http2;
mod refusal;
mod tls;
mod transport;
mod workers;

use crowd::Crowd;
pub use tls::Tls;
use transport::{Transport, with_address};
use workers::{Shared, Worker, Workers};

/// How long accepting pauses when there are no file descriptors left: long enough for some to close.
const PAUSE: Duration = Duration::from_millis(50);

/// What every client of HTTP/2 begins with.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The versions of HTTP that are spoken here.
enum Version {
    Http1,
    Http2,
}

/// One listener: what it was told, and who has come.
struct Terms {
    listener: config::Listener,
    /// Its certificates, if it speaks TLS.
    tls: Option<Arc<Tls>>,
    crowd: Crowd,
}

impl Deref for Terms {
    type Target = config::Listener;

    fn deref(&self) -> &config::Listener {
        &self.listener
    }
}

/// What accepts connections, and how they end.
#[derive(Clone)]
pub struct Acceptor {
    workers: Arc<Workers>,
    current: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    connections: TaskTracker,
    stop: CancellationToken,
    ending: watch::Sender<bool>,
}

impl Acceptor {
    /// Hands connections to so many workers, each with an engine that `proxy` makes; `current` tells which peers are
    /// proxies of ours. Whatever is still served when `end` says so is cut off.
    pub fn new(
        workers: NonZeroUsize,
        proxy: impl Fn() -> HttpProxy<Gateway>,
        current: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        access: AccessLog,
        end: &CancellationToken,
    ) -> io::Result<Self> {
        let (stop, ending) = (end.child_token(), watch::Sender::new(false));
        let shared = Shared { metrics: Arc::clone(&metrics), access, stop: stop.clone(), ending: ending.clone() };
        let workers = Arc::new(Workers::start(workers, &shared, end, proxy)?);
        Ok(Self { workers, current, metrics, connections: TaskTracker::new(), stop, ending })
    }

    /// Listens, and accepts until [`Acceptor::drain`]: the address, whose port may have been 0.
    pub async fn listen(&self, terms: config::Listener, tls: Option<Arc<Tls>>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(terms.address).await?;
        let address = listener.local_addr()?;
        let crowd = Crowd::new(&terms.bounds);
        let terms = Arc::new(Terms { listener: terms, crowd, tls });
        tokio::spawn(self.clone().accept(listener, terms));
        Ok(address)
    }

    async fn accept(self, listener: TcpListener, terms: Arc<Terms>) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.admit(stream, peer, &terms);
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

    /// Has a connection served, unless there are too many: then it is closed at once, which costs least.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, terms: &Arc<Terms>) {
        let address = peer.ip().to_canonical();
        // Behind a proxy of ours there are many people.
        let trusted = self.current.load().trusted_proxies.iter().any(|net| net.contains(&address));
        match terms.crowd.enter((!trusted).then_some(address)) {
            Ok(place) => {
                // Whoever serves it waits for it, too.
                let Ok(stream) = stream.into_std() else { return };
                let terms = Arc::clone(terms);
                self.workers.idlest().take(&self.connections, |worker| async move {
                    let _open = worker.metrics.connection_opened();
                    let serving = worker.serve(stream, peer, place.streams(), &terms);
                    panics::caught(serving).await.unwrap_or_else(|Panicked| worker.metrics.panicked("connection"));
                    drop(place);
                });
            }
            Err(full) => self.metrics.connection_refused(&terms.name, full.reason()),
        }
    }

    /// Stops accepting, ends idle connections, and waits for requests in flight: whether all ended in time.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.ending.send_replace(true);
        for worker in self.workers.iter() {
            worker.proxy.http_cleanup().await;
        }
        self.connections.close();
        timeout(deadline, self.connections.wait()).await.is_ok()
    }

    /// Returns when no other thread serves anybody any more, soon after `end` said so.
    pub async fn ended(&self) {
        self.workers.ended().await;
    }
}

impl Worker {
    /// Serves one connection to its end.
    async fn serve(self: &Arc<Self>, stream: std::net::TcpStream, peer: SocketAddr, room: Option<Room>, terms: &Terms) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let _ = stream.set_nodelay(true); // A connection that can't be tuned can still be served.
        let stream = with_address(stream, peer);
        let opened = match &terms.tls {
            Some(tls) => self.stop.run_until_cancelled(Box::pin(tls.handshake(stream, peer))).await.flatten(),
            None => in_plain(stream, terms).await.ok(),
        };
        // What is large and not always needed is on the heap: a connection that is idle keeps the rest of all this.
        match opened {
            Some((transport, Version::Http1)) => http1::serve(self, transport, peer, terms).await,
            Some((transport, Version::Http2)) => Box::pin(http2::serve(self, transport, room, terms)).await,
            None => {} // It said nothing that we understand.
        }
    }
}

/// Which HTTP a client speaks. One that begins with the preface of HTTP/2 (RFC 9113 §3.4) can't mean a request of
/// HTTP/1.1.
async fn in_plain(mut stream: Box<L4Stream>, terms: &config::Listener) -> io::Result<(Transport, Version)> {
    let h2c = matches!(terms.transport, config::Transport::Plain { h2c: true });
    let is_http2 = h2c && timeout(terms.bounds.header_timeout, begins_http2(&mut stream)).await??;
    Ok((Transport::plain(stream), if is_http2 { Version::Http2 } else { Version::Http1 }))
}

/// Whether the preface of HTTP/2 comes. No more is waited for than it takes to tell, and nothing is taken away.
async fn begins_http2(stream: &mut L4Stream) -> io::Result<bool> {
    let (mut start, mut length) = ([0; PREFACE.len()], 0);
    while length < PREFACE.len() && PREFACE.starts_with(&start[..length]) {
        match stream.read(&mut start[length..]).await? {
            0 => break,
            more => length += more,
        }
    }
    stream.rewind(&start[..length]);
    Ok(start == PREFACE)
}
