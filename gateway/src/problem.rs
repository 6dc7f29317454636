//! Every way a request can be refused, and the face each one shows: status, title, headers. The only
//! file that knows the status codes of refusals. A [`Denied`] may hold a cause for the log; a
//! [`Problem`] (RFC 9457) never does.

use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use thiserror::Error;

use crate::auth::VerifyError;
use crate::ids::{LimitId, RequestId, Scope};
use crate::inbound::Malformed;
use crate::reply::{self, Reply};
use crate::store::StoreError;

/// Why a request is refused. The message is for the log; the caller sees the [`Problem`].
#[derive(Debug, Error)]
pub enum Denied {
    /// The request is not one that every reader would read alike.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// No route matches: default deny.
    #[error("no route matches")]
    NoRoute,
    /// A route matches the path, none the method.
    #[error("no route for this method")]
    MethodNotAllowed {
        /// The methods there are routes for.
        allowed: Vec<Method>,
    },
    /// A known caller is needed and no credential was sent.
    #[error("no credential was sent")]
    NoCredential,
    /// The access token does not hold.
    #[error("bad access token: {0}")]
    BadToken(#[from] VerifyError),
    /// The access token was revoked.
    #[error("the access token was revoked")]
    Revoked,
    /// The caller has none of the roles the route needs.
    #[error("the caller lacks the role")]
    MissingRole,
    /// The caller lacks a scope the route needs.
    #[error("the caller lacks a scope")]
    MissingScope {
        /// All scopes the route needs.
        needed: BTreeSet<Scope>,
    },
    /// A limit is used up.
    #[error("limit {limit} is used up")]
    OverLimit {
        /// Which.
        limit: LimitId,
        /// How long to wait.
        wait: Duration,
    },
    /// Too many failed logins for this account from this address.
    #[error("login is delayed after failures")]
    LoginDelayed {
        /// How long to wait.
        wait: Duration,
    },
    /// The login upstream does not know these credentials.
    #[error("the login upstream refused the credentials with {status}")]
    BadCredentials {
        /// What it answered.
        status: StatusCode,
    },
    /// The credentials are right, but the user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The body has not what the endpoint needs.
    #[error("bad body: {0}")]
    BadBody(&'static str),
    /// The body is in a format that the endpoint does not read.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// The body is larger than the endpoint reads.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The most it reads.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// Not a refresh token of ours.
    #[error("not a refresh token of ours")]
    RefreshInvalid,
    /// The session has ended.
    #[error("the session has ended")]
    RefreshEnded,
    /// The refresh token was spent before: the session has been ended.
    #[error("the refresh token was spent before")]
    RefreshReused,
    /// The caller has no such session.
    #[error("no such session")]
    NoSuchSession,
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The login upstream can't be reached, or is overloaded.
    #[error("the login upstream is unavailable: {0}")]
    LoginUnavailable(String),
    /// The login upstream did not answer in time.
    #[error("the login upstream did not answer in time")]
    LoginTimeout,
    /// The login upstream's answer can't be used.
    #[error("the login upstream's answer can't be used: {0}")]
    LoginUnusable(String),
    /// No server of the upstream is up.
    #[error("no server of upstream is up")]
    NoServer,
    /// No server of the upstream could be reached.
    #[error("the upstream can't be reached")]
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
    /// The upstream's answer was broken off or unreadable.
    #[error("the upstream's answer was broken")]
    UpstreamBroken,
    /// A fault of our own.
    #[error("internal: {0}")]
    Internal(&'static str),
}

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

impl Denied {
    /// The refusal's stable name: in the problem's `type`, the log and the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NoCredential => "no_credential",
            Self::BadToken(VerifyError::Expired { .. }) => "token_expired",
            Self::BadToken(_) => "token_invalid",
            Self::Revoked => "token_revoked",
            Self::MissingRole => "missing_role",
            Self::MissingScope { .. } => "missing_scope",
            Self::OverLimit { .. } => "over_limit",
            Self::LoginDelayed { .. } => "login_delayed",
            Self::BadCredentials { .. } => "bad_credentials",
            Self::UserDisabled => "user_disabled",
            Self::BadBody(_) => "bad_body",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::RefreshInvalid => "refresh_invalid",
            Self::RefreshEnded => "refresh_ended",
            Self::RefreshReused => "refresh_reused",
            Self::NoSuchSession => "no_such_session",
            Self::Store(_) => "store_unavailable",
            Self::LoginUnavailable(_) => "login_unavailable",
            Self::LoginTimeout => "login_timeout",
            Self::LoginUnusable(_) => "login_unusable",
            Self::NoServer => "no_server",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether it is a fault of ours or of what we depend on, for the `error` log.
    pub fn is_failure(&self) -> bool {
        Problem::from(self).status.is_server_error()
    }
}

/// How soon to try again what failed for want of a store or a server.
const SHORTLY: Duration = Duration::from_secs(1);
const SIGN_IN: &str = "Send a good access token as `Authorization: Bearer …`.";
const SHORTLY_DETAIL: &str = "Nothing was changed and you are still signed in. Try again shortly.";

impl From<&Denied> for Problem {
    fn from(denied: &Denied) -> Problem {
        use StatusCode as S;
        let problem = |status, title, detail: &str| Problem::new(denied.reason(), status, title, detail);
        match denied {
            Denied::Malformed(why) => problem(why.status(), "Malformed request", &why.to_string()),
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
            Denied::MissingRole => problem(S::FORBIDDEN, "Not allowed", "Your account has not the role this needs."),
            Denied::MissingScope { needed } => {
                problem(S::FORBIDDEN, "Not allowed", "The access token has not the scope this needs.")
                    .challenge(&insufficient_scope(needed))
            }
            Denied::OverLimit { wait, .. } => {
                problem(S::TOO_MANY_REQUESTS, "Slow down", "The header Retry-After tells when to try again.")
                    .retry_after(*wait)
            }
            Denied::LoginDelayed { wait } => problem(
                S::TOO_MANY_REQUESTS,
                "Too many failed logins",
                "The delay grows with each failure and ends by itself; Retry-After tells when.",
            )
            .retry_after(*wait),
            Denied::BadCredentials { .. } => {
                problem(S::UNAUTHORIZED, "Wrong name or password", "Check both and try again.").challenge("Bearer")
            }
            Denied::UserDisabled => problem(S::FORBIDDEN, "This account is disabled", "Ask who runs this service."),
            Denied::BadBody(why) => problem(S::BAD_REQUEST, "The body can't be used", why),
            Denied::UnsupportedMediaType => problem(
                S::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
                "Send application/json or application/x-www-form-urlencoded.",
            ),
            Denied::BodyTooLarge { limit } => {
                problem(S::PAYLOAD_TOO_LARGE, "The body is too large", &format!("At most {limit} bytes are read."))
            }
            Denied::BodyTimeout => problem(S::REQUEST_TIMEOUT, "The body came too slowly", "Send it again."),
            Denied::RefreshInvalid => {
                problem(S::UNAUTHORIZED, "The refresh token is not valid", "Sign in again.").challenge(INVALID_TOKEN)
            }
            Denied::RefreshEnded => {
                problem(S::UNAUTHORIZED, "This session has ended", "Sign in again.").challenge(INVALID_TOKEN)
            }
            Denied::RefreshReused => problem(
                S::UNAUTHORIZED,
                "This session was ended",
                "Its refresh token was used twice, so someone else may have a copy. Sign in again.",
            )
            .challenge(INVALID_TOKEN),
            Denied::NoSuchSession => problem(S::NOT_FOUND, "No such session", "You have no session of this name."),
            Denied::Store(_) => {
                problem(S::SERVICE_UNAVAILABLE, "Try again shortly", SHORTLY_DETAIL).retry_after(SHORTLY)
            }
            Denied::LoginUnavailable(_) => {
                problem(S::SERVICE_UNAVAILABLE, "Sign-in is unavailable", "Try again shortly.").retry_after(SHORTLY)
            }
            Denied::LoginTimeout => problem(S::GATEWAY_TIMEOUT, "Sign-in took too long", "Try again shortly."),
            Denied::LoginUnusable(_) => {
                problem(S::BAD_GATEWAY, "Sign-in is broken", "The service that checks passwords gave no usable answer.")
            }
            Denied::NoServer => {
                problem(S::SERVICE_UNAVAILABLE, "The service is unavailable", "Try again shortly.").retry_after(SHORTLY)
            }
            Denied::UpstreamUnreachable => {
                problem(S::BAD_GATEWAY, "The service can't be reached", "Try again shortly.")
            }
            Denied::UpstreamTimeout => problem(S::GATEWAY_TIMEOUT, "The service took too long", "Try again shortly."),
            Denied::UpstreamBroken => problem(S::BAD_GATEWAY, "The service's answer was broken", "Try again shortly."),
            Denied::Internal(_) => {
                problem(S::INTERNAL_SERVER_ERROR, "Something went wrong", "The request id names it in the log.")
            }
        }
    }
}

/// RFC 6750 §3.1: an expired, revoked or malformed token.
const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

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
