//! What we assert to upstreams. Every header that a server might read as one of ours, or as the word of another proxy, is
//! dropped, however it is spelt, and only then are ours set from the [`Permit`]: what was checked is exactly what is sent.
//! Runs on the engine's own copy of the request, after hop-by-hop headers were removed, once per attempt.

use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue};
use pingora::Error;
use pingora::http::RequestHeader;

use crate::config::UpstreamHeader;
use crate::cookies::{self, Cookies};
use crate::ids::{RequestId, Role, Subject};
use crate::inbound::client::{Origin, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_REQUEST_ID};
use crate::inbound::names::{folded, is_claim, is_lookalike, is_managed};
use crate::policy::Permit;
use crate::session::issue::TokenPair;

/// The caller's subject.
const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// The caller's roles, parted by commas.
pub const X_USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");
/// The caller's session.
pub const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

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
    (X_USER_ID, HeaderValue::from_str(subject.as_str()).expect("a subject is visible ASCII"))
}

/// Drops every alias of a managed header from `request`, then sets ours.
pub fn assert(request: &mut RequestHeader, assertion: &Assertion<'_>) -> Result<(), Box<Error>> {
    let Assertion { permit, request_id, origin, authority, pool_headers, cookies, renewed } = assertion;
    let chain = forwarded_for(&request.headers, origin);
    let forward_token = permit.route().forward_token;
    for name in managed_names(&request.headers, pool_headers, forward_token) {
        request.remove_header(&name);
    }
    if let Some(known) = permit.caller().known() {
        request.insert_header(X_USER_ID, known.subject.as_str())?;
        request.insert_header(X_SESSION_ID, known.sid.to_string())?;
        let roles: Vec<&str> = known.grants.roles.iter().map(Role::as_str).collect();
        if !roles.is_empty() {
            request.insert_header(X_USER_ROLES, roles.join(","))?;
        }
    }
    request.insert_header(X_REQUEST_ID, request_id.as_str())?;
    request.insert_header(X_FORWARDED_FOR, chain)?;
    request.insert_header(X_FORWARDED_PROTO, if origin.https { "https" } else { "http" })?;
    request.insert_header(X_FORWARDED_HOST, *authority)?;
    request.insert_header(X_REAL_IP, origin.client.to_string())?;
    for UpstreamHeader { name, value } in *pool_headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    let mut kept = cookies::of_others(*cookies, &request.headers);
    // Only what was checked: a route that looks at no cookies, or lets anybody in, passes none of ours on.
    if let Some(cookies) =
        cookies.filter(|_| forward_token && permit.route().cookies && permit.caller().known().is_some())
    {
        pass_on(&mut kept, cookies, &request.headers, *renewed);
    }
    request.remove_header(&COOKIE);
    if kept.is_empty() { Ok(()) } else { request.insert_header(COOKIE, kept) }
}

/// The names in `headers` that a server might read as managed ones, or believe about the caller, whoever sent them.
fn managed_names(headers: &HeaderMap, pool: &[UpstreamHeader], forward_token: bool) -> Vec<HeaderName> {
    let managed = |name: &&HeaderName| {
        is_managed(name.as_str())
            || is_claim(name.as_str())
            || is_lookalike(name)
            || pool.iter().any(|ours| folded(ours.name.as_str()).eq(folded(name.as_str())))
            || (**name == AUTHORIZATION && !forward_token)
    };
    headers.keys().filter(managed).cloned().collect()
}

/// The chain of `X-Forwarded-For`: what a trusted proxy passed on, and that proxy; or the peer alone.
fn forwarded_for(headers: &HeaderMap, origin: &Origin) -> String {
    let passed_on = headers.get_all(X_FORWARDED_FOR).iter().filter(|_| origin.trusted);
    let hops = passed_on.filter_map(|line| line.to_str().ok()).map(str::to_owned);
    hops.chain([origin.peer.to_string()]).collect::<Vec<_>>().join(", ")
}

/// Passes on the access token in its cookie: the renewed one, if there is one.
fn pass_on(kept: &mut Vec<u8>, cookies: &Cookies, headers: &HeaderMap, renewed: Option<&TokenPair>) {
    let held = cookies.read(headers).unwrap_or_default();
    if let Some(token) = renewed.map(|pair| pair.access().0).or(held.access) {
        let separator = if kept.is_empty() { "" } else { "; " };
        kept.extend_from_slice(format!("{separator}{}={token}", cookies.access).as_bytes());
    }
}
