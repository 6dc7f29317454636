//! What was revoked, and whether an access token still stands. A token falls with itself, with its session,
//! with its user's epoch, or with its user. Nothing here is forgotten before the token is too old anyway.

use std::collections::{HashMap, HashSet};

use serde_json::json;
use sqlx::{Row as _, SqliteConnection};

use super::rows::{self, failure};
use super::sessions::user;
use crate::clock::Timestamp;
use crate::ids::Subject;
use crate::session::UserState;
use crate::store::{Check, Stand, StoreError};

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

/// Which of `stands` stand: two questions, however many they are.
pub(super) async fn standing(
    reader: &mut SqliteConnection,
    stands: &[Stand<'_>],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let ids: Vec<_> = stands.iter().map(|stand| [stand.sid.to_string(), stand.jti.to_string()]).collect();
    let revoked: HashSet<String> =
        sqlx::query_scalar("SELECT id FROM blacklist WHERE until > ?1 AND id IN (SELECT value FROM json_each(?2))")
            .bind(now.as_micros())
            .bind(json!(ids.as_flattened()).to_string())
            .fetch_all(&mut *reader)
            .await
            .map_err(failure)?
            .into_iter()
            .collect();
    let users = users(reader, stands).await?;
    let stands_still = |(stand, ids): (&Stand<'_>, &[String; 2])| {
        let user = users.get(stand.subject.as_str()).copied().unwrap_or_default();
        !ids.iter().any(|id| revoked.contains(id)) && !user.disabled && user.epoch <= stand.epoch
    };
    Ok(stands.iter().zip(&ids).map(stands_still).collect())
}

/// The users of `stands` whose state is not the default.
async fn users(reader: &mut SqliteConnection, stands: &[Stand<'_>]) -> Result<HashMap<String, UserState>, StoreError> {
    let subjects: HashSet<_> = stands.iter().map(|stand| stand.subject.as_str()).collect();
    let asked = json!(subjects).to_string();
    let rows =
        sqlx::query("SELECT subject, epoch, disabled FROM users WHERE subject IN (SELECT value FROM json_each(?1))")
            .bind(asked)
            .fetch_all(reader)
            .await
            .map_err(failure)?;
    let state = |row| {
        let disabled = sqlx::sqlite::SqliteRow::try_get(row, "disabled").map_err(failure)?;
        let epoch = rows::number(row, "epoch")?;
        // Whether is asked here, never why.
        Ok((rows::text(row, "subject")?.to_owned(), UserState { epoch, disabled, cause: None }))
    };
    rows.iter().map(state).collect()
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
