//! The face that each refusal shows: status, title, headers. The only file that knows the status codes of
//! refusals. A [`Denied`] may hold a cause for the log; a [`Problem`] (RFC 9457) never does.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::auth::VerifyError;
use crate::ids::{RequestId, Scope};
use crate::inbound::Malformed;
use crate::reply::{self, Reply};
use crate::session::Cause;

mod denied;

pub use denied::{Denied, Held};

/// What the caller sees of a refusal.
#[derive(Debug)]
pub struct Problem {
    reason: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// `application/problem+json` (RFC 9457 §3).
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

/// How soon to try again what failed for want of a store or a server.
const SHORTLY: Duration = Duration::from_secs(1);
const SIGN_IN: &str = "Send a good access token as `Authorization: Bearer …`.";
const ADMIN_TOKEN: &str = "Send the token that [admin] names as `Authorization: Bearer …`.";
const SHORTLY_DETAIL: &str = "Nothing was changed and you are still signed in. Try again shortly.";

impl From<&Denied> for Problem {
    #[expect(
        clippy::too_many_lines,
        reason = "one exhaustive match: a new reason does not compile until it has a face"
    )]
    fn from(denied: &Denied) -> Problem {
        use StatusCode as S;
        let problem = |status, title, detail: &str| Problem::new(denied.reason(), status, title, detail);
        match denied {
            Denied::Malformed(Malformed::Method) => {
                problem(S::METHOD_NOT_ALLOWED, "Method not allowed", &Malformed::Method.to_string())
                    .allow(&USUAL_METHODS)
            }
            Denied::Malformed(why) => problem(malformed(*why), "Malformed request", &why.to_string()),
            Denied::NoRoute => problem(S::NOT_FOUND, "No such resource", "Nothing is served at this address."),
            Denied::MethodNotAllowed { allowed } => {
                problem(S::METHOD_NOT_ALLOWED, "Method not allowed", "The header Allow names the methods that are.")
                    .allow(allowed)
            }
            Denied::NoCredential => problem(S::UNAUTHORIZED, "Sign in first", SIGN_IN).challenge("Bearer"),
            Denied::BadToken(VerifyError::Expired { .. }) => {
                problem(S::UNAUTHORIZED, "The access token has expired", "Refresh it, or sign in again.")
                    .challenge(INVALID_TOKEN)
            }
            Denied::BadToken(_) => {
                problem(S::UNAUTHORIZED, "The access token is not valid", SIGN_IN).challenge(INVALID_TOKEN)
            }
            Denied::Revoked => {
                problem(S::UNAUTHORIZED, "The access token was revoked", "Sign in again.").challenge(INVALID_TOKEN)
            }
            Denied::CrossSite => problem(
                S::FORBIDDEN,
                "Not from another site",
                "A request with cookies must come from a page of this site, or of an origin that it trusts.",
            ),
            Denied::MissingRole => problem(S::FORBIDDEN, "Not allowed", "Your account has not the role this needs."),
            Denied::MissingScope { needed } => {
                problem(S::FORBIDDEN, "Not allowed", "The access token has not the scope this needs.")
                    .challenge(&insufficient_scope(needed))
            }
            Denied::OverLimit { wait, .. } => {
                problem(S::TOO_MANY_REQUESTS, "Slow down", "The header Retry-After tells when to try again.")
                    .retry_after(*wait)
            }
            Denied::TooManyBadTokens { wait } => problem(
                S::TOO_MANY_REQUESTS,
                "Too many bad tokens",
                "They came from this address; the header Retry-After tells when to try again.",
            )
            .retry_after(*wait),
            Denied::LoginDelayed { wait } => problem(
                S::TOO_MANY_REQUESTS,
                "Too many failed logins",
                "The delay grows with each failure and ends by itself; Retry-After tells when.",
            )
            .retry_after(*wait),
            Denied::BadCredentials { .. } => {
                problem(S::UNAUTHORIZED, "Wrong name or password", "Check both and try again.").challenge("Bearer")
            }
            Denied::NotRegistered { .. } => {
                problem(S::UNPROCESSABLE_ENTITY, "The account was not created", "Choose another name or password.")
            }
            Denied::UserDisabled => problem(S::FORBIDDEN, "This account is disabled", "Ask who runs this service."),
            // RFC 9110 §15.5.10: what is in the way is a state that the user can change.
            Denied::TooManySessions => {
                problem(S::CONFLICT, "Signed in on too many devices", "Sign out on one of them, then sign in here.")
            }
            Denied::BadBody(why) => problem(S::BAD_REQUEST, "The body can't be used", why),
            Denied::UnsupportedMediaType => problem(
                S::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
                "Send application/json or application/x-www-form-urlencoded.",
            ),
            Denied::BodyTooLarge { limit } => {
                problem(S::PAYLOAD_TOO_LARGE, "The body is too large", &format!("At most {limit} bytes are read."))
            }
            Denied::HeadTimeout => {
                problem(S::REQUEST_TIMEOUT, "The request came too slowly", "Its header was not whole in time.")
            }
            Denied::BodyTimeout => problem(S::REQUEST_TIMEOUT, "The body came too slowly", "Send it again."),
            Denied::TunnelIdle => problem(S::REQUEST_TIMEOUT, "The tunnel was idle", "Open another one."),
            Denied::RefreshInvalid => {
                problem(S::UNAUTHORIZED, "The refresh token is not valid", "Sign in again.").challenge(INVALID_TOKEN)
            }
            Denied::RefreshEnded(cause) => {
                problem(S::UNAUTHORIZED, "This session has ended", why_ended(*cause)).challenge(INVALID_TOKEN)
            }
            Denied::NoSuchSession => problem(S::NOT_FOUND, "No such session", "It has ended, or never was yours."),
            Denied::AdminOff => problem(
                S::NOT_FOUND,
                "The admin API is not served",
                "Write [admin] token = { env = \"NAME\" } or { file = \"PATH\" } in the configuration, and reload it.",
            ),
            Denied::NoAdminToken => problem(S::UNAUTHORIZED, "Send the admin token", ADMIN_TOKEN).challenge("Bearer"),
            Denied::BadAdminToken => {
                problem(S::UNAUTHORIZED, "Not the admin token", ADMIN_TOKEN).challenge(INVALID_TOKEN)
            }
            Denied::BadId(why) => {
                problem(S::BAD_REQUEST, "No name of a user or session", &format!("The path names none: {why}."))
            }
            Denied::Store(_) => {
                problem(S::SERVICE_UNAVAILABLE, "Try again shortly", SHORTLY_DETAIL).retry_after(SHORTLY)
            }
            Denied::HeldHere { what, cause: _ } => {
                problem(S::SERVICE_UNAVAILABLE, "Signed out here, not everywhere yet", held(*what)).retry_after(SHORTLY)
            }
            Denied::LoginUnavailable(_) => {
                problem(S::SERVICE_UNAVAILABLE, "Sign-in is unavailable", "Try again shortly.").retry_after(SHORTLY)
            }
            Denied::LoginTimeout => problem(S::GATEWAY_TIMEOUT, "Sign-in took too long", "Try again shortly."),
            Denied::LoginUnusable(_) => {
                problem(S::BAD_GATEWAY, "Sign-in is broken", "The service that checks passwords gave no usable answer.")
            }
            Denied::Overloaded(_) => {
                problem(S::SERVICE_UNAVAILABLE, "Too busy", "Nothing was done. Try again shortly.").retry_after(SHORTLY)
            }
            Denied::NoServer => {
                problem(S::SERVICE_UNAVAILABLE, "The service is unavailable", "Try again shortly.").retry_after(SHORTLY)
            }
            Denied::UpstreamUnreachable => {
                problem(S::SERVICE_UNAVAILABLE, "The service can't be reached", "Try again shortly.")
                    .retry_after(SHORTLY)
            }
            Denied::UpstreamTimeout => problem(S::GATEWAY_TIMEOUT, "The service took too long", "Try again shortly."),
            Denied::UpstreamBroken => problem(S::BAD_GATEWAY, "The service's answer was broken", "Try again shortly."),
            Denied::Internal(_) => {
                problem(S::INTERNAL_SERVER_ERROR, "Something went wrong", "The request id names it in the log.")
            }
        }
    }
}

/// RFC 9110 §15.5.6 has every 405 name some; which of them a path takes is not looked at by then.
const USUAL_METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// RFC 6750 §3.1: an expired, revoked or malformed token.
const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

fn malformed(why: Malformed) -> StatusCode {
    match why {
        Malformed::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        Malformed::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Malformed::Method => StatusCode::METHOD_NOT_ALLOWED,
        Malformed::Head(_)
        | Malformed::Host
        | Malformed::Framing
        | Malformed::Chunk(_)
        | Malformed::Headers
        | Malformed::Target
        | Malformed::Path(_)
        | Malformed::Query
        | Malformed::SeveralCredentials
        | Malformed::Cookie
        | Malformed::Credential => StatusCode::BAD_REQUEST,
    }
}

fn held(what: Held) -> &'static str {
    match what {
        Held::Session => "This session is refused here, elsewhere not yet; no other one was ended. Try again shortly.",
        Held::User => "All your sessions are refused here, elsewhere not yet. Try again shortly.",
    }
}

/// Told only to who holds a good refresh token of the session, so it gives nothing away.
fn why_ended(cause: Cause) -> &'static str {
    match cause {
        Cause::Expired => "It was not used for too long, or had reached its greatest age. Sign in again.",
        Cause::LoggedOut => "You signed out, on this device or from another one. Sign in again.",
        Cause::Reused => "Its refresh token was used twice, so someone else may have a copy. Sign in again.",
        Cause::Evicted => "You signed in on more devices than are allowed, so the one unused longest was signed out.",
        Cause::Disabled => "The account was disabled. Ask who runs this service.",
        Cause::Revoked => "You were signed out for your safety, as after a change of password. Sign in again.",
    }
}

fn insufficient_scope(needed: &BTreeSet<Scope>) -> String {
    let scopes: Vec<&str> = needed.iter().map(Scope::as_str).collect();
    format!(r#"Bearer error="insufficient_scope", scope="{}""#, scopes.join(" "))
}

impl Problem {
    fn new(reason: &'static str, status: StatusCode, title: &'static str, detail: &str) -> Self {
        Self { reason, status, title, detail: detail.to_owned(), headers: Vec::new() }
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("made of ids and numbers, which are safe in headers");
        self.headers.push((name, value));
        self
    }

    fn challenge(self, challenge: &str) -> Self {
        self.header(WWW_AUTHENTICATE, challenge)
    }

    /// Whole seconds, rounded up, so that who waits as told is served.
    fn retry_after(self, wait: Duration) -> Self {
        let secs = wait.as_millis().div_ceil(1000).max(1);
        self.header(RETRY_AFTER, &secs.to_string())
    }

    fn allow(self, methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        self.header(ALLOW, &names.join(", "))
    }

    /// The refusal's stable name.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The face of a refusal for who is not known yet: it tells nothing of an account.
    pub fn to_strangers(denied: &Denied) -> Self {
        match denied {
            Denied::UserDisabled => Self::from(&Denied::BadCredentials { status: StatusCode::UNAUTHORIZED }),
            denied => Self::from(denied),
        }
    }

    /// Whether signing in may help.
    pub fn asks_to_sign_in(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The same refusal told by a page: its status and headers, and the page's own.
    pub fn told_by(self, mut page: Reply) -> Reply {
        *page.status_mut() = self.status;
        page.headers_mut().extend(self.headers);
        page
    }

    /// The answer that carries this problem, for the request `instance`.
    pub fn reply(self, instance: &RequestId) -> Reply {
        let Problem { reason, status, title, detail, headers } = self;
        let body = Body {
            r#type: format!("urn:portcullis:problem:{reason}"),
            title,
            status: status.as_u16(),
            detail: &detail,
            instance: instance.as_str(),
        };
        let mut reply = reply::typed(status, HeaderValue::from_static("application/problem+json"), &body);
        reply.headers_mut().extend(headers);
        reply
    }
}

#[cfg(test)]
mod tests;
