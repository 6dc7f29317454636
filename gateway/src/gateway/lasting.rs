//! Whether an answer may outlast the session it was begun in: then it is registered as a stream, with what must
//! be known to end it. Most answers are short and say so, and cost nothing here. It ends nothing itself.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::forward;
use crate::connection::entrance::Entrance;
use crate::journey::Journey;
use crate::policy::{Caller, Known};
use crate::routing::WithoutStore;
use crate::streams::carrier::Kind;
use crate::streams::{Streams, Watched};

/// An answer that says it has no more bytes is sent before anybody logs out.
const SHORT: u64 = 1024 * 1024;

/// Registers the answer that begins with `head` if it may last.
pub(super) fn register(
    session: &Session,
    head: &ResponseHeader,
    journey: &mut Journey,
    streams: &Arc<Streams>,
) -> Result<()> {
    let Some(kind) = kind(&session.req_header().method, head) else { return Ok(()) };
    move_over(kind, head, journey);
    let watched = match forward::permit(journey)?.caller() {
        Caller::Known(known) => Some(watched(known, journey)?),
        // It has no session that could end; a WebSocket is at least told when the gateway goes.
        Caller::Anonymous if kind == Kind::Bytes => return Ok(()),
        Caller::Anonymous => None,
    };
    let unseen = || Error::explain(ErrorType::InternalError, "a stream that could not be ended");
    let entrance = Entrance::of(session).ok_or_else(unseen)?;
    journey.stream = Some(streams.begin(&entrance.carrier, kind, watched));
    Ok(())
}

/// Gives back the places of a request whose answer waits more than it works, if there is one among streams: idle
/// tunnels are to keep no request out. Others, such as a long download, are requests to their end.
fn move_over(kind: Kind, head: &ResponseHeader, journey: &mut Journey) {
    let media_type = head.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let is_events = media_type.to_ascii_lowercase().starts_with(b"text/event-stream");
    if kind != Kind::Frames && !is_events {
        return;
    }
    if let Some(place) = journey.snapshot.streams.enter(journey.rank()) {
        journey.place = Some(place);
        journey.attempt.place = None;
    }
}

/// What kind of stream an answer is; none if it is short.
fn kind(method: &Method, head: &ResponseHeader) -> Option<Kind> {
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS => Some(Kind::Frames),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => None,
        status if status.is_informational() || *method == Method::HEAD => None,
        _ => (!is_short(head)).then_some(Kind::Bytes),
    }
}

fn is_short(head: &ResponseHeader) -> bool {
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    !head.headers.contains_key(TRANSFER_ENCODING) && length.is_some_and(|length| length <= SHORT)
}

fn watched(known: &Arc<Known>, journey: &Journey) -> Result<Watched> {
    let lifetimes = &journey.snapshot.auth.tokens.lifetimes;
    let confirmed_at = match forward::permit(journey)?.route().without_store {
        WithoutStore::Refuse => journey.now,
        // Perhaps the store was not there to ask; when it issued the token it was.
        WithoutStore::SignatureOnly => known.issued_at,
    };
    // A token that somebody else issues may live by other terms; what it was good for is not cut short.
    let ends_at = known.authenticated_at.after(lifetimes.absolute).max(known.expires_at);
    Ok(Watched { known: Arc::clone(known), ends_at, confirmed_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_last_unless_it_says_that_it_is_short() {
        let (length, chunked) = ("content-length", ("transfer-encoding", "chunked"));
        for (name, method, status, headers, expected) in [
            ("an upgrade", Method::GET, 101, vec![], Some(Kind::Frames)),
            ("of unknown length", Method::GET, 200, vec![], Some(Kind::Bytes)),
            ("in chunks", Method::GET, 200, vec![chunked], Some(Kind::Bytes)),
            ("an error of unknown length", Method::POST, 500, vec![], Some(Kind::Bytes)),
            ("short", Method::GET, 200, vec![(length, "1048576")], None),
            ("long", Method::GET, 200, vec![(length, "1048577")], Some(Kind::Bytes)),
            ("of a length that is none", Method::GET, 200, vec![(length, "x")], Some(Kind::Bytes)),
            ("in chunks, whatever length it says", Method::GET, 200, vec![(length, "1"), chunked], Some(Kind::Bytes)),
            ("without content", Method::GET, 204, vec![], None),
            ("not modified", Method::GET, 304, vec![], None),
            ("a hint", Method::GET, 103, vec![], None),
            ("a head alone", Method::HEAD, 200, vec![], None),
        ] {
            let mut head = ResponseHeader::build(status, None).unwrap();
            for (name, value) in headers {
                head.append_header(name, value).unwrap();
            }
            assert_eq!(kind(&method, &head), expected, "{name}");
        }
    }
}
