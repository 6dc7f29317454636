//! Answers that the gateway gives itself: JSON, pages, refusals, or nothing but a status. They are plain HTTP
//! values, so that what writes an answer need not know which engine sends it. Every one carries the
//! headers that keep browsers and caches from making something else of it.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

/// A complete answer: status, headers, body.
pub type Reply = Response<Bytes>;

/// A JSON answer that no cache keeps.
pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    typed(status, HeaderValue::from_static("application/json"), body)
}

/// A JSON answer of another media type.
pub fn typed(status: StatusCode, media_type: HeaderValue, body: &impl Serialize) -> Reply {
    let bytes = serde_json::to_vec(body).expect("our own bodies have text keys and no failing parts");
    let mut reply = Response::new(Bytes::from(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, media_type);
    protect(&mut reply);
    reply
}

/// A page that no cache keeps.
pub fn html(page: String) -> Reply {
    let mut reply = Response::new(Bytes::from(page));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    protect(&mut reply);
    reply
}

/// The way to another page of this origin, to be fetched by GET.
pub fn see_other(path: &str) -> Reply {
    let mut reply = empty(StatusCode::SEE_OTHER);
    let location = HeaderValue::from_str(path).expect("a path in visible ASCII is safe in headers");
    reply.headers_mut().insert(LOCATION, location);
    reply
}

/// An answer without a body that no cache keeps.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = status;
    protect(&mut reply);
    reply
}

fn protect(reply: &mut Reply) {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
