//! What is written down of a request: one access line, one observation, and the cause of a failure. Routes
//! and reasons are names from the configuration and the code, never what a client sent.

use std::sync::Arc;

use http::StatusCode;
use pingora::Error;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use tracing::error;

use crate::connection::entrance::Entrance;
use crate::inbound::host;
use crate::journey::Journey;
use crate::metrics::{Metrics, REASONLESS};
use crate::overload::Full;
use crate::problem::{Denied, Problem};
use crate::streams::{Cause, Open};
use crate::telemetry::{AccessLine, AccessLog};
use crate::upstream::Server;

use super::{Gateway, forward};

/// The label of what no upstream refused.
const NO_UPSTREAM: &str = "-";
/// The label of a request that no route took.
const NO_ROUTE: &str = "-";

/// Notes a refusal, and the cause of one that is a fault of ours or of what we depend on.
pub(super) fn refusal(journey: &mut Journey, denied: &Denied, status: StatusCode, metrics: &Metrics) {
    let route = journey.route.as_ref().map_or(NO_ROUTE, |route| route.id.as_str());
    journey.refused = Some(denied.reason());
    metrics.denied(route, denied.reason());
    if let Denied::Overloaded(full) = denied {
        // Of these there are many at a time when there is no time to write; the access line tells.
        let pool = journey.attempt.pool.as_ref().filter(|_| *full == Full::Upstream);
        metrics.shed(*full, pool.map_or(NO_UPSTREAM, |pool| pool.id().as_str()));
    } else if status.is_server_error() {
        error!(target: "error", request_id = %journey.request_id, route, reason = denied.reason(), cause = %denied, "request failed");
    }
}

/// Notes what an upstream failed at, by the engine's name for it: its text may quote what a server sent.
pub(super) fn failure(error: &Error, denied: &Denied, journey: &Journey, metrics: &Metrics) {
    let counted = match denied {
        Denied::UpstreamTimeout => Some("timeout"),
        Denied::UpstreamBroken => Some("broken"),
        Denied::UpstreamUnreachable => None, // Each try was counted when it failed.
        _ => return,
    };
    if let Some(pool) = &journey.attempt.pool {
        if let Some(kind) = counted {
            metrics.upstream_failed(pool.id(), kind);
        }
        let server = journey.attempt.server.as_ref().map(|server| server.address().to_string());
        let kind = error.etype().as_str();
        error!(target: "error", request_id = %journey.request_id, upstream = %pool.id(), server, kind, "an upstream failed");
    }
}

/// What the access line of a request will need if it is cut off, and with it the engine's way to the end.
pub struct Owed {
    entrance: Option<Arc<Entrance>>,
    request: RequestHeader,
    status: Option<StatusCode>,
    metrics: Arc<Metrics>,
    access: AccessLog,
}

/// Has the access line of a request written whatever becomes of it: until it is answered, with no `status`.
pub(super) fn owe(session: &Session, status: Option<StatusCode>, journey: &mut Journey, gateway: &Gateway) {
    match &mut journey.owed {
        Some(owed) => owed.status = status,
        owed @ None => {
            let (metrics, access) = (Arc::clone(&gateway.metrics), gateway.access.clone());
            let (request, entrance) = (session.req_header().clone(), Entrance::of(session).cloned());
            *owed = Some(Box::new(Owed { entrance, request, status, metrics, access }));
        }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        // Another panic on the way out of one would end the process; the first is counted.
        if let Some(owed) = self.owed.take().filter(|_| !std::thread::panicking()) {
            let Owed { entrance, request, status, metrics, access } = *owed;
            if entrance.is_some_and(|entrance| entrance.upload.is_overdue()) {
                let denied = Denied::BodyTimeout;
                refusal(self, &denied, Problem::from(&denied).status(), &metrics);
            }
            let status = status.map_or(0, |status| status.as_u16());
            write(&request, &Outcome { status, bytes_out: None, gone: true }, self, &metrics, &access);
        }
    }
}

/// Writes the access line and observes the request.
pub(super) fn request(session: &Session, error: Option<&Error>, journey: &mut Journey, gateway: &Gateway) {
    journey.owed = None;
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    // A client that goes away before its answer has no status and no other reason.
    let gone = error.is_some() && status == 0;
    let outcome = Outcome { status, bytes_out: Some(session.body_bytes_sent()), gone };
    write(session.req_header(), &outcome, journey, &gateway.metrics, &gateway.access);
}

/// How a request ended, as far as only the engine knows.
struct Outcome {
    status: u16,
    bytes_out: Option<usize>,
    gone: bool,
}

fn write(request: &RequestHeader, outcome: &Outcome, journey: &Journey, metrics: &Metrics, access: &AccessLog) {
    let Outcome { status, bytes_out, gone } = *outcome;
    let took = journey.took.unwrap_or_else(|| journey.began.elapsed());
    let route = journey.route.as_ref().map_or(NO_ROUTE, |route| route.id.as_str());
    let ended = journey.stream.as_ref().and_then(Open::ended).map(Cause::reason);
    let reason = ended.or(journey.refused).or(gone.then_some("client_gone")).unwrap_or(REASONLESS);
    match &journey.route {
        Some(route) => journey.snapshot.meters.done(route, status, reason, took),
        None => metrics.request_done(NO_ROUTE, status, reason, took),
    }
    let caller = journey.permit.as_ref().and_then(|permit| permit.caller().known());
    access.note(&AccessLine {
        request_id: &journey.request_id,
        client: journey.origin.client,
        method: request.method.as_str(),
        host: host::name(forward::authority(request)),
        path: request.uri.path(),
        query: request.uri.query(),
        route,
        status,
        reason,
        subject: caller.map(|known| known.subject.as_str()),
        duration: took,
        upstream: journey.attempt.server.as_ref().map(Server::address),
        upstream_duration: journey.attempt.answered_after,
        bytes_out,
        user_agent: request.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()),
    });
}
