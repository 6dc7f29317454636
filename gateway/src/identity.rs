//! What we assert to upstreams. Every header that a server might read as one of ours, or as the word of another proxy, is
//! dropped, however it is spelt, and only then are ours set from the [`Permit`]: what was checked is exactly what is sent.
//! Runs on the engine's own copy of the request, after hop-by-hop headers were removed, once per attempt.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr as _};

use crate::config::UpstreamHeader;
use crate::cookies::{self, Cookies};
use crate::decimal;
use crate::ids::{RequestId, Role, Subject};
use crate::inbound::client::{Origin, X_FORWARDED_FOR};
use crate::inbound::names::{folded, is_not_theirs};
use crate::policy::Permit;
use crate::session::issue::TokenPair;

// The engine takes a name that is known at compile time as it is, and copies every other.
/// The caller's subject.
const X_USER_ID: &str = "x-user-id";
/// The caller's roles, parted by commas.
const X_USER_ROLES: &str = "x-user-roles";
/// The caller's session.
const X_SESSION_ID: &str = "x-session-id";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_REAL_IP: &str = "x-real-ip";

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
    (HeaderName::from_static(X_USER_ID), subject_value(subject))
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

/// Drops every alias of a managed header from `request`, then sets ours.
pub fn assert(request: &mut RequestHeader, assertion: &Assertion<'_>) -> Result<(), Box<Error>> {
    let Assertion { permit, request_id, origin, authority, pool_headers, .. } = assertion;
    let chain = forwarded_for(&request.headers, origin)?;
    for name in foreign_names(&request.headers, pool_headers) {
        request.remove_header(&name);
    }
    if !permit.route().forward_token {
        request.remove_header(&AUTHORIZATION);
    }
    if let Some(known) = permit.caller().known() {
        request.insert_header(X_USER_ID, subject_value(&known.subject))?;
        request.insert_header(X_SESSION_ID, &known.sid.text()[..])?;
        if let Some(roles) = joined(&known.grants.roles) {
            request.insert_header(X_USER_ROLES, roles)?;
        }
    }
    request.insert_header("x-request-id", request_id.as_str())?;
    request.insert_header(X_REAL_IP, address(origin.client)?)?;
    request.insert_header("x-forwarded-for", chain)?;
    request
        .insert_header("x-forwarded-proto", HeaderValue::from_static(if origin.https { "https" } else { "http" }))?;
    request.insert_header(X_FORWARDED_HOST, *authority)?;
    for UpstreamHeader { name, value } in *pool_headers {
        request.insert_header(name, value.clone())?;
    }
    if request.headers.contains_key(COOKIE) { keep_cookies(request, assertion) } else { Ok(()) }
}

/// Leaves the cookies that the server may see.
fn keep_cookies(request: &mut RequestHeader, assertion: &Assertion<'_>) -> Result<(), Box<Error>> {
    let Assertion { permit, cookies, renewed, .. } = assertion;
    let mut kept = cookies::of_others(*cookies, &request.headers);
    // Only what was checked: a route that looks at no cookies, or lets anybody in, passes none of ours on.
    let passes_on = permit.route().forward_token && permit.route().cookies && permit.caller().known().is_some();
    if let Some(cookies) = cookies.filter(|_| passes_on) {
        pass_on(&mut kept, cookies, &request.headers, *renewed);
    }
    request.remove_header(&COOKIE);
    if kept.is_empty() { Ok(()) } else { request.insert_header(COOKIE, kept) }
}

/// The names in `headers` that a server might read as managed ones, or believe about the caller, whoever sent them.
fn foreign_names(headers: &HeaderMap, pool: &[UpstreamHeader]) -> Vec<HeaderName> {
    let ours = |name: &HeaderName| pool.iter().any(|ours| folded(ours.name.as_str()).eq(folded(name.as_str())));
    headers.keys().filter(|name| is_not_theirs(name) || ours(name)).cloned().collect()
}

/// The chain of `X-Forwarded-For`: what a trusted proxy passed on, and that proxy; or the peer alone.
fn forwarded_for(headers: &HeaderMap, origin: &Origin) -> Result<HeaderValue, Box<Error>> {
    if !origin.trusted {
        return address(origin.peer);
    }
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
