//! Rows as our own types, and SQLite's errors as ours. Everything that is read is parsed again: a row that
//! we did not write is corrupt, never a session.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::clock::Timestamp;
use crate::ids::{Role, Scope, SessionId, Subject};
use crate::policy::Grants;
use crate::session::{Session, TokenHash};
use crate::store::StoreError;
use crate::store::text::{corrupt, parse_words};

/// What SQLite's error means for the caller. Its text names tables and columns, never values.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => corrupt(error),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// A session from a row that has all its columns.
pub(super) fn session(row: &SqliteRow) -> Result<Session, StoreError> {
    let hash: Vec<u8> = row.try_get("token_hash").map_err(failure)?;
    Ok(Session {
        id: SessionId::parse(text(row, "sid")?).map_err(corrupt)?,
        subject: Subject::parse(text(row, "sub")?).map_err(corrupt)?,
        grants: Grants {
            roles: parse_words(text(row, "roles")?, Role::parse)?,
            scopes: parse_words(text(row, "scopes")?, Scope::parse)?,
        },
        generation: number(row, "generation")?,
        token_hash: TokenHash(hash.try_into().map_err(|_| corrupt("a token hash of another length"))?),
        rotated_at: moment(row, "rotated_at")?,
        created_at: moment(row, "created_at")?,
        expires_at: moment(row, "expires_at")?,
        epoch: number(row, "epoch")?,
        address: text(row, "ip")?.parse().map_err(|_| corrupt("an address that is none"))?,
        user_agent: text(row, "user_agent")?.to_owned(),
    })
}

pub(super) fn text<'r>(row: &'r SqliteRow, column: &'static str) -> Result<&'r str, StoreError> {
    row.try_get(column).map_err(failure)
}

pub(super) fn moment(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    row.try_get(column).map(Timestamp::from_micros).map_err(failure)
}

/// A span of microseconds; a negative one is corrupt.
pub(super) fn span(row: &SqliteRow, column: &'static str) -> Result<Duration, StoreError> {
    number(row, column).map(Duration::from_micros)
}

pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    let number: i64 = row.try_get(column).map_err(failure)?;
    T::try_from(number).map_err(|_| corrupt(format_args!("{column} is out of range")))
}
