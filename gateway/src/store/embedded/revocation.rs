//! What was revoked, and whether an access token still stands. A token falls with itself, with its session,
//! with its user's epoch, or with its user. Nothing here is forgotten before the token is too old anyway.

use sqlx::SqliteConnection;

use super::rows::failure;
use super::sessions::user;
use crate::clock::Timestamp;
use crate::ids::Subject;
use crate::store::{Check, StoreError};

/// What [`Check`] asks of a token, owned, so that it can move into a transaction.
pub(super) struct Question {
    subject: Subject,
    sid: String,
    jti: String,
    epoch: u64,
}

impl From<&Check<'_>> for Question {
    fn from(check: &Check<'_>) -> Self {
        let Check { subject, sid, jti, epoch, takes: _ } = check;
        Self { subject: (*subject).clone(), sid: sid.to_string(), jti: jti.to_string(), epoch: *epoch }
    }
}

impl Question {
    /// Whether the token, its session and its user all stand.
    pub(super) async fn stands(self, connection: &mut SqliteConnection, now: Timestamp) -> Result<bool, StoreError> {
        let revoked: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM blacklist WHERE id IN (?1, ?2) AND until > ?3)")
                .bind(&self.sid)
                .bind(&self.jti)
                .bind(now.as_micros())
                .fetch_one(&mut *connection)
                .await
                .map_err(failure)?;
        let user = user(connection, &self.subject).await?;
        Ok(!revoked && !user.disabled && user.epoch <= self.epoch)
    }
}

/// Refuses whatever carries `id` until `until`. A later end stands.
pub(super) async fn blacklist(tx: &mut SqliteConnection, id: &str, until: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO blacklist (id, until) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET until = max(until, excluded.until)",
    )
    .bind(id)
    .bind(until.as_micros())
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(())
}
