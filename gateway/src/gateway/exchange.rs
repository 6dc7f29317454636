//! How our own endpoints and refusals talk to the client: bodies in, replies out. It knows the engine's
//! session so that nothing else has to, and adds to every answer what all answers carry. It decides
//! nothing about the request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, HeaderName, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    UPGRADE, VARY,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::connection::entrance::Entrance;
use crate::cors::Sharing;
use crate::inbound::client::Origin;
use crate::inbound::{Inbound, Malformed, framing, host, navigation, path};
use crate::journey::Journey;
use crate::limiter;
use crate::outgoing::{CookieChange, Insistence};
use crate::problem::Denied;
use crate::reply::Reply;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// How long a client may take to send a body to one of our endpoints.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client may take to notice that it was refused, and how much it may send until then.
const LINGER: Duration = Duration::from_secs(2);
const MORE: usize = 1024 * 1024;

/// Makes the request one that can be read in one way only: what routes and what is forwarded see the same
/// path and the same host.
pub fn canonicalise(request: &mut RequestHeader) -> Result<(), Malformed> {
    framing::check(&request.method, request.version, &request.headers)?;
    if request.headers.contains_key(UPGRADE) && !framing::asks_for_upgrade(&request.headers) {
        request.remove_header(&UPGRADE); // RFC 9110 §7.8: it is to be ignored, and the engine would not.
    }
    let absolute = absolute(request)?;
    if absolute.is_some() && !request.headers.contains_key(HOST) {
        return Err(Malformed::Host); // RFC 9112 §3.2: HTTP/1.1 has one, whatever the target says.
    }
    let target = absolute.as_ref().unwrap_or(&request.uri);
    let authority = host::authority(target.authority().map(Authority::as_str), &request.headers)?;
    let as_sent = request.headers.get(HOST).map(HeaderValue::as_bytes);
    let respelt = (as_sent != Some(authority.as_bytes())).then(|| authority.into_owned());
    let canonical = path::canonical(request.uri.path())?;
    request.uri.query().map_or(Ok(()), path::check_query)?;
    if target.authority().is_some() || canonical != request.uri.path() {
        let target = path::with_query(&canonical, request.uri.query());
        request.set_uri(target.parse().map_err(|_| Malformed::Path("it can't be written canonically"))?);
    }
    if let Some(authority) = respelt {
        request.insert_header(HOST, authority).map_err(|_| Malformed::Host)?;
    }
    Ok(())
}

/// The target, if it is a whole URL (RFC 9112 §3.2.2): the engine forwards that as it came, and shows us its path only.
fn absolute(request: &RequestHeader) -> Result<Option<Uri>, Malformed> {
    let as_sent = request.uri.path_and_query().map_or("", |target| target.as_str());
    if request.raw_path() == as_sent.as_bytes() {
        return Ok(None);
    }
    let uri = Uri::try_from(request.raw_path()).ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    // As the engine's own reading of it is what is routed, there may be no other one.
    match uri {
        Some(uri) if uri.authority().is_some() && uri.path_and_query() == request.uri.path_and_query() => Ok(Some(uri)),
        _ => Err(Malformed::Path("it is neither a path nor an http URL")),
    }
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
        session.as_mut().write_continue_response().await?;
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
        let mut left = MORE;
        while let Ok(Some(chunk)) = session.as_mut().read_request_body().await
            && left > chunk.len()
        {
            left -= chunk.len();
        }
    };
    let _ = tokio::time::timeout(LINGER, rest).await; // Whether the client has stopped does not matter any more.
}

async fn collect(session: &mut Session, limit: usize) -> Result<Result<Bytes, Denied>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = session.as_mut().read_request_body().await? {
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
    let (parts, body) = reply.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        head.append_header(name, value)?;
    }
    // RFC 9110 §8.6: no length where there can be no body.
    if parts.status != StatusCode::NO_CONTENT {
        head.set_content_length(body.len())?;
    }
    annotate(&mut head, journey)?;
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

/// Drops what would set one of our cookies: no server may plant a session.
pub fn guard_cookies(head: &mut ResponseHeader, journey: &Journey) {
    let Some(cookies) = journey.snapshot.auth.cookies.as_deref() else { return };
    let set = head.headers.get_all(SET_COOKIE);
    if set.iter().any(|line| cookies.are_set_by(line)) {
        let others: Vec<HeaderValue> = set.iter().filter(|line| !cookies.are_set_by(line)).cloned().collect();
        head.remove_header(&SET_COOKIE);
        for line in others {
            // It was a header a moment ago.
            let _ = head.append_header(SET_COOKIE, line);
        }
    }
}

/// Drops what tells which software answered, and in which version: that is for who runs it to know. A route may say
/// otherwise.
pub fn hide_software(head: &mut ResponseHeader, journey: &Journey) {
    if !journey.route.as_ref().is_some_and(|route| route.reveal_software) {
        drop_headers(head, names_software);
    }
}

fn names_software(name: &str) -> bool {
    let known = ["server", "via", "x-server", "x-backend-server", "x-served-by", "x-generator", "x-runtime"];
    known.contains(&name)
        || ["x-powered-by", "x-aspnet", "x-drupal", "x-jenkins"].iter().any(|start| name.starts_with(start))
}

/// Keeps an answer that a server gave to the bearer of cookies, and said nothing about, to that bearer: caches on the way
/// know what `Authorization` means (RFC 9111 §3.5), but not what our cookies do. A page is not kept at all, or
/// the back button would show it after its reader signed out.
pub fn keep_private(head: &mut ResponseHeader, request: &RequestHeader, journey: &Journey) -> Result<(), Box<Error>> {
    let known = journey.permit.as_ref().is_some_and(|permit| permit.caller().known().is_some());
    let by_cookies = known && !request.headers.contains_key(AUTHORIZATION);
    if by_cookies && !head.status.is_informational() && !head.headers.contains_key(CACHE_CONTROL) {
        let is_page = navigation::is_navigation(&request.method, &request.headers);
        head.insert_header(CACHE_CONTROL, if is_page { "private, no-store" } else { "private" })?;
    }
    Ok(())
}

fn speaks_to_caches(name: &str) -> bool {
    name.ends_with("cache-control") || matches!(name, "surrogate-control" | "expires" | "pragma")
}

fn drop_headers(head: &mut ResponseHeader, which: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = head.headers.keys().filter(|name| which(name.as_str())).cloned().collect();
    for name in names {
        head.remove_header(&name);
    }
}

/// Adds what every answer carries: the request's name, that browsers are to insist on TLS, what limits said, which
/// pages may read it, and cookies that change.
pub fn annotate(head: &mut ResponseHeader, journey: &Journey) -> Result<(), Box<Error>> {
    head.insert_header("x-request-id", journey.request_id.as_str())?;
    match &journey.outgoing.hsts {
        Insistence::Never if !head.headers.contains_key(STRICT_TRANSPORT_SECURITY) => {}
        Insistence::Never => drop(head.remove_header(&STRICT_TRANSPORT_SECURITY)),
        Insistence::Theirs => {}
        Insistence::Ours(terms) => head.insert_header(STRICT_TRANSPORT_SECURITY, terms.clone())?,
    }
    if let Some((limits, policies)) = limiter::headers(&journey.outgoing.readings) {
        head.insert_header("ratelimit", limits)?;
        head.insert_header("ratelimit-policy", policies)?;
    }
    if let Some(sharing) = &journey.outgoing.sharing {
        share(head, sharing)?;
    }
    let cookies = journey.outgoing.cookies.lines();
    if !cookies.is_empty() {
        // Neither a shared cache nor the browser's own may hand them out again, whatever the server says to some of
        // them (RFC 9213).
        drop_headers(head, speaks_to_caches);
        head.insert_header(CACHE_CONTROL, "private, no-store")?;
    }
    if matches!(journey.outgoing.cookies, CookieChange::Clear { .. }) {
        // Or the back button would bring up pages from before the end of the session.
        head.insert_header(CLEAR_SITE_DATA, "\"cache\"")?;
    }
    cookies.iter().try_for_each(|line| head.append_header(SET_COOKIE, line.clone()).map(|_| ()))
}

/// Says which pages may read the answer. There is one writer: what a server says of it is dropped, or browsers
/// would find two words for one thing, and heed neither.
fn share(head: &mut ResponseHeader, sharing: &Sharing) -> Result<(), Box<Error>> {
    drop_headers(head, |name| name.starts_with("access-control-"));
    for (name, value) in &sharing.headers {
        head.insert_header(name, value)?;
    }
    let varies = sharing.vary.iter().copied().filter(|name| !varies_by(&head.headers, name)).collect::<Vec<_>>();
    if !varies.is_empty() {
        head.append_header(VARY, varies.join(", "))?;
    }
    Ok(())
}

/// Whether caches know already that an answer depends on this header of the request (RFC 9110 §12.5.5).
fn varies_by(headers: &HeaderMap, name: &str) -> bool {
    let lists = headers.get_all(VARY).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|other| other == "*" || other.eq_ignore_ascii_case(name))
}
