//! What can go wrong in the store, in two kinds: what may be better in a moment, and what won't. Messages
//! name neither statements, values nor addresses; the source goes to the log.

use sqlx::Error;
use thiserror::Error;

/// Why the store did not do as asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database can't be reached, is overloaded, shutting down or full. Try again later.
    #[error("the database is unavailable: {why}")]
    Unavailable {
        /// In a few words.
        why: &'static str,
        /// What the driver said, if it said something.
        source: Option<Error>,
    },
    /// What the database holds is not what we keep there.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(&'static str),
}

impl StoreError {
    pub(crate) fn unavailable(why: &'static str) -> Self {
        Self::Unavailable { why, source: None }
    }

    /// Whether a value that must be unique was not.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Unavailable { source: Some(Error::Database(error)), .. } if error.is_unique_violation())
    }
}

impl From<Error> for StoreError {
    fn from(source: Error) -> Self {
        let why = match &source {
            Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
                return Self::Corrupt("a column that can't be read");
            }
            Error::PoolTimedOut => "no connection came free in time",
            Error::PoolClosed => "it was closed",
            Error::Io(_) | Error::Tls(_) => "it can't be reached",
            Error::Migrate(_) => "its schema can't be brought up to date",
            _ => "it refused",
        };
        Self::Unavailable { why, source: Some(source) }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(source) => Self::from(source),
            other => Self::from(Error::Migrate(Box::new(other))),
        }
    }
}
