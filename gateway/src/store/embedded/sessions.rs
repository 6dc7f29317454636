//! Sessions and users in SQL. Whether a refresh token may be spent is decided by `session::rotate`; this
//! file reads what that function needs and writes what it says, inside the caller's transaction.

use sqlx::{Row as _, SqliteConnection};

use super::revocation::{self, Listed};
use super::rows::{self, failure};
use crate::clock::Timestamp;
use crate::ids::{SessionId, Subject};
use crate::policy::Grants;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState, rotate};
use crate::store::text::{corrupt, parse_cause, words};
use crate::store::{Ending, Memory, Opening, StoreError};

const SAVE: &str = "
    INSERT INTO sessions (sid, sub, roles, scopes, generation, token_hash, rotated_at, created_at, expires_at, epoch,
        ip, user_agent)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (sid) DO UPDATE SET roles = excluded.roles, scopes = excluded.scopes,
        generation = excluded.generation, token_hash = excluded.token_hash,
        rotated_at = excluded.rotated_at, expires_at = excluded.expires_at,
        issued_at = max(issued_at, rotated_at)";

const LIVE: &str = "SELECT * FROM sessions WHERE sub = ?1 AND expires_at > ?2 ORDER BY created_at, sid";

/// Keeps a new session, stamped with the user's epoch, if the user may have one more.
pub(super) async fn open(
    tx: &mut SqliteConnection,
    session: Session,
    cap: Option<Cap>,
    memory: Memory,
) -> Result<Opening, StoreError> {
    let UserState { epoch, disabled, cause: _ } = user(tx, &session.subject).await?;
    if disabled {
        return Ok(Opening::Disabled);
    }
    let now = session.rotated_at;
    let memory = revocation::longest(tx, memory, now).await?;
    let mut evicted = 0;
    if let Some(cap) = cap {
        let Some(oldest) = cap.make_room(live(tx, &session.subject, now).await?) else { return Ok(Opening::Full) };
        for one in oldest {
            finish(tx, &one, Cause::Evicted, memory, now).await?;
            evicted += 1;
        }
    }
    let session = Session { epoch, ..session };
    save(tx, &session).await?;
    Ok(Opening::Opened { session, evicted })
}

/// One rotation, as one transaction.
pub(super) struct Rotate {
    pub(super) presented: Presented,
    pub(super) grants: Option<Grants>,
    pub(super) lifetimes: Lifetimes,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
}

impl Rotate {
    pub(super) async fn run(self, tx: &mut SqliteConnection) -> Result<Rotation, StoreError> {
        let Self { presented, grants, lifetimes, memory, now } = self;
        let Some(session) = find(tx, presented.sid).await? else {
            return Ok(Rotation::Ended(remembered(tx, presented.sid, now).await?));
        };
        let memory = revocation::longest(tx, memory, now).await?;
        let user = user(tx, &session.subject).await?;
        let over = session.expires_at;
        let rotation = rotate(Ok(session), user, &presented, grants.as_ref(), &lifetimes, now);
        match &rotation {
            Rotation::Rotated(session) => save(tx, session).await?,
            Rotation::Replayed(_) => {}
            Rotation::Reused(session) => {
                finish(tx, session, Cause::Reused, memory, now).await?;
            }
            Rotation::Ended(cause) => forget(tx, presented.sid, *cause, over).await?,
        }
        Ok(rotation)
    }
}

/// One ending of sessions, as one transaction: how many there were.
pub(super) struct End {
    pub(super) subject: Subject,
    pub(super) ending: Ending,
    pub(super) cause: Cause,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
}

impl End {
    pub(super) async fn run(self, tx: &mut SqliteConnection) -> Result<u64, StoreError> {
        let Self { subject, ending, cause, memory, now } = self;
        let memory = revocation::longest(tx, memory, now).await?;
        let (mut ended, mut newest) = (0, now);
        for session in live(tx, &subject, now).await? {
            let is_meant = match ending {
                Ending::This(sid) => session.id == sid,
                Ending::Others(sid) => session.id != sid,
                Ending::All => true,
            };
            if is_meant {
                newest = newest.max(finish(tx, &session, cause, memory, now).await?);
                ended += 1;
            }
        }
        if ending == Ending::All {
            raise_epoch(tx, &subject, cause, memory, newest).await?;
        }
        Ok(ended)
    }
}

/// Ends `session`, and blacklists it for as long as a token of it can be accepted. Returns the moment from which that
/// counts, later than `now` where this clock is behind.
async fn finish(
    tx: &mut SqliteConnection,
    session: &Session,
    cause: Cause,
    memory: Memory,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let since = last_issued(tx, session.id).await?.map_or(now, |issued_at| issued_at.max(now));
    forget(tx, session.id, cause, session.expires_at).await?;
    revocation::list(tx, Listed::Session(session.id), since.after(memory.access_life)).await?;
    Ok(since)
}

/// When the newest token of a session was issued, by whatever clock, if there is such a session.
pub(super) async fn last_issued(tx: &mut SqliteConnection, sid: SessionId) -> Result<Option<Timestamp>, StoreError> {
    let question = sqlx::query_scalar("SELECT max(rotated_at, issued_at) FROM sessions WHERE sid = ?1");
    let issued_at = question.bind(sid.to_string()).fetch_optional(tx).await.map_err(failure)?;
    Ok(issued_at.map(Timestamp::from_micros))
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
    let row = sqlx::query("SELECT epoch, disabled, cause FROM users WHERE subject = ?1")
        .bind(subject.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failure)?;
    let Some(row) = row else { return Ok(UserState::default()) };
    let cause: Option<&str> = row.try_get("cause").map_err(failure)?;
    Ok(UserState {
        epoch: rows::number(&row, "epoch")?,
        disabled: row.try_get("disabled").map_err(failure)?,
        cause: cause.map(parse_cause).transpose()?,
    })
}

/// Marks the user as disabled or not, of which everybody is to hear who begins to listen while it matters.
pub(super) async fn set_disabled(
    tx: &mut SqliteConnection,
    subject: &Subject,
    disabled: bool,
    memory: Memory,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO users (subject, epoch, disabled) VALUES (?1, 0, ?2)
         ON CONFLICT (subject) DO UPDATE SET disabled = excluded.disabled",
    )
    .bind(subject.as_str())
    .bind(disabled)
    .execute(&mut *tx)
    .await
    .map_err(failure)?;
    revocation::list_user(tx, subject, memory, now).await
}

async fn raise_epoch(
    tx: &mut SqliteConnection,
    subject: &Subject,
    cause: Cause,
    memory: Memory,
    now: Timestamp,
) -> Result<(), StoreError> {
    let epoch = user(tx, subject).await?.next_epoch(now);
    set_epoch(tx, subject, epoch, cause).await?;
    revocation::list_user(tx, subject, memory, now).await
}

/// Gives the user this epoch.
pub(super) async fn set_epoch(
    tx: &mut SqliteConnection,
    subject: &Subject,
    epoch: u64,
    cause: Cause,
) -> Result<(), StoreError> {
    let epoch = i64::try_from(epoch).map_err(|_| corrupt("an epoch past all counting"))?;
    sqlx::query(
        "INSERT INTO users (subject, epoch, disabled, cause) VALUES (?1, ?2, 0, ?3)
         ON CONFLICT (subject) DO UPDATE SET epoch = excluded.epoch, cause = excluded.cause",
    )
    .bind(subject.as_str())
    .bind(epoch)
    .bind(cause.name())
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

/// Removes a session and notes why, for whoever comes with a refresh token of it before `over`, when it had
/// ended by itself.
pub(super) async fn forget(
    tx: &mut SqliteConnection,
    sid: SessionId,
    cause: Cause,
    over: Timestamp,
) -> Result<(), StoreError> {
    let sid = sid.to_string();
    sqlx::query("DELETE FROM sessions WHERE sid = ?1").bind(&sid).execute(&mut *tx).await.map_err(failure)?;
    sqlx::query("INSERT OR REPLACE INTO ended (sid, cause, until) VALUES (?1, ?2, ?3)")
        .bind(&sid)
        .bind(cause.name())
        .bind(over.as_micros())
        .execute(tx)
        .await
        .map_err(failure)?;
    Ok(())
}

/// Why the session of this name is gone.
async fn remembered(tx: &mut SqliteConnection, sid: SessionId, now: Timestamp) -> Result<Cause, StoreError> {
    let row = sqlx::query("SELECT cause FROM ended WHERE sid = ?1 AND until > ?2")
        .bind(sid.to_string())
        .bind(now.as_micros())
        .fetch_optional(tx)
        .await
        .map_err(failure)?;
    row.map_or(Ok(Cause::Expired), |row| parse_cause(rows::text(&row, "cause")?))
}
