//! One connection of HTTP/1.1: requests are handed to the engine one after another, until either side has had
//! enough. It relies on the engine to read and answer each.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use tracing::warn;

use super::Acceptor;
use super::transport::Transport;
use crate::config;
use crate::connection::entrance::Entrance;
use crate::connection::{Connection, PATIENCE};

/// Serves a connection to its end.
pub(super) async fn serve(acceptor: &Acceptor, transport: Transport, peer: SocketAddr, terms: &config::Listener) {
    let entrance = Arc::new(Entrance::new(&terms.transport));
    let Ok(connection) = Connection::new(transport, &entrance) else { return };
    let mut next = Some(ServerSession::new_http1(Box::new(connection)));
    let ending = acceptor.ending.subscribe();
    while let Some(mut session) = next {
        // The engine waits for ever for a next request unless told again each time.
        let keepalive = (!*ending.borrow()).then_some(terms.keepalive.as_secs().max(1));
        session.set_keepalive(keepalive);
        session.set_read_timeout(Some(terms.read_timeout));
        session.set_write_timeout(Some(terms.write_timeout));
        let reusable = tokio::select! {
            biased; // See `overdue`.
            cause = entrance.carrier.overdue(PATIENCE) => {
                // Both its sides were stuck, so that the engine did not look at either.
                let (listener, reason) = (&terms.name, cause.reason());
                warn!(target: "error", listener, client = %peer.ip(), reason, "a stream did not end and was cut off");
                return;
            }
            reusable = acceptor.proxy.process_new_http(session, &ending) => reusable,
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
