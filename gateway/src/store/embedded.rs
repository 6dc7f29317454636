//! The store of a single gateway: one SQLite file, durable across restarts. Relies on SQLite for atomicity
//! (one writer, write-ahead log) and on the pure functions of `session` and `limit` for every decision.
//! It never leaves a transaction half done: each runs in a task of its own that no caller can cancel.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Check, Ending, KeyPurpose, Leasable, Memory, Opening, Stand, Standing, Store, StoreError, StoredKey, Take,
};
use crate::clock::Timestamp;
use crate::ids::{Jti, PartitionCount, SessionId, Subject};
use crate::limit::{Backoff, Decision, Grant};
use crate::policy::Grants;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};

mod feed;
mod file;
mod keys;
mod limits;
mod revocation;
mod rows;
mod sessions;
mod sweep;

/// The longest that one operation may take; past it nothing is committed any more.
const DEADLINE: Duration = Duration::from_secs(2);

/// A SQLite file as a store. Clones share it.
#[derive(Clone, Debug)]
pub struct EmbeddedStore {
    writer: SqlitePool,
    readers: SqlitePool,
    writes: Arc<AtomicU32>,
}

impl EmbeddedStore {
    /// Opens the file, which is made if missing, and brings its tables up to date.
    ///
    /// The file is readable by its owner only, since it holds keys; so is its folder if it is made here.
    /// Fails with [`StoreError::Unavailable`] if the file can't be made, opened or locked, or was written
    /// by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let (writer, readers) = file::open(path.as_ref()).await?;
        Ok(Self { writer, readers, writes: Arc::default() })
    }

    /// Runs `step` as one transaction, alone among all writers of the file.
    ///
    /// It runs in a task of its own, so a caller that goes away neither leaves it half done nor takes back
    /// their logout. What could not be finished before the deadline is rolled back: whoever was told
    /// "unavailable" may safely try again.
    async fn write<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let writer = self.writer.clone();
        let deadline = Instant::now() + DEADLINE;
        let task = tokio::spawn(async move {
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(rows::failure)?;
            let outcome = step(&mut transaction).await?; // an early return rolls back
            if Instant::now() >= deadline {
                return Err(StoreError::TooLate);
            }
            transaction.commit().await.map_err(rows::failure)?;
            Ok(outcome)
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreError::Unavailable("the transaction was abandoned".to_owned())),
            Err(_) => Err(too_slow()),
        }
    }

    /// [`Self::write`], which now and then also sweeps away what was over long before `now`.
    async fn write_at<T, F>(&self, now: Timestamp, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let is_due = self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(sweep::EVERY);
        self.write(move |connection| {
            Box::pin(async move {
                if is_due {
                    sweep::expired(connection, now).await?;
                }
                step(connection).await
            })
        })
        .await
    }

    /// A connection that only reads.
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(rows::failure)
    }
}

/// Gives up on `answer` at the deadline.
async fn within<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(DEADLINE, answer).await.unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> StoreError {
    StoreError::Unavailable("it took too long".to_owned())
}

#[async_trait]
impl Store for EmbeddedStore {
    fn partitions(&self) -> PartitionCount {
        PartitionCount::ONE
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let started = Instant::now();
        self.write(|_| Box::pin(async { Ok(()) })).await?;
        Ok(started.elapsed())
    }

    async fn open(&self, session: Session, cap: Option<Cap>, memory: Memory) -> Result<Opening, StoreError> {
        let now = session.rotated_at;
        self.write_at(now, move |tx| Box::pin(sessions::open(tx, session, cap, memory))).await
    }

    async fn rotate(
        &self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let (presented, lifetimes) = (*presented, *lifetimes);
        let step = sessions::Rotate { presented, grants: grants.cloned(), lifetimes, memory, now };
        self.write_at(now, move |tx| Box::pin(step.run(tx))).await
    }

    async fn check(&self, check: &Check<'_>, now: Timestamp) -> Result<Standing, StoreError> {
        let question = revocation::Question::from(check);
        if check.takes.is_empty() {
            let stands = within(async { question.stands(&mut *self.reader().await?, now).await }).await?;
            return Ok(if stands { Standing::Good(Vec::new()) } else { Standing::Revoked });
        }
        let takes = check.takes.to_vec();
        self.write_at(now, move |tx| {
            Box::pin(async move {
                if !question.stands(tx, now).await? {
                    return Ok(Standing::Revoked);
                }
                limits::take(tx, limits::Scope::User, &takes, now).await.map(Standing::Good)
            })
        })
        .await
    }

    async fn standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        within(async { revocation::standing(&mut *self.reader().await?, stands, now).await }).await
    }

    async fn take(&self, takes: &[Take], now: Timestamp) -> Result<Vec<Decision>, StoreError> {
        let takes = takes.to_vec();
        self.write_at(now, move |tx| {
            Box::pin(async move { limits::take(tx, limits::Scope::Shared, &takes, now).await })
        })
        .await
    }

    async fn lease(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
        let of = of.clone();
        self.write_at(now, move |tx| Box::pin(async move { limits::lease(tx, &of, want, now).await })).await
    }

    async fn give_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError> {
        let of = of.clone();
        self.write(move |tx| Box::pin(async move { limits::give_back(tx, &of, cells).await })).await
    }

    async fn end(
        &self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let step = sessions::End { subject: subject.clone(), ending, cause, memory, now };
        self.write_at(now, move |tx| Box::pin(step.run(tx))).await
    }

    async fn revoke(
        &self,
        _: &Subject,
        jti: Jti,
        until: Timestamp,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_at(now, move |tx| {
            Box::pin(async move {
                let longest = revocation::longest(tx, memory, now).await?;
                let until = revocation::for_all(until, memory, longest, now);
                revocation::list(tx, revocation::Listed::Token(jti), until).await
            })
        })
        .await
    }

    async fn remember(&self, memory: Memory, now: Timestamp) -> Result<Memory, StoreError> {
        self.write_at(now, move |tx| Box::pin(async move { revocation::longest(tx, memory, now).await })).await
    }

    async fn session(&self, sid: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = within(async { sessions::find(&mut *self.reader().await?, sid).await }).await?;
        Ok(found.filter(|session| session.expires_at > now))
    }

    async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        within(async { sessions::live(&mut *self.reader().await?, subject, now).await }).await
    }

    async fn user(&self, subject: &Subject) -> Result<UserState, StoreError> {
        within(async { sessions::user(&mut *self.reader().await?, subject).await }).await
    }

    async fn set_disabled(
        &self,
        subject: &Subject,
        disabled: bool,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let subject = subject.clone();
        self.write_at(now, move |tx| {
            Box::pin(async move {
                if disabled {
                    let (subject, ending, cause) = (subject.clone(), Ending::All, Cause::Disabled);
                    sessions::End { subject, ending, cause, memory, now }.run(tx).await?;
                }
                let memory = revocation::longest(tx, memory, now).await?;
                sessions::set_disabled(tx, &subject, disabled, memory, now).await
            })
        })
        .await
    }

    async fn login_delay(&self, key: &str, now: Timestamp) -> Result<Duration, StoreError> {
        within(async { limits::login_delay(&mut *self.reader().await?, key, now).await }).await
    }

    async fn login_failed(&self, key: &str, backoff: &Backoff, now: Timestamp) -> Result<Duration, StoreError> {
        let (key, backoff) = (key.to_owned(), *backoff);
        self.write_at(now, move |tx| Box::pin(async move { limits::login_failed(tx, &key, &backoff, now).await })).await
    }

    async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write(move |tx| Box::pin(async move { limits::login_succeeded(tx, &key).await })).await
    }

    async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        within(async { keys::newest_first(&mut *self.reader().await?, purpose).await }).await
    }

    async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |tx| Box::pin(async move { keys::add(tx, &key).await })).await?;
        file::make_durable(&self.writer).await
    }

    async fn found_keys(&self, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
        let first = first.clone();
        let keys = self.write(move |tx| Box::pin(async move { keys::found(tx, &first).await })).await?;
        file::make_durable(&self.writer).await?;
        Ok(keys)
    }
}
