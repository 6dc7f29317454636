//! Answers that are not refusals: JSON with a status, or nothing. Nothing here may be kept by a cache, since
//! most of it is about one user.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// An answer: the whole body is at hand.
pub(crate) type Reply = Response<Full<Bytes>>;

/// 200 with `value` as JSON.
pub(crate) fn ok(value: &impl Serialize) -> Reply {
    json(StatusCode::OK, value)
}

/// 201 with `value` as JSON.
pub(crate) fn created(value: &impl Serialize) -> Reply {
    json(StatusCode::CREATED, value)
}

/// 201 with `value` as JSON, and where to find it again.
pub(crate) fn created_at(location: &str, value: &impl Serialize) -> Reply {
    let mut reply = created(value);
    let location = HeaderValue::try_from(location).expect("paths are made of ids, which are visible ASCII");
    reply.headers_mut().insert(LOCATION, location);
    reply
}

/// 204.
pub(crate) fn no_content() -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// 200 with text of another kind than JSON.
pub(crate) fn text(content_type: &'static str, text: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// `value` as a JSON body.
pub(crate) fn body(value: &impl Serialize) -> Full<Bytes> {
    let json = serde_json::to_vec(value).expect("answers are structs of strings and numbers");
    Full::new(Bytes::from(json))
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut reply = Response::new(body(value));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
