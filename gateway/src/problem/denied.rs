//! Every way a request can be refused. A [`Denied`] names the cause and may hold it for the log; what the
//! caller sees of it is `problem.rs`. Each has one stable name, the same in body, log and metrics.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use thiserror::Error;

use crate::auth::VerifyError;
use crate::ids::{IdError, LimitId, Scope};
use crate::inbound::Malformed;
use crate::overload::Full;
use crate::session::Cause;
use crate::store::StoreError;

/// Why a request is refused. The message is for the log; the caller sees the [`super::Problem`].
#[derive(Clone, Debug, Error)]
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
    /// It brings cookies, and was made by a page of another site.
    #[error("the request was made by another site, or does not say by whom")]
    CrossSite,
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
    /// Too many tokens whose signatures did not hold came from this address.
    #[error("too many bad tokens came from this address")]
    TooManyBadTokens {
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
    /// The upstream creates no such account.
    #[error("the upstream refused to create the account with {status}")]
    NotRegistered {
        /// What it answered.
        status: StatusCode,
        /// What it said, for who tried and for nobody else.
        said: String,
    },
    /// The credentials are right, but the user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The credentials are right, but the user has all the sessions they may have.
    #[error("the user has as many sessions as are allowed")]
    TooManySessions,
    /// The body has not what the endpoint needs.
    #[error("bad body: {0}")]
    BadBody(&'static str),
    /// The body is in a format that the endpoint does not read.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// The body is larger than the route lets through, or the endpoint reads.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// The header did not arrive in time.
    #[error("the header did not arrive in time")]
    HeadTimeout,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// Nothing came through the tunnel for too long. Nobody is told: its bytes are another protocol's.
    #[error("nothing came through the tunnel for too long")]
    TunnelIdle,
    /// Not a refresh token of ours.
    #[error("not a refresh token of ours")]
    RefreshInvalid,
    /// The session has ended, for this cause; if for reuse, by this request or an earlier one.
    #[error("the session has ended: {}", .0.name())]
    RefreshEnded(Cause),
    /// The caller has no such session.
    #[error("no such session")]
    NoSuchSession,
    /// Administration over HTTP is not configured.
    #[error("the admin API is not configured")]
    AdminOff,
    /// A call to the admin API brings no token.
    #[error("no admin token was sent")]
    NoAdminToken,
    /// A call to the admin API brings another token than ours.
    #[error("a wrong admin token was sent")]
    BadAdminToken,
    /// A path names a user or session that can be none.
    #[error("no name of a user or session: {0}")]
    BadId(IdError),
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store gave no answer to a logout. Until it was told, this gateway alone refuses what is held.
    #[error("{cause}; it holds on this gateway")]
    HeldHere {
        /// What it refuses.
        what: Held,
        /// Why it is alone.
        cause: StoreError,
    },
    /// The login upstream can't be reached, or is overloaded.
    #[error("the login upstream is unavailable: {0}")]
    LoginUnavailable(String),
    /// The login upstream did not answer in time.
    #[error("the login upstream did not answer in time")]
    LoginTimeout,
    /// The login upstream's answer can't be used.
    #[error("the login upstream's answer can't be used: {0}")]
    LoginUnusable(String),
    /// As much is on its way as may be.
    #[error("overloaded: no place left in {}", .0.name())]
    Overloaded(Full),
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

/// What a gateway refuses by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The tokens of one session.
    Session,
    /// All tokens of a user that were issued before.
    User,
}

impl Denied {
    /// The refusal's stable name: in the problem's `type`, the log and the metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Method) => "method_refused",
            Self::Malformed(_) => "malformed_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NoCredential => "no_credential",
            Self::BadToken(VerifyError::Expired { .. }) => "token_expired",
            Self::BadToken(_) => "token_invalid",
            Self::Revoked => "token_revoked",
            Self::CrossSite => "cross_site",
            Self::MissingRole => "missing_role",
            Self::MissingScope { .. } => "missing_scope",
            Self::OverLimit { .. } => "over_limit",
            Self::TooManyBadTokens { .. } => "too_many_bad_tokens",
            Self::LoginDelayed { .. } => "login_delayed",
            Self::BadCredentials { .. } => "bad_credentials",
            Self::NotRegistered { .. } => "not_registered",
            Self::UserDisabled => "user_disabled",
            Self::TooManySessions => "too_many_sessions",
            Self::BadBody(_) => "bad_body",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::TunnelIdle => "tunnel_idle",
            Self::RefreshInvalid => "refresh_invalid",
            Self::RefreshEnded(Cause::Reused) => "refresh_reused",
            Self::RefreshEnded(_) => "refresh_ended",
            Self::NoSuchSession => "no_such_session",
            Self::AdminOff => "admin_api_off",
            Self::NoAdminToken => "admin_token_missing",
            Self::BadAdminToken => "admin_token_invalid",
            Self::BadId(_) => "bad_id",
            Self::Store(_) | Self::HeldHere { .. } => "store_unavailable",
            Self::LoginUnavailable(_) => "login_unavailable",
            Self::LoginTimeout => "login_timeout",
            Self::LoginUnusable(_) => "login_unusable",
            Self::Overloaded(_) => "overloaded",
            Self::NoServer => "no_server",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the session that a credential belongs to has ended for sure: nothing that comes later makes it good.
    pub const fn ends_session(&self) -> bool {
        matches!(self, Self::Revoked | Self::RefreshEnded(_))
    }

    /// Whether it was a credential that is good no more, or never was.
    pub const fn is_dead_credential(&self) -> bool {
        self.ends_session() || matches!(self, Self::BadToken(_) | Self::RefreshInvalid)
    }
}
