//! The access line: what is written down of every request. Names and numbers, never a token, a cookie or a
//! body; what a client wrote is shortened, and its query is redacted.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracing::info;

use super::redact_query;
use crate::ids::RequestId;

/// A request that took longer stands in the `performance` stream too.
const SLOW: Duration = Duration::from_secs(1);
/// The most bytes of what a client wrote in any one field.
const MAX_FIELD: usize = 512;

/// One request that ended.
pub struct AccessLine<'a> {
    /// Its name.
    pub request_id: &'a RequestId,
    /// Who sent it.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host it named.
    pub host: &'a str,
    /// The canonical path, or the raw one if it was refused.
    pub path: &'a str,
    /// The query, not yet redacted.
    pub query: Option<&'a str>,
    /// Parameters to redact besides the usual ones, in lower case.
    pub redact: &'a [String],
    /// The route, or `-`.
    pub route: &'a str,
    /// The status; 0 if nobody was there to be answered.
    pub status: u16,
    /// The reason it was refused for, or `-`.
    pub reason: &'a str,
    /// The caller, if known.
    pub subject: Option<&'a str>,
    /// How long it took.
    pub duration: Duration,
    /// The server that answered.
    pub upstream: Option<SocketAddr>,
    /// How long that server took to begin its answer.
    pub upstream_duration: Option<Duration>,
    /// Bytes of the answer's body, unless it was cut off.
    pub bytes_out: Option<usize>,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
}

impl AccessLine<'_> {
    /// Writes it down.
    pub fn emit(&self) {
        let Self { request_id, client, method, host, path, query, redact, route, status, reason, .. } = self;
        let Self { subject, duration, upstream, upstream_duration, bytes_out, user_agent, .. } = self;
        let query = query.map(|query| redact_query(shortened(query), redact));
        let upstream = upstream.map(|server| server.to_string());
        let duration_ms = millis(*duration);
        let upstream_ms = upstream_duration.map(millis);
        info!(
            target: "api",
            %request_id, %client, method, host = shortened(host), path = shortened(path), query = query.as_deref(),
            route, status, reason, subject, duration_ms, upstream, upstream_ms, bytes_out,
            user_agent = user_agent.map(shortened), "request",
        );
        if *duration > SLOW {
            info!(target: "performance", %request_id, route, status, duration_ms, upstream_ms, "slow request");
        }
    }
}

/// Milliseconds to the microsecond.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn shortened(text: &str) -> &str {
    match text.char_indices().find(|(at, _)| *at >= MAX_FIELD) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
