//! The store as this gateway uses it: how long each command took is measured, whether it answered, and so whether the
//! store is up; and whoever revokes something is answered only once this gateway knows of it. It relies on a
//! [`Witness`] for that, and changes no answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::feed::{Changes, Cursor, Feed, Page, Place, Revocation};
use super::{
    Check, Ending, KeyPurpose, Leasable, Memory, Opening, Stand, Standing, Store, StoreError, StoredKey, Take,
};
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, PartitionCount, SessionId, Subject};
use crate::limit::{Backoff, Decision, Grant};
use crate::metrics::Metrics;
use crate::policy::Grants;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};

/// Who is to know of what is revoked before whoever revoked it is answered.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// Returns when everything that the store knows now is known, or will be noticed not to be.
    async fn catch_up(&self);
}

/// Measures `inner`.
pub struct Measured {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    witness: Arc<dyn Witness>,
}

impl Measured {
    /// Measures `inner`, and has `witness` know of what is revoked through this.
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>, witness: Arc<dyn Witness>) -> Self {
        Self { inner, metrics, witness }
    }

    async fn timed<T>(
        &self,
        command: &str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let answer = answer.await;
        self.metrics.store_took(command, answer.is_ok(), began.elapsed());
        answer
    }
}

#[async_trait]
impl Feed for Measured {
    async fn changes(&self, partition: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        self.timed("changes", self.inner.changes(partition, after)).await
    }

    async fn snapshot(&self, partition: Partition, from: Option<&Place>) -> Result<Page, StoreError> {
        self.timed("snapshot", self.inner.snapshot(partition, from)).await
    }

    async fn restore(
        &self,
        partition: Partition,
        revocations: &[Revocation],
        memory: Memory,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.timed("restore", self.inner.restore(partition, revocations, memory, now)).await
    }
}

#[async_trait]
impl Store for Measured {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let answer = self.timed("ping", self.inner.ping()).await;
        self.metrics.store_is_up(answer.is_ok());
        answer
    }

    async fn open(&self, session: Session, cap: Option<Cap>, memory: Memory) -> Result<Opening, StoreError> {
        let opening = self.timed("open", self.inner.open(session, cap, memory)).await?;
        if matches!(opening, Opening::Opened { evicted: 1.., .. }) {
            self.witness.catch_up().await;
        }
        Ok(opening)
    }

    async fn rotate(
        &self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let rotation = self.timed("rotate", self.inner.rotate(presented, grants, lifetimes, memory, now)).await?;
        if matches!(rotation, Rotation::Reused(_)) {
            self.witness.catch_up().await;
        }
        Ok(rotation)
    }

    async fn check(&self, check: &Check<'_>, now: Timestamp) -> Result<Standing, StoreError> {
        self.timed("check", self.inner.check(check, now)).await
    }

    async fn standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        self.timed("standing", self.inner.standing(stands, now)).await
    }

    async fn take(&self, takes: &[Take], now: Timestamp) -> Result<Vec<Decision>, StoreError> {
        self.timed("take", self.inner.take(takes, now)).await
    }

    async fn lease(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
        self.timed("lease", self.inner.lease(of, want, now)).await
    }

    async fn give_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError> {
        self.timed("give_back", self.inner.give_back(of, cells)).await
    }

    async fn end(
        &self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ended = self.timed("end", self.inner.end(subject, ending, cause, memory, now)).await?;
        self.witness.catch_up().await;
        Ok(ended)
    }

    async fn revoke(
        &self,
        subject: &Subject,
        jti: Jti,
        until: Timestamp,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.timed("revoke", self.inner.revoke(subject, jti, until, memory, now)).await?;
        self.witness.catch_up().await;
        Ok(())
    }

    async fn remember(&self, memory: Memory, now: Timestamp) -> Result<Memory, StoreError> {
        self.timed("remember", self.inner.remember(memory, now)).await
    }

    async fn session(&self, sid: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.timed("session", self.inner.session(sid, now)).await
    }

    async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.timed("sessions", self.inner.sessions(subject, now)).await
    }

    async fn user(&self, subject: &Subject) -> Result<UserState, StoreError> {
        self.timed("user", self.inner.user(subject)).await
    }

    async fn set_disabled(
        &self,
        subject: &Subject,
        disabled: bool,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.timed("set_disabled", self.inner.set_disabled(subject, disabled, memory, now)).await?;
        self.witness.catch_up().await;
        Ok(())
    }

    async fn login_delay(&self, key: &str, now: Timestamp) -> Result<Duration, StoreError> {
        self.timed("login_delay", self.inner.login_delay(key, now)).await
    }

    async fn login_failed(&self, key: &str, backoff: &Backoff, now: Timestamp) -> Result<Duration, StoreError> {
        self.timed("login_failed", self.inner.login_failed(key, backoff, now)).await
    }

    async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        self.timed("login_succeeded", self.inner.login_succeeded(key)).await
    }

    async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        self.timed("keys", self.inner.keys(purpose)).await
    }

    async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.timed("add_key", self.inner.add_key(key)).await
    }

    async fn found_keys(&self, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
        self.timed("found_keys", self.inner.found_keys(first)).await
    }
}
