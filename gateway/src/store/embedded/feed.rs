//! The feed of revocations from SQLite: a table that keeps the last word on each token, session and user, in the order
//! in which it was said. Rows only go once they mean nothing, so whoever has read up to the last one knows everything,
//! and no reader finds a gap unless the file is another one. Two processes on one file see each other's.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::revocation::{self, Listed};
use super::rows::{self, failure};
use super::sessions::{self, user};
use super::{EmbeddedStore, within};
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, SessionId, Subject};
use crate::session::{Cause, UserState};
use crate::store::feed::{Changes, Cursor, Feed, Gap, MOST_IN_A_PAGE, Next, Page, Place, Revocation};
use crate::store::text::corrupt;
use crate::store::{Memory, StoreError};

/// The last `seq` that was given out, though its row may be gone.
const LAST: &str = "SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0)";

const AFTER: &str = "
    SELECT seq, kind, name, until, epoch, disabled FROM revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2";

#[async_trait]
impl Feed for EmbeddedStore {
    async fn changes(&self, _: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        within(async {
            let reader = &mut *self.reader().await?;
            let last: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *reader).await.map_err(failure)?;
            if u64::try_from(last).unwrap_or(0) < after.last.0 {
                return Ok(Changes::Gap(Gap::Lost));
            }
            let (revocations, seq) = read_after(reader, after.last.0).await?;
            let more = revocations.len() == MOST_IN_A_PAGE;
            Ok(Changes::Next { revocations, cursor: Cursor { last: (seq, 0), ..*after }, more })
        })
        .await
    }

    async fn snapshot(&self, _: Partition, from: Option<&Place>) -> Result<Page, StoreError> {
        within(async {
            let (revocations, seq) = read_after(&mut *self.reader().await?, from.map_or(0, |place| place.scan)).await?;
            let cursor = Cursor { last: (seq, 0), ..Cursor::default() };
            let is_full = revocations.len() == MOST_IN_A_PAGE;
            let next = if is_full { Next::Page(Place { cursor, scan: seq }) } else { Next::Changes(cursor) };
            Ok(Page { revocations, next })
        })
        .await
    }

    async fn restore(
        &self,
        _: Partition,
        revocations: &[Revocation],
        memory: Memory,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let revocations = revocations.to_vec();
        let restore = async move |tx: &mut SqliteConnection| {
            let longest = revocation::longest(tx, memory, now).await?;
            let mut users = Vec::new();
            for revocation in revocations {
                match revocation {
                    Revocation::Token { jti, until } => relist(tx, Listed::Token(jti), until).await?,
                    Revocation::Session { sid, until } => {
                        // One that was ended here alone is known for no longer than tokens live here.
                        let until = revocation::for_all(until, memory, longest, now);
                        let issued_at = sessions::last_issued(tx, sid).await?;
                        let until = issued_at.map_or(until, |at| until.max(at.after(longest.access_life)));
                        relist(tx, Listed::Session(sid), until).await?;
                    }
                    Revocation::User { subject, epoch, disabled } => {
                        users.push(restore_user(tx, subject, epoch, disabled, longest, now).await?);
                    }
                }
            }
            Ok(users)
        };
        self.write_at(now, move |tx| Box::pin(async move { restore(tx).await })).await
    }
}

/// The rows after `seq`, and the last `seq` then.
async fn read_after(reader: &mut SqliteConnection, seq: u64) -> Result<(Vec<Revocation>, u64), StoreError> {
    let most = i64::try_from(MOST_IN_A_PAGE).unwrap_or(i64::MAX);
    let after = i64::try_from(seq).map_err(|_| corrupt("a cursor past all counting"))?;
    let rows = sqlx::query(AFTER).bind(after).bind(most).fetch_all(reader).await.map_err(failure)?;
    let last = rows.last().map_or(Ok(seq), |row| rows::number(row, "seq"))?;
    Ok((rows.iter().map(revocation).collect::<Result<_, _>>()?, last))
}

fn revocation(row: &SqliteRow) -> Result<Revocation, StoreError> {
    let (name, until) = (rows::text(row, "name")?, rows::moment(row, "until")?);
    match rows::text(row, "kind")? {
        "token" => Ok(Revocation::Token { jti: Jti::parse(name).map_err(corrupt)?, until }),
        "session" => Ok(Revocation::Session { sid: SessionId::parse(name).map_err(corrupt)?, until }),
        "user" => Ok(Revocation::User {
            subject: Subject::parse(name).map_err(corrupt)?,
            epoch: rows::number(row, "epoch")?,
            disabled: row.try_get("disabled").map_err(failure)?,
        }),
        _ => Err(corrupt("a revocation of an unknown kind")),
    }
}

/// Lists what is not; a session that came back goes again.
async fn relist(tx: &mut SqliteConnection, listed: Listed, until: Timestamp) -> Result<(), StoreError> {
    if revocation::until(tx, listed).await?.is_some_and(|known| known >= until) {
        return Ok(());
    }
    if let Listed::Session(sid) = listed
        && let Some(session) = sessions::find(tx, sid).await?
    {
        sessions::forget(tx, sid, Cause::Revoked, session.expires_at).await?;
    }
    revocation::list(tx, listed, until).await
}

/// Raises the user's epoch to this one, and disables them as it says; if theirs is no older, that stands: as it is then.
async fn restore_user(
    tx: &mut SqliteConnection,
    subject: Subject,
    epoch: u64,
    disabled: bool,
    memory: Memory,
    now: Timestamp,
) -> Result<Revocation, StoreError> {
    let UserState { epoch: theirs, disabled: is_disabled, cause } = user(tx, &subject).await?;
    if theirs >= epoch {
        return Ok(Revocation::User { subject, epoch: theirs, disabled: is_disabled });
    }
    let disabled = disabled || is_disabled; // Whoever disabled them since is not undone.
    let cause = cause.unwrap_or(if disabled { Cause::Disabled } else { Cause::Revoked });
    sessions::set_epoch(tx, &subject, epoch, cause).await?;
    for session in sessions::live(tx, &subject, now).await?.iter().filter(|session| session.epoch < epoch) {
        sessions::forget(tx, session.id, cause, session.expires_at).await?; // It is neither listed nor counted any more.
    }
    sessions::set_disabled(tx, &subject, disabled, memory, now).await?;
    Ok(Revocation::User { subject, epoch, disabled })
}
