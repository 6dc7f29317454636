//! x
use crate::clock::Timestamp;
use thiserror::Error;

/// Why an access token does not hold. Never holds any part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Longer than any of ours.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// The most that is read.
        max: usize,
    },
    /// Not a JWT, or not one shaped like ours.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// Signed by a key that we don't have.
    #[error("its key is unknown")]
    UnknownKey,
    /// It names another algorithm than its key's.
    #[error("its algorithm is not its key's")]
    WrongAlgorithm,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    BadSignature,
    /// Not of type `at+jwt`.
    #[error("it is not an access token")]
    WrongType,
    /// Issued by somebody else.
    #[error("it has another issuer")]
    WrongIssuer,
    /// Issued for somebody else.
    #[error("it is for another audience")]
    WrongAudience,
    /// Its time is over.
    #[error("it has expired")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet,
}
