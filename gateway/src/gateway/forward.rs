//! The way to a server: which one, under which path, and another one if it can't be reached. Each step
//! needs the permit that `admit` granted. Who is calling is `identity.rs`.

use std::sync::Arc;
use std::time::Instant;

use http::Method;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::connection::entrance::Entrance;
use crate::inbound::path::with_query;
use crate::journey::Journey;
use crate::metrics::Metrics;
use crate::overload::Full;
use crate::policy::Permit;
use crate::problem::Denied;
use crate::routing::Target;
use crate::upstream::Pool;

/// The permit, without which there is no way here.
pub(super) fn permit(journey: &Journey) -> Result<&Permit> {
    journey.permit.as_ref().ok_or_else(|| Error::explain(ErrorType::InternalError, "no permit"))
}

/// The server to try next.
pub(super) fn peer(session: &mut Session, journey: &mut Journey) -> Result<Box<HttpPeer>> {
    let route = Arc::clone(permit(journey)?.route());
    let Target::Upstream { id, .. } = &route.target else {
        return Err(Error::explain(ErrorType::InternalError, "an endpoint has no upstream"));
    };
    let pool = journey.snapshot.upstreams.pool(id).map(Arc::clone);
    let pool = pool.ok_or_else(|| Error::explain(ErrorType::InternalError, "a route without a pool"))?;
    let upgrade = may_become_tunnel(session.req_header());
    enter(&pool, upgrade, journey)?;
    let server = pool.pick(&journey.attempt.tried).map_err(|denied| failed(journey, denied))?;
    if upgrade {
        session.set_read_timeout(Some(pool.tunnel_timeout()));
    }
    if session.is_http2()
        && !session.as_mut().is_body_done()
        && let Some(entrance) = Entrance::of(session)
    {
        entrance.upload.hear();
    }
    let peer = pool.peer(&server, upgrade, route.read_timeout);
    journey.attempt.began.get_or_insert_with(Instant::now);
    journey.attempt.server = Some(server);
    Ok(peer)
}

/// Takes a place among the requests of the pool, once for however many servers are tried; of a WebSocket only where it
/// will find one among the streams.
fn enter(pool: &Arc<Pool>, upgrade: bool, journey: &mut Journey) -> Result<()> {
    journey.attempt.pool = Some(Arc::clone(pool));
    if journey.attempt.place.is_some() {
        return Ok(());
    }
    let rank = journey.rank();
    if upgrade && !journey.snapshot.streams.has_place(rank) {
        return Err(failed(journey, Denied::Overloaded(Full::Streams)));
    }
    let place = pool.enter(rank).map_err(|denied| failed(journey, denied))?;
    journey.attempt.place = Some(place);
    Ok(())
}

/// Whether this is a WebSocket handshake (RFC 6455 §4.1). Whatever else says `Upgrade` is a request, and may
/// not be silent for as long as a tunnel.
pub(super) fn may_become_tunnel(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let asks = headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let has_body = || headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    asks && request.method == Method::GET && !has_body()
}

#[expect(clippy::unnecessary_box_returns, reason = "the engine takes its errors boxed")]
fn failed(journey: &mut Journey, denied: Denied) -> Box<Error> {
    journey.failed = Some(denied);
    Error::explain(ErrorType::ConnectError, "no server to try").into_up()
}

/// Lets `bytes` more of the body through, or ends the request: its server gets to see no end of it.
pub(super) fn body(session: &Session, bytes: usize, is_last: bool, journey: &mut Journey) -> Result<()> {
    let limit = permit(journey)?.route().max_body;
    let after = journey.began.elapsed();
    // Once a server talks, both sides may go on for as long as they like: that is how gRPC streams.
    let entrance = Entrance::of(session).filter(|_| !is_answered(session));
    if let Some(Entrance { upload, .. }) = entrance.map(|entrance| &**entrance) {
        if is_last { upload.done() } else { upload.hear() }
    }
    let pace = entrance.map(|entrance| &entrance.pace);
    journey.body.take(bytes, limit, after, pace).map_err(|denied| {
        journey.failed = Some(denied);
        Error::explain(ErrorType::InternalError, "a body that is not let through")
    })
}

/// Whether the client has got the head of an answer, or a tunnel; an interim one (RFC 9110 §15.2) is none.
pub(super) fn is_answered(session: &Session) -> bool {
    session.was_upgraded() || session.response_written().is_some_and(|head| !head.status.is_informational())
}

/// Who is waited for, and so is late if nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The client, to send the rest of a body.
    Client,
    /// The server.
    Server,
    /// Either side of a tunnel.
    Either,
}

/// Who is waited for now.
pub(super) fn awaited(session: &mut Session, journey: &Journey) -> Awaited {
    match () {
        () if session.was_upgraded() => Awaited::Either,
        () if waits_for_client(session, journey) => Awaited::Client,
        () => Awaited::Server,
    }
}

/// Whether it is the client who is waited for, to send the rest of a body. Not while the server is to say that it wants one
/// at all (RFC 9110 §10.1.1). While a server of HTTP/1.1 takes none of a body, the engine asks no answer of it, either;
/// of one that speaks HTTP/2 it does, so it is not known who is late once something was sent.
fn waits_for_client(session: &mut Session, journey: &Journey) -> bool {
    let asks_first = session.req_header().headers.contains_key(EXPECT) && session.response_written().is_none();
    let speaks_http2 = journey.attempt.pool.as_ref().is_some_and(|pool| pool.speaks_http2());
    let is_unclear = asks_first || (speaks_http2 && journey.body.has_begun());
    !is_unclear && !is_answered(session) && !session.as_mut().is_body_done()
}

/// Notes that a server can't be reached, and has the engine try another if there is one.
#[expect(clippy::unnecessary_box_returns, reason = "the engine takes its errors boxed")]
pub(super) fn try_another(journey: &mut Journey, mut error: Box<Error>, metrics: &Metrics) -> Box<Error> {
    let attempt = &mut journey.attempt;
    if let (Some(pool), Some(server)) = (&attempt.pool, &attempt.server) {
        pool.failed(server);
        metrics.upstream_failed(pool.id(), "connect");
        // Only here: a server that closed an idle connection is fine, and may be the only one.
        attempt.tried.push(server.address());
        let more = attempt.tried.len() < pool.attempts() && pool.pick(&attempt.tried).is_ok();
        error.set_retry(more);
    }
    error
}

/// The host that the client asked for, with its port: once the request was read it stands in the header, before that it
/// may stand in the target (RFC 9113 §8.3.1).
pub(super) fn authority(request: &RequestHeader) -> &str {
    let header = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    header.or(request.uri.authority().map(Authority::as_str)).unwrap_or("")
}

/// Puts the route's path in place of the request's.
pub(super) fn rewrite(request: &mut RequestHeader, permit: &Permit) -> Result<()> {
    let route = permit.route();
    let Target::Upstream { rewrite: Some(rewrite), .. } = &route.target else { return Ok(()) };
    let path = rewrite.apply(&route.path, request.uri.path());
    let target = with_query(&path, request.uri.query()).parse();
    request.set_uri(target.map_err(|_| Error::explain(ErrorType::InternalError, "a rewrite that is no target"))?);
    Ok(())
}

/// Notes that the answer has begun.
pub(super) fn answered(journey: &mut Journey) {
    let attempt = &mut journey.attempt;
    if let (Some(began), Some(pool), None) = (attempt.began, &attempt.pool, attempt.answered_after) {
        let after = began.elapsed();
        attempt.answered_after = Some(after);
        pool.answered(after);
    }
}
