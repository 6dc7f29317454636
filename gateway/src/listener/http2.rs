//! One connection of HTTP/2: its requests are handed to the engine side by side, each with a carrier of its own, so
//! that each can be ended alone. What a client may cost is bounded here: streams, headers, idle time, requests that it
//! takes back, and frames that carry nothing. It relies on h2 for the protocol and on the engine to answer.

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use pingora::Result;
use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::{Digest, GetSocketDigest as _, SocketDigest, Stream};
use tokio::task::JoinSet;
use tracing::info;

use super::Terms;
use super::transport::Transport;
use super::workers::Worker;
use crate::config;
use crate::connection::PATIENCE;
use crate::connection::entrance::Entrance;
use crate::overload::{Full, Place, Rank, Room};
use crate::panics::{self, Panicked};

mod conduct;
mod frames;
mod metered;

use conduct::Conduct;
use metered::{Meter, Metered};

/// How many requests of one connection may be open at once.
const MAX_STREAMS: u32 = 100;
/// How much of a body may come before it is read: of one stream, and of all.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of an answer waits for a client that is slow to take it, on one stream.
const MAX_SEND_BUFFER: usize = 64 * 1024;

type Connection = h2::server::Connection<Stream, bytes::Bytes>;

/// Serves a connection to its end.
pub(super) async fn serve(worker: &Arc<Worker>, transport: Transport, room: Option<Room>, terms: &Terms) {
    let (socket, transport) = (transport.get_socket_digest(), Metered::new(transport));
    let visit = Visit { worker, terms, socket, room, meter: transport.meter() };
    let handshake = server::handshake(Box::new(transport), Some(limits(terms.bounds.max_header_bytes)));
    if let Ok(Ok(connection)) = tokio::time::timeout(terms.bounds.header_timeout, handshake).await {
        visit.serve(connection).await;
    }
}

/// The engine's defaults bound what it receives; these bound what it keeps.
fn limits(max_header_bytes: usize) -> H2Options {
    let mut limits = server::default_h2_options();
    limits
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MAX_SEND_BUFFER);
    limits
}

/// A client that has come over HTTP/2.
struct Visit<'a> {
    worker: &'a Arc<Worker>,
    terms: &'a Terms,
    socket: Option<Arc<SocketDigest>>,
    /// Where its requests find room, with those of its neighbours.
    room: Option<Room>,
    meter: Meter,
}

impl Visit<'_> {
    async fn serve(&self, mut connection: Connection) {
        let mut ending = self.worker.ending.subscribe();
        let mut leaving = *ending.borrow();
        let mut streams = JoinSet::new();
        let mut conduct = Conduct::default();
        let mut left = self.terms.bounds.requests_per_connection;
        while conduct.is_tolerable() && !self.meter.is_spent() {
            let entrance = Arc::new(Entrance::new(&self.terms.transport, self.terms.bounds.body));
            let Ok(digest) = self.digest(&entrance) else { break };
            let patience = if leaving { PATIENCE } else { self.terms.keepalive };
            tokio::select! {
                biased;
                _ = ending.changed(), if !leaving => leave(&mut connection, &mut leaving),
                () = self.meter.spent() => {}
                Some(ended) = streams.join_next() => conduct.ended(ended.unwrap_or(true)),
                accepted = HttpSession::from_h2_conn(&mut connection, digest) => match accepted {
                    Ok(Some(H2Accept::Session(mut session))) => {
                        match self.place() {
                            Ok(place) => {
                                let patience = Patience::of(self.terms);
                                let answering = Arc::clone(self.worker).answer(session, entrance, patience);
                                streams.spawn(async move {
                                    let _place = place;
                                    answering.await
                                });
                            }
                            Err(full) => self.refuse(&mut session, full),
                        }
                        left = left.saturating_sub(1);
                        if leaving {
                            conduct.late();
                        } else if left == 0 {
                            leave(&mut connection, &mut leaving);
                        }
                    }
                    Ok(Some(H2Accept::Rejected)) => conduct.rejected(),
                    Ok(None) | Err(_) => break,
                },
                () = self.terms.crowd.pressed(), if streams.is_empty() && !leaving => leave(&mut connection, &mut leaving),
                () = tokio::time::sleep(patience), if streams.is_empty() => {
                    if leaving {
                        break; // It does not close its side.
                    }
                    leave(&mut connection, &mut leaving);
                }
            }
        }
        if !conduct.is_tolerable() || self.meter.is_spent() {
            self.send_away(&mut connection).await;
        }
        drop(connection);
        // Whoever still answers finds out that nobody is there.
        let all = async { while streams.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }

    /// A place for one more request, where those of its address are bounded.
    fn place(&self) -> Result<Option<Place>, Full> {
        self.room.as_ref().map(|room| room.enter(Rank::Known).ok_or(Full::Address)).transpose()
    }

    /// Refuses a request, which its client may send again (RFC 9113 §8.7).
    fn refuse(&self, session: &mut HttpSession, full: Full) {
        session.shutdown_with_reason(Reason::REFUSED_STREAM);
        self.worker.metrics.shed(full, "-");
    }

    fn digest(&self, entrance: &Arc<Entrance>) -> Result<Arc<Digest>> {
        let (proxy_digest, socket_digest) = (Some(entrance.digest()?), self.socket.clone());
        Ok(Arc::new(Digest { proxy_digest, socket_digest, ..Digest::default() }))
    }

    /// Says that this is too much (RFC 9113 §7), and closes.
    async fn send_away(&self, connection: &mut Connection) {
        let client = self.socket.as_ref().and_then(|socket| socket.peer_addr()?.as_inet().copied());
        let client = client.map(|address| address.ip());
        info!(target: "error", listener = self.terms.name, ?client, "an HTTP/2 client asked too much and was sent away");
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        let closed = std::future::poll_fn(|cx| connection.poll_closed(cx));
        let _ = tokio::time::timeout(PATIENCE, closed).await; // It may not listen any more.
    }
}

/// Lets the client know that it is to bring what is to come elsewhere (RFC 9113 §6.8).
fn leave(connection: &mut Connection, leaving: &mut bool) {
    connection.graceful_shutdown();
    *leaving = true;
}

/// How long one request waits for its client.
struct Patience {
    /// To send more of a body.
    read: Duration,
    /// To take more of an answer.
    write: Duration,
}

impl Patience {
    fn of(terms: &config::Listener) -> Self {
        Self { read: terms.read_timeout, write: terms.write_timeout }
    }
}

impl Worker {
    /// Answers one request: whether its client waited for the end. A fault of ours is not held against it.
    async fn answer(self: Arc<Self>, session: HttpSession, entrance: Arc<Entrance>, patience: Patience) -> bool {
        panics::caught(self.carry(session, &entrance, patience)).await.unwrap_or_else(|Panicked| {
            self.metrics.panicked("request");
            true
        })
    }

    /// Carries one request to its end. A stream that is to end, or whose body does not come, is reset (RFC 9113 §8.1):
    /// the engine gives no other way in while it waits.
    async fn carry(&self, session: HttpSession, entrance: &Entrance, patience: Patience) -> bool {
        let mut session = ServerSession::new_http2(session);
        session.set_write_timeout(Some(patience.write));
        let ending = self.ending.subscribe();
        tokio::select! {
            biased; // See `overdue`.
            _ = entrance.carrier.overdue(Duration::ZERO) => true,
            _ = self.proxy.process_new_http(session, &ending) => entrance.is_completed(),
            () = entrance.upload.overdue(patience.read, entrance.pace.request_timeout) => true,
        }
    }
}
