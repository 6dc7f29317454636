//! What was revoked, and whether an access token still stands. A token falls with itself, with its session,
//! with its user's epoch, or with its user. Nothing here is forgotten before the token is too old anyway.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::json;
use sqlx::{Row as _, SqliteConnection};

use super::rows::{self, failure};
use super::sessions::user;
use crate::clock::{Timestamp, micros};
use crate::ids::{Jti, SessionId, Subject};
use crate::session::UserState;
use crate::store::{Check, Memory, Stand, StoreError};

const LISTED: &str = "
    SELECT EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND name = ?1 AND until > ?3)
        OR EXISTS (SELECT 1 FROM revocations WHERE kind = 'token' AND name = ?2 AND until > ?3)";

/// A row that is replaced is given a new `seq`.
const LIST: &str = "
    INSERT OR REPLACE INTO revocations (kind, name, until) VALUES (?1, ?2,
        max(?3, ifnull((SELECT until FROM revocations WHERE kind = ?1 AND name = ?2), ?3)))";

const LIST_USER: &str = "
    INSERT OR REPLACE INTO revocations (kind, name, until, epoch, disabled)
    SELECT 'user', subject, iif(disabled, 9223372036854775807, min(max(?2, epoch), 9223372036854775807 - ?3) + ?3),
        epoch, disabled FROM users WHERE subject = ?1";

/// What can be refused by its id.
#[derive(Clone, Copy)]
pub(super) enum Listed {
    Token(Jti),
    Session(SessionId),
}

impl Listed {
    /// Its kind and name in the table.
    fn row(self) -> (&'static str, String) {
        match self {
            Self::Token(jti) => ("token", jti.to_string()),
            Self::Session(sid) => ("session", sid.to_string()),
        }
    }
}

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
        let revoked: bool = sqlx::query_scalar(LISTED)
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

/// Which of `stands` stand: three questions, however many they are.
pub(super) async fn standing(
    reader: &mut SqliteConnection,
    stands: &[Stand<'_>],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let (sids, jtis): (Vec<_>, Vec<_>) =
        stands.iter().map(|stand| (stand.sid.to_string(), stand.jti.to_string())).unzip();
    let ended = listed(reader, "session", &sids, now).await?;
    let revoked = listed(reader, "token", &jtis, now).await?;
    let users = users(reader, stands).await?;
    let stands_still = |(stand, (sid, jti)): (&Stand<'_>, (&String, &String))| {
        let user = users.get(stand.subject.as_str()).copied().unwrap_or_default();
        !ended.contains(sid) && !revoked.contains(jti) && !user.disabled && user.epoch <= stand.epoch
    };
    Ok(stands.iter().zip(sids.iter().zip(&jtis)).map(stands_still).collect())
}

/// Those of `names` that are listed.
async fn listed(
    reader: &mut SqliteConnection,
    kind: &str,
    names: &[String],
    now: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM revocations
         WHERE kind = ?1 AND name IN (SELECT value FROM json_each(?2)) AND until > ?3",
    )
    .bind(kind)
    .bind(json!(names).to_string())
    .bind(now.as_micros())
    .fetch_all(reader)
    .await
    .map_err(failure)?;
    Ok(found.into_iter().collect())
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

/// Refuses what is `listed` until then. A later end stands.
pub(super) async fn list(tx: &mut SqliteConnection, listed: Listed, until: Timestamp) -> Result<(), StoreError> {
    let (kind, name) = listed.row();
    sqlx::query(LIST).bind(kind).bind(name).bind(until.as_micros()).execute(tx).await.map_err(failure)?;
    Ok(())
}

/// Notes how long tokens are accepted by whoever asks, and returns the longest that counts: see [`Memory`].
pub(super) async fn longest(tx: &mut SqliteConnection, memory: Memory, now: Timestamp) -> Result<Memory, StoreError> {
    let Memory { access_life } = memory;
    sqlx::query(
        "INSERT INTO lives (life, until) VALUES (?1, ?2)
         ON CONFLICT (life) DO UPDATE SET until = max(until, excluded.until)",
    )
    .bind(micros(access_life))
    .bind(now.after(access_life).after(Memory::SAID).as_micros())
    .execute(&mut *tx)
    .await
    .map_err(failure)?;
    let longest: Option<i64> = sqlx::query_scalar("SELECT max(life) FROM lives WHERE until > ?1")
        .bind(now.as_micros())
        .fetch_one(tx)
        .await
        .map_err(failure)?;
    let longest = Duration::from_micros(longest.unwrap_or(0).unsigned_abs());
    Ok(Memory { access_life: longest.max(access_life) })
}

/// Until when all must remember what one gateway refuses for its age from `until` on.
pub(super) fn for_all(until: Timestamp, ours: Memory, longest: Memory, now: Timestamp) -> Timestamp {
    let Memory { access_life } = longest;
    if access_life > ours.access_life { until.max(now.after(access_life)) } else { until }
}

/// When what is `listed` is over, if it is.
pub(super) async fn until(tx: &mut SqliteConnection, listed: Listed) -> Result<Option<Timestamp>, StoreError> {
    let (kind, name) = listed.row();
    let question = sqlx::query_scalar("SELECT until FROM revocations WHERE kind = ?1 AND name = ?2");
    let until = question.bind(kind).bind(name).fetch_optional(tx).await.map_err(failure)?;
    Ok(until.map(Timestamp::from_micros))
}

/// Tells of the user's state as it is now. It matters until no token of before it can be accepted, by the later of `now`
/// and their epoch, and while they are disabled.
pub(super) async fn list_user(
    tx: &mut SqliteConnection,
    subject: &Subject,
    memory: Memory,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(LIST_USER)
        .bind(subject.as_str())
        .bind(now.as_micros())
        .bind(micros(memory.access_life))
        .execute(tx)
        .await
        .map_err(failure)?;
    Ok(())
}
