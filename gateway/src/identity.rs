//! What we assert to upstreams. Every header that a server might read as one of ours, or as the word of another proxy, is
//! dropped, however it is spelt, and only then are ours set from the [`Permit`]: what was checked is exactly what is sent.
//! Runs on the engine's own copy of the request, after hop-by-hop headers were removed, once per attempt.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue};
use pingora::{Error, ErrorType, OrErr as _};

use crate::config::UpstreamHeader;
use crate::cookies::{self, Cookies};
use crate::decimal;
use crate::ids::{RequestId, Role, Subject};
use crate::inbound::client::{Origin, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_REQUEST_ID};
use crate::inbound::names::{folded, is_not_theirs};
use crate::policy::Permit;
use crate::session::issue::TokenPair;

/// The caller's subject.
const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// The caller's roles, parted by commas.
const X_USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");
/// The caller's session.
const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// How many headers are set here, besides those of a pool.
const MOST: usize = 8;

/// What an upstream is told of a request besides who sends it.
pub struct Assertion<'a> {
    /// Passage, and so the caller.
    pub permit: &'a Permit,
    /// Names the request.
    pub request_id: &'a RequestId,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// The host it names, with its port.
    pub authority: &'a str,
    /// What the pool adds.
    pub pool_headers: &'a [UpstreamHeader],
    /// Our cookies, if there are any.
    pub cookies: Option<&'a Cookies>,
    /// The tokens that were renewed on the way.
    pub renewed: Option<&'a TokenPair>,
}

/// What names a user whom the gateway itself asks about.
pub fn naming(subject: &Subject) -> (HeaderName, HeaderValue) {
    (X_USER_ID, subject_value(subject))
}

fn subject_value(subject: &Subject) -> HeaderValue {
    HeaderValue::from_str(subject.as_str()).expect("a subject is visible ASCII")
}

/// `roles`, parted by commas; nothing if there are none.
fn joined(roles: &BTreeSet<Role>) -> Option<String> {
    let mut roles = roles.iter().map(Role::as_str);
    let mut joined = roles.next()?.to_owned();
    for role in roles {
        joined.push(',');
        joined.push_str(role);
    }
    Some(joined)
}

/// Drops every alias of a managed header from those of a request, then sets ours.
pub fn assert(headers: &mut HeaderMap, assertion: &Assertion<'_>) -> Result<(), Box<Error>> {
    let Assertion { permit, request_id, origin, authority, pool_headers, .. } = assertion;
    let client = address(origin.client)?;
    let chain = if origin.trusted { forwarded_for(headers, origin)? } else { client.clone() };
    for name in foreign_names(headers, pool_headers) {
        headers.remove(name);
    }
    if !permit.route().forward_token {
        headers.remove(AUTHORIZATION);
    }
    headers.reserve(MOST + pool_headers.len());
    if let Some(known) = permit.caller().known() {
        headers.insert(X_USER_ID, subject_value(&known.subject));
        headers.insert(X_SESSION_ID, text(&known.sid.text())?);
        if let Some(roles) = joined(&known.grants.roles) {
            headers.insert(X_USER_ROLES, text(roles.as_bytes())?);
        }
    }
    headers.insert(X_REQUEST_ID, request_id.header());
    headers.insert(X_REAL_IP, client);
    headers.insert(X_FORWARDED_FOR, chain);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if origin.https { "https" } else { "http" }));
    headers.insert(X_FORWARDED_HOST, text(authority.as_bytes())?);
    for UpstreamHeader { name, value } in *pool_headers {
        headers.insert(name, value.clone());
    }
    if headers.contains_key(COOKIE) { keep_cookies(headers, assertion) } else { Ok(()) }
}

fn text(bytes: &[u8]) -> Result<HeaderValue, Box<Error>> {
    HeaderValue::from_bytes(bytes).or_err(ErrorType::InternalError, "a text that is no header")
}

/// Leaves the cookies that the server may see.
fn keep_cookies(headers: &mut HeaderMap, assertion: &Assertion<'_>) -> Result<(), Box<Error>> {
    let Assertion { permit, cookies, renewed, .. } = assertion;
    let mut kept = cookies::of_others(*cookies, headers);
    // Only what was checked: a route that looks at no cookies, or lets anybody in, passes none of ours on.
    let passes_on = permit.route().forward_token && permit.route().cookies && permit.caller().known().is_some();
    if let Some(cookies) = cookies.filter(|_| passes_on) {
        pass_on(&mut kept, cookies, headers, *renewed);
    }
    headers.remove(COOKIE);
    if !kept.is_empty() {
        headers.insert(COOKIE, text(&kept)?);
    }
    Ok(())
}

/// The names in `headers` that a server might read as managed ones, or believe about the caller, whoever sent them.
fn foreign_names(headers: &HeaderMap, pool: &[UpstreamHeader]) -> Vec<HeaderName> {
    let ours = |name: &HeaderName| pool.iter().any(|ours| folded(ours.name.as_str()).eq(folded(name.as_str())));
    headers.keys().filter(|name| is_not_theirs(name) || ours(name)).cloned().collect()
}

/// The chain of `X-Forwarded-For`: what a trusted proxy passed on, and that proxy. Of all others it is the peer alone, who
/// is the client.
fn forwarded_for(headers: &HeaderMap, origin: &Origin) -> Result<HeaderValue, Box<Error>> {
    let passed_on = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).map(str::to_owned);
    let chain = passed_on.chain([origin.peer.to_string()]).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(chain).or_err(ErrorType::InvalidHTTPHeader, "a chain of proxies that is no header")
}

fn address(address: IpAddr) -> Result<HeaderValue, Box<Error>> {
    let mut bytes = Vec::with_capacity("255.255.255.255".len());
    decimal::push_address(&mut bytes, address);
    HeaderValue::try_from(bytes).or_err(ErrorType::InternalError, "an address that is no header")
}

/// Passes on the access token in its cookie: the renewed one, if there is one.
fn pass_on(kept: &mut Vec<u8>, cookies: &Cookies, headers: &HeaderMap, renewed: Option<&TokenPair>) {
    let held = cookies.read(headers).unwrap_or_default();
    if let Some(token) = renewed.map(|pair| pair.access().0).or(held.access) {
        let separator = if kept.is_empty() { "" } else { "; " };
        kept.extend_from_slice(format!("{separator}{}={token}", cookies.access).as_bytes());
    }
}
