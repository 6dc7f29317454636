//! The last word to a client whose request never reached the engine: a refusal like every other, counted and written
//! down like every other. It then listens for a moment, since a connection that is closed on unread bytes takes the
//! answer with it (RFC 9112 §9.6). What the client sent is never quoted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, STRICT_TRANSPORT_SECURITY};
use pingora::protocols::Stream;
use pingora::protocols::http::date;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::ids::RequestId;
use crate::inbound::client::X_REQUEST_ID;
use crate::metrics::Metrics;
use crate::problem::{Denied, Problem};
use crate::reply::Reply;
use crate::telemetry::{AccessLine, AccessLog};

/// How long a client may take to read it, and how much more it may send until then.
const PATIENCE: Duration = Duration::from_secs(2);
const MORE: u64 = 256 * 1024;
/// In place of what is not known.
const UNKNOWN: &str = "-";

/// Who is refused what, as far as it could be read.
pub(super) struct Refused<'a> {
    /// Who holds the other end.
    pub client: IpAddr,
    /// The method and the path, if there were any.
    pub request: Option<(&'a str, &'a str)>,
    /// What every answer here says in `Strict-Transport-Security`.
    pub hsts: Option<&'a HeaderValue>,
    /// When its first byte came.
    pub began: Instant,
}

impl Refused<'_> {
    /// Tells the client, and closes.
    pub(super) async fn tell(&self, denied: &Denied, mut stream: Stream, metrics: &Metrics, access: &AccessLog) {
        let request_id = RequestId::random(Clock::system().now());
        let mut reply = Problem::from(denied).reply(&request_id);
        if let Some(hsts) = self.hsts {
            reply.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        // RFC 9110 §9.3.2.
        let body = if self.request.is_some_and(|(method, _)| method == "HEAD") { &[] } else { &reply.body()[..] };
        let told = timeout(PATIENCE, async {
            stream.write_all(&wire(&reply, body, &request_id)).await?;
            stream.flush().await
        });
        let told = matches!(told.await, Ok(Ok(())));
        let status = if told { reply.status().as_u16() } else { 0 };
        metrics.denied(UNKNOWN, denied.reason());
        metrics.request_done(UNKNOWN, status, denied.reason(), self.began.elapsed());
        self.note(denied, status, body.len(), &request_id, access);
        if told {
            linger(stream).await;
        }
    }

    fn note(&self, denied: &Denied, status: u16, bytes_out: usize, request_id: &RequestId, access: &AccessLog) {
        let (method, path) = self.request.unwrap_or((UNKNOWN, UNKNOWN));
        access.note(&AccessLine {
            request_id,
            client: self.client,
            method,
            host: UNKNOWN,
            path,
            query: None,
            route: UNKNOWN,
            status,
            reason: denied.reason(),
            subject: None,
            duration: self.began.elapsed(),
            upstream: None,
            upstream_duration: None,
            bytes_out: Some(bytes_out),
            user_agent: None,
        });
    }
}

/// `reply` as it is sent, with as much of its body as there is to be.
fn wire(reply: &Reply, body: &[u8], request_id: &RequestId) -> BytesMut {
    let status = reply.status();
    let mut bytes = BytesMut::with_capacity(512 + body.len());
    let mut line = |parts: &[&[u8]]| {
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(b"\r\n");
    };
    line(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", status.canonical_reason().unwrap_or("").as_bytes()]);
    let (length, date) = (reply.body().len().to_string(), date::get_cached_date());
    let more: [(HeaderName, &[u8]); 4] = [
        (X_REQUEST_ID, request_id.as_str().as_bytes()),
        (CONTENT_LENGTH, length.as_bytes()),
        (DATE, date.as_bytes()),
        (CONNECTION, b"close"),
    ];
    let headers = reply.headers().iter().map(|(name, value)| (name, value.as_bytes()));
    for (name, value) in headers.chain(more.iter().map(|(name, value)| (name, *value))) {
        line(&[name.as_str().as_bytes(), b": ", value]);
    }
    line(&[]);
    bytes.extend_from_slice(body);
    bytes
}

/// Ends our side, and reads until the client has ended its own.
async fn linger(mut stream: Stream) {
    let quiet = async {
        AsyncWriteExt::shutdown(&mut stream).await?;
        let mut rest = stream.take(MORE);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = timeout(PATIENCE, quiet).await; // Whether it has does not matter any more.
}
