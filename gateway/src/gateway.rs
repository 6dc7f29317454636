//! THE JOURNEY: what happens to a request, in order. Everything here decides; nothing here computes.
//!
//! The engine calls the methods of [`ProxyHttp`] from the top: read it safely, [`admit`] it, pick
//! a server, assert who is calling, send the answer back, write one line. Without a [`crate::policy::Permit`] there is
//! no way past `request_filter`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::clock::Clock;
use crate::config::Transport;
use crate::connection::entrance::Entrance;
use crate::heads;
use crate::identity::{self, Assertion};
use crate::inbound::client::Origin;
use crate::journey::Journey;
use crate::metrics::Metrics;
use crate::routing::Target;
use crate::session::revoker::Revoker;
use crate::streams::Streams;
use crate::telemetry::AccessLog;

pub mod admit;
pub mod body;
pub mod exchange;
mod failure;
mod forward;
mod headers;
mod lasting;
mod own;
mod record;
mod secured;
pub mod snapshot;
mod sound;

use admit::{Asked, Noted};
use body::Body;
pub use record::Owed;
use snapshot::Snapshot;

/// The engine's word for "I have answered".
const ANSWERED: bool = true;
/// The engine's word for "go on to the upstream".
const CONTINUE: bool = false;

/// Every request passes here.
#[derive(Clone)]
pub struct Gateway {
    /// The configuration at work; swapped whole by a reload.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Tells when a request came.
    pub clock: Clock,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where access lines go.
    pub access: AccessLog,
    /// Knows which answers go on.
    pub streams: Arc<Streams>,
    /// Ends sessions because of what an upstream did.
    pub revoker: Arc<Revoker>,
}

impl Gateway {
    /// Reads the request safely: where it comes from, and in one way only.
    fn read(session: &mut Session, journey: &mut Journey) -> Result<()> {
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let peer = peer.ok_or_else(|| Error::explain(pingora::InternalError, "a connection without an address"))?;
        let transport = Entrance::of(session).map(|entrance| &entrance.transport);
        let secure = transport.is_some_and(Transport::is_secure);
        let headers = &session.req_header().headers;
        journey.origin = Origin::read(peer, secure, headers, &journey.snapshot.trusted_proxies);
        journey.request_id = journey.origin.request_id(headers).unwrap_or(journey.request_id);
        journey.outgoing.hsts = secured::insistence(transport, &journey.origin);
        journey.reading = exchange::canonicalise(session.req_header_mut());
        if journey.reading.is_err() {
            session.set_keepalive(None); // Where one request was ambiguous, so is where the next one begins.
        }
        Ok(())
    }

    /// Admits the request, or refuses it; serves what is meant for the gateway itself.
    async fn decide(&self, session: &mut Session, journey: &mut Journey) -> Result<bool> {
        let request = exchange::inbound(session.req_header(), &journey.origin);
        if let Some(port) = secured::sends_to(session) {
            return match journey.reading.and_then(|()| secured::redirect(&request, port)) {
                Ok(reply) => exchange::answer(session, journey, reply).await.map(|()| ANSWERED),
                Err(malformed) => self.refuse(session, journey, &malformed.into()).await,
            };
        }
        match admit::enter(&journey.snapshot, &request) {
            Ok(place) => journey.place = Some(place),
            Err(denied) => return self.refuse(session, journey, &denied).await,
        }
        if let Some(reply) = self.preflight(&request, journey) {
            return exchange::answer(session, journey, reply).await.map(|()| ANSWERED);
        }
        let Journey { snapshot, now, reading, place, route, outgoing, .. } = &mut *journey;
        let asked = Asked { snapshot, request: &request, now: *now, place: place.as_ref() };
        let admitted = match *reading {
            Ok(()) => admit::admit(asked, Noted { route, outgoing }).await,
            Err(malformed) => Err(malformed.into()),
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(denied) => return self.refuse(session, journey, &denied).await,
        };
        match permit.route().target {
            Target::Endpoint(endpoint) => {
                journey.permit = Some(permit.clone());
                // On the heap: it is large, and most requests go on to a server.
                Box::pin(self.serve(endpoint, &permit, session, journey)).await
            }
            Target::Upstream { .. } => {
                journey.permit = Some(permit);
                Ok(CONTINUE)
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Journey;

    /// Pins the configuration.
    fn new_ctx(&self) -> Journey {
        Journey::begin(self.current.load_full(), self.clock.now(), self.metrics.in_flight())
    }

    /// None: answers are passed on as they are, and the engine's own one, which compresses, costs something even if it
    /// does nothing.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// Reads the request safely: where it comes from, and in one way only.
    async fn early_request_filter(&self, session: &mut Session, journey: &mut Journey) -> Result<()> {
        let work = async {
            Self::read(session, journey)?;
            if session.is_http2() {
                record::owe(session, None, journey, self);
            }
            Ok(())
        };
        self.step(work).await
    }

    /// Admits the request, or refuses it; serves what is meant for the gateway itself.
    async fn request_filter(&self, session: &mut Session, journey: &mut Journey) -> Result<bool> {
        self.step(self.decide(session, journey)).await
    }

    /// Lets the body through, as long as it is neither too large nor too slow. What a tunnel carries is no body.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_last: bool,
        journey: &mut Journey,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        // The engine writes an empty piece at the end as the last chunk, and then the last chunk: a server would take
        // the second for the beginning of the next request on the connection, which may be somebody else's. Before
        // the end it drops an empty piece itself, and takes none at all for the end.
        if is_last && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        let bytes = body.as_ref().map_or(0, Bytes::len);
        self.step(async { forward::body(session, bytes, is_last, journey) }).await
    }

    /// Picks a server: no permit, no peer.
    async fn upstream_peer(&self, session: &mut Session, journey: &mut Journey) -> Result<Box<HttpPeer>> {
        self.step(async { forward::peer(session, journey) }).await
    }

    /// Tries another server when this one can't be reached: nothing was sent yet, so nothing is done twice.
    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, journey: &mut Journey, error: Box<Error>) -> Box<Error> {
        let step = self.step(async { Ok(forward::try_another(journey, error, &self.metrics)) });
        match step.now_or_never() {
            Some(Ok(error) | Err(error)) => error,
            None => Error::new(ErrorType::InternalError), // Nothing in it waits.
        }
    }

    /// Asserts who is calling, on the copy that is sent.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        journey: &mut Journey,
    ) -> Result<()> {
        let work = async {
            journey.body = Body::default(); // What an earlier attempt was sent is sent again.
            let permit = forward::permit(journey)?;
            let authority = forward::authority(session.req_header());
            let pool_headers = journey.attempt.pool.as_ref().map_or(&[][..], |pool| pool.headers());
            forward::rewrite(request, permit)?;
            let origin = &journey.origin;
            let request_id = &journey.request_id;
            let cookies = journey.snapshot.auth.cookies.as_deref();
            let renewed = journey.outgoing.cookies.renewed();
            let assertion = Assertion { permit, request_id, origin, authority, pool_headers, cookies, renewed };
            heads::of_request(request, |headers| identity::assert(headers, &assertion))
        };
        self.step(work).await
    }

    /// Refuses an answer that could be read in two ways; ends sessions if that is what a success means here, before anybody
    /// sees it; has an answer that may last watched; adds what every answer carries. To an interim one (RFC 9110 §15.2)
    /// nothing is added.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        journey: &mut Journey,
    ) -> Result<()> {
        let work = async {
            sound::check(session.req_header(), response)?;
            response.set_version(Version::HTTP_11); // Ours, whatever the server speaks (RFC 9112 §2.3).
            let status = response.status;
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                heads::of_response(response, |headers| headers::clean(headers, status, journey));
                return Ok(());
            }
            forward::answered(journey);
            Entrance::of(session).inspect(|entrance| entrance.upload.done()); // Now both sides may take their time.
            // RFC 9110 §9.2.1: what was asked by a safe method has changed nothing.
            if status.is_success() && !session.req_header().method.is_safe() {
                self.succeeded(session.req_header(), journey).await?;
            }
            lasting::register(session, response, journey, &self.streams)?;
            if journey.stream.is_some() || session.is_http2() {
                record::owe(session, Some(status), journey, self);
            }
            let is_tunnel = status.is_informational();
            heads::of_response(response, |headers| {
                headers::clean(headers, status, journey);
                if !is_tunnel {
                    headers::keep_private(headers, session.req_header(), journey);
                }
                headers::annotate(headers, journey);
            });
            Ok(())
        };
        self.step(work).await
    }

    /// Gives back the place at the server when that has said all: a client that takes it slowly keeps nobody out.
    fn response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        is_last: bool,
        journey: &mut Journey,
    ) -> Result<Option<Duration>> {
        if is_last {
            journey.attempt.place = None;
        }
        Ok(None)
    }

    /// Answers what went wrong on the way to a server or back.
    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, journey: &mut Journey) -> FailToProxy {
        // If that panics, too, there is no answer.
        let error_code = self.step(self.fail(session, error, journey)).await.unwrap_or(0);
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// One line, one observation.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, journey: &mut Journey) {
        let work = async {
            record::request(session, error, journey, self);
            let taken_back = error.is_some_and(|error| *error.esource() == ErrorSource::Downstream);
            if let Some(entrance) = Entrance::of(session).filter(|_| !taken_back) {
                entrance.complete();
            }
            Ok(())
        };
        let _ = self.step(work).await; // There is nobody left to tell.
    }

    /// What the engine's own log lines may say of a request: never its query or headers.
    fn request_summary(&self, session: &Session, journey: &Journey) -> String {
        format!("{} {} request {}", session.req_header().method, session.req_header().uri.path(), journey.request_id)
    }
}
