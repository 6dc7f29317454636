//! What is written down of a request: one access line, one observation, and the cause of a failure. Routes
//! and reasons are names from the configuration and the code, never what a client sent.

use http::StatusCode;
use pingora::Error;
use pingora::proxy::Session;
use tracing::error;

use crate::inbound::framing;
use crate::journey::Journey;
use crate::metrics::Metrics;
use crate::problem::Denied;
use crate::streams::{Cause, Open};
use crate::telemetry::AccessLine;
use crate::upstream::Server;

use super::forward;

/// The label of a request that no route took.
const NO_ROUTE: &str = "-";

/// Notes a refusal, and the cause of one that is a fault of ours or of what we depend on.
pub(super) fn refusal(journey: &mut Journey, denied: &Denied, status: StatusCode, metrics: &Metrics) {
    let route = journey.route.as_ref().map_or(NO_ROUTE, |route| route.id.as_str());
    journey.refused = Some(denied.reason());
    metrics.denied(route, denied.reason());
    if status.is_server_error() {
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

/// Writes the access line and observes the request.
pub(super) fn request(session: &Session, error: Option<&Error>, journey: &Journey, metrics: &Metrics) {
    let took = journey.began.elapsed();
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let route = journey.route.as_ref().map_or(NO_ROUTE, |route| route.id.as_str());
    // A client that goes away before its answer has no status and no other reason.
    let gone = error.is_some() && status == 0;
    let ended = journey.stream.as_ref().and_then(Open::ended).map(Cause::reason);
    let reason = ended.or(journey.refused).or(gone.then_some("client_gone")).unwrap_or(NO_ROUTE);
    metrics.request_done(route, status, reason, took);
    let request = session.req_header();
    let caller = journey.permit.as_ref().and_then(|permit| permit.caller().known());
    AccessLine {
        request_id: &journey.request_id,
        client: journey.origin.client,
        method: request.method.as_str(),
        host: framing::host(forward::authority(request)),
        path: request.uri.path(),
        query: request.uri.query(),
        redact: &journey.snapshot.redact,
        route,
        status,
        reason,
        subject: caller.map(|known| known.subject.as_str()),
        duration: took,
        upstream: journey.attempt.server.as_ref().map(Server::address),
        upstream_duration: journey.attempt.answered_after,
        bytes_out: session.body_bytes_sent(),
        user_agent: request.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()),
    }
    .emit();
}
