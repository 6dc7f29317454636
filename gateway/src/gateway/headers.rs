//! The headers of an answer: what a server may not say, and what every answer carries. It relies on the journey for what
//! was decided, and on nothing of the engine. There is one writer of each header here, whatever a server wrote.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HeaderName, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    TRANSFER_ENCODING, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora::http::RequestHeader;

use crate::cors::Sharing;
use crate::inbound::client::X_REQUEST_ID;
use crate::inbound::{framing, navigation};
use crate::journey::Journey;
use crate::limiter;
use crate::outgoing::{CookieChange, Insistence};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Drops what a server may not say to a client: of its connection to us, of a body that there can't be, of our cookies, and
/// of its software. A route may say otherwise of the last: else which software answered, and in which version, is for who
/// runs it to know.
pub(super) fn clean(headers: &mut HeaderMap, status: StatusCode, journey: &Journey) {
    let reveals = journey.route.as_ref().is_some_and(|route| route.reveal_software);
    let mut nominates = false;
    drop_headers(headers, |name| {
        nominates |= name == "connection";
        is_of_one_hop(name) || (!reveals && names_software(name))
    });
    if nominates {
        drop_nominated(headers);
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6, RFC 9112 §6.1: who believed them would wait for a body, or take the next answer for it.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONNECTION); // The engine writes its own, but not with an interim answer.
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket")); // There is no other tunnel.
    }
    guard_cookies(headers, journey);
}

/// Drops what `Connection` names, which is meant for us (RFC 9110 §7.6.1), but not what the end of the body is known by.
fn drop_nominated(headers: &mut HeaderMap) {
    let names_none = |line: &HeaderValue| {
        line.as_bytes().eq_ignore_ascii_case(b"keep-alive") || line.as_bytes().eq_ignore_ascii_case(b"close")
    };
    let lines: Vec<HeaderValue> =
        headers.get_all(CONNECTION).iter().filter(|line| !names_none(line)).cloned().collect();
    for name in lines.iter().flat_map(framing::options).filter_map(|option| std::str::from_utf8(option).ok()) {
        if ![CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|frames| frames.as_str().eq_ignore_ascii_case(name)) {
            headers.remove(name);
        }
    }
}

/// What goes no further than this hop without being named (RFC 9110 §7.6.1).
fn is_of_one_hop(name: &str) -> bool {
    matches!(name, "keep-alive" | "proxy-connection" | "te" | "upgrade")
}

/// Drops what would set one of our cookies: no server may plant a session.
fn guard_cookies(headers: &mut HeaderMap, journey: &Journey) {
    let Some(cookies) = journey.snapshot.auth.cookies.as_deref() else { return };
    let set = headers.get_all(SET_COOKIE);
    if set.iter().any(|line| cookies.are_set_by(line)) {
        let others: Vec<HeaderValue> = set.iter().filter(|line| !cookies.are_set_by(line)).cloned().collect();
        headers.remove(SET_COOKIE);
        for line in others {
            headers.append(SET_COOKIE, line);
        }
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
pub(super) fn keep_private(headers: &mut HeaderMap, request: &RequestHeader, journey: &Journey) {
    let known = journey.permit.as_ref().is_some_and(|permit| permit.caller().known().is_some());
    let by_cookies = known && !request.headers.contains_key(AUTHORIZATION);
    if by_cookies && !headers.contains_key(CACHE_CONTROL) {
        let is_page = navigation::is_navigation(&request.method, &request.headers);
        let kept_by = if is_page { "private, no-store" } else { "private" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept_by));
    }
}

fn speaks_to_caches(name: &str) -> bool {
    name.ends_with("cache-control") || matches!(name, "surrogate-control" | "expires" | "pragma")
}

fn drop_headers(headers: &mut HeaderMap, mut which: impl FnMut(&str) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| which(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Adds what every answer carries: the request's name, that browsers are to insist on TLS, what limits said, which
/// pages may read it, and cookies that change.
pub(super) fn annotate(headers: &mut HeaderMap, journey: &Journey) {
    headers.insert(X_REQUEST_ID, journey.request_id.header());
    match &journey.outgoing.hsts {
        Insistence::Never => drop(headers.remove(STRICT_TRANSPORT_SECURITY)),
        Insistence::Theirs => {}
        Insistence::Ours(terms) => drop(headers.insert(STRICT_TRANSPORT_SECURITY, terms.clone())),
    }
    if let Some((limits, policies)) = limiter::headers(&journey.outgoing.readings) {
        headers.insert(RATELIMIT, limits);
        headers.insert(RATELIMIT_POLICY, policies);
    }
    if let Some(sharing) = &journey.outgoing.sharing {
        share(headers, sharing);
    }
    let cookies = journey.outgoing.cookies.lines();
    if !cookies.is_empty() {
        // Neither a shared cache nor the browser's own may hand them out again, whatever the server says to some of
        // them (RFC 9213).
        drop_headers(headers, speaks_to_caches);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    if matches!(journey.outgoing.cookies, CookieChange::Clear { .. }) {
        // Or the back button would bring up pages from before the end of the session.
        headers.insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    }
    for line in cookies {
        headers.append(SET_COOKIE, line.clone());
    }
}

/// Says which pages may read the answer. There is one writer: what a server says of it is dropped, or browsers
/// would find two words for one thing, and heed neither.
fn share(headers: &mut HeaderMap, sharing: &Sharing) {
    drop_headers(headers, |name| name.starts_with("access-control-"));
    for (name, value) in &sharing.headers {
        headers.insert(name, value.clone());
    }
    let varies = sharing.vary.iter().copied().filter(|name| !varies_by(headers, name)).collect::<Vec<_>>();
    if !varies.is_empty() {
        headers.append(VARY, HeaderValue::try_from(varies.join(", ")).expect("names of headers are visible ASCII"));
    }
}

/// Whether caches know already that an answer depends on this header of the request (RFC 9110 §12.5.5).
fn varies_by(headers: &HeaderMap, name: &str) -> bool {
    let lists = headers.get_all(VARY).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|other| other == "*" || other.eq_ignore_ascii_case(name))
}
