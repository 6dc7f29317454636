//! How our own endpoints and refusals talk to the client: bodies in, replies out. It knows the engine's
//! session so that nothing else has to. It decides nothing about the request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, HOST, UPGRADE};
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, Result};

use super::headers;
use crate::connection::MOST_LOST;
use crate::connection::entrance::Entrance;
use crate::heads;
use crate::inbound::client::Origin;
use crate::inbound::{Inbound, Malformed, framing, host, path};
use crate::journey::Journey;
use crate::problem::Denied;
use crate::reply::Reply;

/// How long a client may take to send a body to one of our endpoints.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may take to notice that it was refused.
const LINGER: Duration = Duration::from_secs(2);

/// Makes the request one that can be read in one way only: what routes and what is forwarded see the same
/// path and the same host.
pub fn canonicalise(request: &mut RequestHeader) -> Result<(), Malformed> {
    framing::check(&request.method, request.version, &request.headers)?;
    if request.headers.contains_key(UPGRADE) && !framing::asks_for_upgrade(&request.headers) {
        request.remove_header(&UPGRADE); // RFC 9110 §7.8: it is to be ignored, and the engine would not.
    }
    // Over HTTP/2; over HTTP/1.1 the target is a path by now.
    if !matches!(request.uri.scheme_str(), None | Some("http" | "https")) {
        return Err(Malformed::Target);
    }
    let target = request.uri.authority();
    let authority = host::authority(target.map(Authority::as_str), &request.headers)?;
    let as_sent = request.headers.get(HOST).map(HeaderValue::as_bytes);
    let respelt = (as_sent != Some(authority.as_bytes())).then(|| authority.into_owned());
    let canonical = path::canonical(request.uri.path())?;
    request.uri.query().map_or(Ok(()), path::check_query)?;
    if target.is_some() || canonical != request.uri.path() {
        let target = path::with_query(&canonical, request.uri.query());
        request.set_uri(target.parse().map_err(|_| Malformed::Path("it can't be written canonically"))?);
    }
    if let Some(authority) = respelt {
        request.insert_header(HOST, authority).map_err(|_| Malformed::Host)?;
    }
    heads::forget_spelling(request); // Now that the target is no other than its URI.
    Ok(())
}

/// The request as those see it who decide about it.
pub fn inbound<'a>(request: &'a RequestHeader, origin: &Origin) -> Inbound<'a> {
    let authority = super::forward::authority(request);
    Inbound {
        method: &request.method,
        authority,
        host: host::name(authority),
        path: request.uri.path(),
        query: request.uri.query(),
        headers: &request.headers,
        client: origin.client,
    }
}

/// Reads a whole body of at most `limit` bytes.
pub async fn read_body(session: &mut Session, limit: usize) -> Result<Result<Bytes, Denied>> {
    let declared = session.req_header().headers.get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0);
    if declared > limit {
        return Ok(Err(too_large(limit)));
    }
    if session.req_header().headers.contains_key(EXPECT) {
        session.as_mut().write_continue_response().await.map_err(Error::into_down)?;
    }
    match tokio::time::timeout(BODY_DEADLINE, collect(session, limit)).await {
        Ok(collected) => collected,
        Err(_) => Ok(Err(Denied::BodyTimeout)),
    }
}

fn too_large(limit: usize) -> Denied {
    Denied::BodyTooLarge { limit: limit as u64 }
}

/// Reads on for a moment after an answer that did not wait for the body: a connection that is closed on unread bytes
/// takes the answer with it (RFC 9112 §9.6). A stream of HTTP/2 does not.
pub async fn linger(session: &mut Session) {
    if session.is_http2() || session.as_mut().is_body_done() {
        return;
    }
    let rest = async {
        let mut left = MOST_LOST;
        while let Some(chunk) = session.as_mut().read_request_body().await?
            && left > chunk.len()
        {
            left -= chunk.len();
        }
        Ok::<_, Box<Error>>(())
    };
    // Whether the client has stopped does not matter any more, but what can't be read has no end to begin anew after.
    if let Ok(Err(_)) = tokio::time::timeout(LINGER, rest).await {
        session.set_keepalive(None);
    }
}

async fn collect(session: &mut Session, limit: usize) -> Result<Result<Bytes, Denied>> {
    let mut body = BytesMut::new();
    // The engine does not say that it is the client who is late, or says what can't be read, or has gone.
    while let Some(chunk) = session.as_mut().read_request_body().await.map_err(Error::into_down)? {
        if body.len() + chunk.len() > limit {
            return Ok(Err(too_large(limit)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Ok(body.freeze()))
}

/// Sends an answer of our own.
pub async fn answer(session: &mut Session, journey: &Journey, reply: Reply) -> Result<()> {
    Entrance::of(session).inspect(|entrance| entrance.upload.done());
    let (mut parts, body) = reply.into_parts();
    // RFC 9110 §8.6: no length where there can be no body.
    if parts.status != StatusCode::NO_CONTENT {
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    headers::annotate(&mut parts.headers, journey);
    let head = ResponseHeader::from(parts);
    let body = (!body.is_empty() && session.req_header().method != Method::HEAD).then_some(body);
    // The engine does not say that it is the client who is not there any more, and who takes back what it asks for is
    // to be told from who is answered: over HTTP/2 it is sent away.
    write(session, head, body).await.map_err(Error::into_down)
}

async fn write(session: &mut Session, head: ResponseHeader, body: Option<Bytes>) -> Result<()> {
    session.as_mut().write_response_header(Box::new(head)).await?;
    if let Some(body) = body {
        session.as_mut().write_response_body(body, true).await?;
    }
    session.as_mut().finish_body().await
}
