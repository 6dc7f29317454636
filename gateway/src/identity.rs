//! What we assert to upstreams. Every header that a server might read as one of ours is dropped, however
//! it is spelt, and only then are ours set from the [`Permit`]: what was checked is exactly what is sent.
//! Runs on the engine's own copy of the request, after hop-by-hop headers were removed, once per attempt.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use pingora::Error;
use pingora::http::RequestHeader;

use crate::config::UpstreamHeader;
use crate::cookies::{self, Cookies};
use crate::ids::{RequestId, Role, Subject};
use crate::inbound::client::{Origin, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_REQUEST_ID};
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

/// Managed names as they look folded: in lower case, with nothing but letters and digits.
const MANAGED: [&str; 7] = ["xuserid", "xuserroles", "xuserscopes", "xsessionid", "xrequestid", "xrealip", "forwarded"];
const MANAGED_PREFIX: &str = "xforwarded";

/// Folded names by which some servers take another path or method than the one that was checked.
const OVERRIDES: [&str; 6] =
    ["xoriginalurl", "xoriginaluri", "xrewriteurl", "xhttpmethod", "xhttpmethodoverride", "xmethodoverride"];

const FRAMING: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

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

/// The names in `headers` that a server might read as managed ones.
fn managed_names(headers: &HeaderMap, pool: &[UpstreamHeader], forward_token: bool) -> Vec<HeaderName> {
    let managed = |name: &&HeaderName| {
        is_managed(name.as_str())
            || is_framing_alias(name)
            || pool.iter().any(|ours| folded(ours.name.as_str()).eq(folded(name.as_str())))
            || (folded(name.as_str()).eq(folded(AUTHORIZATION.as_str())) && !(forward_token && **name == AUTHORIZATION))
    };
    headers.keys().filter(managed).cloned().collect()
}

/// Whether a server that ignores case and punctuation would read `name` as a managed header, or as an order
/// to serve something else than what was checked.
pub(crate) fn is_managed(name: &str) -> bool {
    let is = |managed: &str| folded(name).eq(managed.bytes());
    MANAGED.into_iter().chain(OVERRIDES).any(is) || folded(name).take(MANAGED_PREFIX.len()).eq(MANAGED_PREFIX.bytes())
}

/// Whether a lenient server would read `name` as a header that frames the message, though it is none to us.
fn is_framing_alias(name: &HeaderName) -> bool {
    FRAMING.iter().any(|framing| framing != name && folded(framing.as_str()).eq(folded(name.as_str())))
}

/// CGI turns `-` into `_`, some servers drop what they don't like: only letters and digits tell names apart.
pub(crate) fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_managed_name_is_managed() {
        for name in [
            "x-user-id",
            "X-User-Id",
            "x_user_id",
            "X-USER_ID",
            "xuserid",
            "x.user.id",
            "x-user-id-",
            "x-user-roles",
            "x-session-id",
            "x_request_id",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_proto",
            "x-forwarded-uri",
            "x-forwarded",
            "x-real-ip",
            "X-Forwarded-Prefix",
            "X-Original-URL",
            "X_Rewrite_Url",
            "X-HTTP-Method-Override",
        ] {
            assert!(is_managed(name), "{name}");
        }
        for name in ["x-user", "x-user-idea", "user-id", "x-requested-with", "forwarded-by", "accept"] {
            assert!(!is_managed(name), "{name}");
        }
    }
}
