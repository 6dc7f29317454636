//! Why a request is refused. Every refusal has one stable reason, the same in the answer, the log and the
//! metrics; what it looks like to the caller is decided in `problem.rs`. Causes are carried for the log only.

use thiserror::Error;

use crate::fields::Flaw;
use crate::hashing::HashingError;
use crate::store::StoreError;

/// A request that is not answered as asked.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// The caller does not hold the gateway's secret.
    #[error("the gateway's secret is missing or wrong")]
    NotTheGateway,
    /// No such path, or nothing at it.
    #[error("no such resource")]
    NotFound,
    /// The path exists, the method does not.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// What is allowed, as the `Allow` header lists it.
        allow: &'static str,
    },
    /// The body is not JSON by its own account.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// The body has more bytes than any valid one.
    #[error("body too large")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("body timed out")]
    BodyTimedOut,
    /// The body broke off, or is not a JSON object.
    #[error("malformed body: {0}")]
    MalformedBody(String),
    /// Some fields are not as they must be. Lists all of them.
    #[error("invalid fields")]
    InvalidFields(Vec<Flaw>),
    /// Nobody said who is calling.
    #[error("no identity")]
    NoIdentity,
    /// Whoever is calling has no account (any more).
    #[error("unknown user")]
    UnknownUser,
    /// Name and password don't go together.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The present password was not given right.
    #[error("wrong password")]
    WrongPassword,
    /// The post is someone else's.
    #[error("not the owner")]
    NotOwner,
    /// The name is someone else's.
    #[error("username taken")]
    UsernameTaken,
    /// Password workers are busy, or gone.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// The database does not answer, and it was asked whether it does.
    #[error(transparent)]
    NotReady(StoreError),
    /// The database did not do as asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    /// The stable name of the reason.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NotTheGateway => "not_the_gateway",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimedOut => "body_timed_out",
            Self::MalformedBody(_) => "malformed_body",
            Self::InvalidFields(_) => "invalid_fields",
            Self::NoIdentity => "no_identity",
            Self::UnknownUser => "unknown_user",
            Self::InvalidCredentials => "invalid_credentials",
            Self::WrongPassword => "wrong_password",
            Self::NotOwner => "not_owner",
            Self::UsernameTaken => "username_taken",
            Self::Hashing(HashingError::Busy) => "password_pool_busy",
            Self::NotReady(_) => "not_ready",
            Self::Store(StoreError::Unavailable { .. }) => "store_unavailable",
            Self::Hashing(HashingError::Failed) | Self::Store(StoreError::Corrupt(_)) => "internal",
        }
    }
}
