//! Sessions and users in SQL. Whether a refresh token may be spent is decided by `session::rotate`; this
//! file reads what that function needs and writes what it says, inside the caller's transaction.

use sqlx::{Row as _, SqliteConnection};

use super::revocation::blacklist;
use super::rows::{self, failure};
use crate::clock::Timestamp;
use crate::ids::{SessionId, Subject};
use crate::session::{Lifetimes, Presented, Rotation, Session, UserState, rotate};
use crate::store::text::{corrupt, words};
use crate::store::{Ending, Memory, StoreError};

const SAVE: &str = "
    INSERT INTO sessions (sid, sub, roles, scopes, generation, token_hash, rotated_at, created_at, expires_at, epoch,
        ip, user_agent)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (sid) DO UPDATE SET generation = excluded.generation, token_hash = excluded.token_hash,
        rotated_at = excluded.rotated_at, expires_at = excluded.expires_at";

const LIVE: &str = "SELECT * FROM sessions WHERE sub = ?1 AND expires_at > ?2 ORDER BY created_at, sid";

/// Keeps a new session, stamped with the user's epoch; `None` if the user is disabled.
pub(super) async fn open(tx: &mut SqliteConnection, session: Session) -> Result<Option<Session>, StoreError> {
    let UserState { epoch, disabled } = user(tx, &session.subject).await?;
    if disabled {
        return Ok(None);
    }
    let session = Session { epoch, ..session };
    save(tx, &session).await?;
    Ok(Some(session))
}

/// One rotation, as one transaction.
pub(super) struct Rotate {
    pub(super) presented: Presented,
    pub(super) lifetimes: Lifetimes,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
}

impl Rotate {
    pub(super) async fn run(self, tx: &mut SqliteConnection) -> Result<Rotation, StoreError> {
        let Self { presented, lifetimes, memory, now } = self;
        let session = find(tx, presented.sid).await?;
        let user = match &session {
            Some(session) => user(tx, &session.subject).await?,
            None => UserState::default(),
        };
        let rotation = rotate(session, user, &presented, &lifetimes, now);
        match &rotation {
            Rotation::Rotated(session) => save(tx, session).await?,
            Rotation::Replayed(_) => {}
            Rotation::Reused(session) => {
                delete(tx, session.id).await?;
                blacklist(tx, &session.id.to_string(), now.after(memory.access_life)).await?;
            }
            Rotation::Ended => delete(tx, presented.sid).await?,
        }
        Ok(rotation)
    }
}

/// Ends the live sessions that `ending` names and blacklists them until `until`: how many there were.
pub(super) async fn end(
    tx: &mut SqliteConnection,
    subject: &Subject,
    ending: Ending,
    until: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut ended = 0;
    for session in live(tx, subject, now).await? {
        let is_meant = match ending {
            Ending::This(sid) => session.id == sid,
            Ending::Others(sid) => session.id != sid,
            Ending::All => true,
        };
        if is_meant {
            delete(tx, session.id).await?;
            blacklist(tx, &session.id.to_string(), until).await?;
            ended += 1;
        }
    }
    if ending == Ending::All {
        raise_epoch(tx, subject, now).await?;
    }
    Ok(ended)
}

/// The session of this name, however old.
pub(super) async fn find(connection: &mut SqliteConnection, sid: SessionId) -> Result<Option<Session>, StoreError> {
    let row = sqlx::query("SELECT * FROM sessions WHERE sid = ?1")
        .bind(sid.to_string())
        .fetch_optional(connection)
        .await
        .map_err(failure)?;
    row.as_ref().map(rows::session).transpose()
}

/// The sessions of `subject` that have not ended, oldest first.
pub(super) async fn live(
    connection: &mut SqliteConnection,
    subject: &Subject,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let rows =
        sqlx::query(LIVE).bind(subject.as_str()).bind(now.as_micros()).fetch_all(connection).await.map_err(failure)?;
    rows.iter().map(rows::session).collect()
}

/// The user's state; the default if there is no row.
pub(super) async fn user(connection: &mut SqliteConnection, subject: &Subject) -> Result<UserState, StoreError> {
    let row = sqlx::query("SELECT epoch, disabled FROM users WHERE subject = ?1")
        .bind(subject.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failure)?;
    let Some(row) = row else { return Ok(UserState::default()) };
    Ok(UserState { epoch: rows::number(&row, "epoch")?, disabled: row.try_get("disabled").map_err(failure)? })
}

/// Marks the user as disabled or not.
pub(super) async fn set_disabled(
    tx: &mut SqliteConnection,
    subject: &Subject,
    disabled: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO users (subject, epoch, disabled) VALUES (?1, 0, ?2)
         ON CONFLICT (subject) DO UPDATE SET disabled = excluded.disabled",
    )
    .bind(subject.as_str())
    .bind(disabled)
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(())
}

async fn raise_epoch(tx: &mut SqliteConnection, subject: &Subject, now: Timestamp) -> Result<(), StoreError> {
    let epoch = user(tx, subject).await?.next_epoch(now);
    let epoch = i64::try_from(epoch).map_err(|_| corrupt("an epoch past all counting"))?;
    sqlx::query(
        "INSERT INTO users (subject, epoch, disabled) VALUES (?1, ?2, 0)
         ON CONFLICT (subject) DO UPDATE SET epoch = excluded.epoch",
    )
    .bind(subject.as_str())
    .bind(epoch)
    .execute(tx)
    .await
    .map_err(failure)?;
    Ok(())
}

async fn save(tx: &mut SqliteConnection, session: &Session) -> Result<(), StoreError> {
    let epoch = i64::try_from(session.epoch).map_err(|_| corrupt("an epoch past all counting"))?;
    sqlx::query(SAVE)
        .bind(session.id.to_string())
        .bind(session.subject.as_str())
        .bind(words(&session.grants.roles))
        .bind(words(&session.grants.scopes))
        .bind(i64::from(session.generation))
        .bind(session.token_hash.0.as_slice())
        .bind(session.rotated_at.as_micros())
        .bind(session.created_at.as_micros())
        .bind(session.expires_at.as_micros())
        .bind(epoch)
        .bind(session.address.to_string())
        .bind(session.user_agent.as_str())
        .execute(tx)
        .await
        .map_err(failure)?;
    Ok(())
}

async fn delete(tx: &mut SqliteConnection, sid: SessionId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE sid = ?1").bind(sid.to_string()).execute(tx).await.map_err(failure)?;
    Ok(())
}
