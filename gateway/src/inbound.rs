//! x
use http::StatusCode;
use thiserror::Error;

/// What is wrong with a request. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// HTTP/1.0 or older.
    #[error("HTTP/1.1 is the oldest version that is served.")]
    Version,
}

impl Malformed {
    /// The status it is refused with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}
