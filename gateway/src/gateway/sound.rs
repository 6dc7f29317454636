//! Which answers of a server may be passed on at all: those whose end every reader sees in the same place (RFC 9112
//! §6.3), and a tunnel only to whoever asked for it (RFC 9110 §7.8). It relies on the engine for having refused lengths
//! that are none or differ, and for having dropped a length beside an encoding. It changes nothing.

use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

use super::forward;
use crate::inbound::framing;

/// A tunnel that nobody asked for, or to another protocol than was asked for: nothing in it would be looked at.
const UNASKED_TUNNEL: ErrorType = ErrorType::Custom("UnaskedTunnel");
/// A body that could be read in two ways.
const AMBIGUOUS_BODY: ErrorType = ErrorType::Custom("AmbiguousBody");

/// Refuses what could be read in two ways.
///
/// # Errors
/// One of the upstream, after which the engine closes the connection to it.
pub(super) fn check(request: &RequestHeader, answer: &ResponseHeader) -> Result<()> {
    match answer.status {
        StatusCode::SWITCHING_PROTOCOLS if is_wanted(request, answer) => Ok(()),
        StatusCode::SWITCHING_PROTOCOLS => Err(Error::new_up(UNASKED_TUNNEL)),
        status if status.is_informational() || has_one_end(answer) => Ok(()),
        _ => Err(Error::new_up(AMBIGUOUS_BODY)),
    }
}

/// Whether the answer switches to WebSocket, and the request asked for that.
fn is_wanted(request: &RequestHeader, answer: &ResponseHeader) -> bool {
    let mut protocols = answer.headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes);
    let (first, more) = (protocols.next(), protocols.next());
    forward::may_become_tunnel(request)
        && answer.version == Version::HTTP_11
        && first.is_some_and(|first| first.eq_ignore_ascii_case(b"websocket"))
        && more.is_none()
}

/// Whether there is one length, or one encoding, which HTTP/1.0 does not have (RFC 9112 §6.1).
fn has_one_end(answer: &ResponseHeader) -> bool {
    let knows_encodings = answer.version != Version::HTTP_10 || !answer.headers.contains_key(TRANSFER_ENCODING);
    knows_encodings && framing::has_one_length(&answer.headers)
}
