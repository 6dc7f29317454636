//! A store whose revocations this gateway knows of before whoever made them is answered. It relies on the follower to
//! find out, and on the store around which it is for everything else. It makes no revocation of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::follower::Follower;
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, PartitionCount, SessionId, Subject};
use crate::limit::{Backoff, Decision, Grant};
use crate::policy::Grants;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};
use crate::store::feed::{Changes, Cursor, Feed, Page, Place, Revocation};
use crate::store::{
    Check, Ending, KeyPurpose, Leasable, Memory, Opening, Stand, Standing, Store, StoreError, StoredKey, Take,
};

/// Keeps a view of `inner`.
pub struct Replicated {
    inner: Arc<dyn Store>,
    follower: Arc<Follower>,
}

impl Replicated {
    /// Has `follower`, which follows `inner`, know of what is revoked through this.
    pub fn new(inner: Arc<dyn Store>, follower: Arc<Follower>) -> Self {
        Self { inner, follower }
    }
}

#[async_trait]
impl Feed for Replicated {
    async fn changes(&self, partition: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        self.inner.changes(partition, after).await
    }

    async fn snapshot(&self, partition: Partition, from: Option<&Place>) -> Result<Page, StoreError> {
        self.inner.snapshot(partition, from).await
    }

    async fn restore(
        &self,
        partition: Partition,
        revocations: &[Revocation],
        memory: Memory,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.inner.restore(partition, revocations, memory, now).await
    }
}

#[async_trait]
impl Store for Replicated {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.inner.ping().await
    }

    async fn open(&self, session: Session, cap: Option<Cap>, memory: Memory) -> Result<Opening, StoreError> {
        let opening = self.inner.open(session, cap, memory).await?;
        if matches!(opening, Opening::Opened { evicted: 1.., .. }) {
            self.follower.catch_up().await;
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
        let rotation = self.inner.rotate(presented, grants, lifetimes, memory, now).await?;
        if matches!(rotation, Rotation::Reused(_)) {
            self.follower.catch_up().await;
        }
        Ok(rotation)
    }

    async fn check(&self, check: &Check<'_>, now: Timestamp) -> Result<Standing, StoreError> {
        self.inner.check(check, now).await
    }

    async fn standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        self.inner.standing(stands, now).await
    }

    async fn take(&self, takes: &[Take], now: Timestamp) -> Result<Vec<Decision>, StoreError> {
        self.inner.take(takes, now).await
    }

    async fn lease(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
        self.inner.lease(of, want, now).await
    }

    async fn give_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError> {
        self.inner.give_back(of, cells).await
    }

    async fn end(
        &self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ended = self.inner.end(subject, ending, cause, memory, now).await?;
        self.follower.catch_up().await;
        Ok(ended)
    }

    async fn revoke(&self, subject: &Subject, jti: Jti, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.inner.revoke(subject, jti, until, now).await?;
        self.follower.catch_up().await;
        Ok(())
    }

    async fn session(&self, sid: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.inner.session(sid, now).await
    }

    async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.inner.sessions(subject, now).await
    }

    async fn user(&self, subject: &Subject) -> Result<UserState, StoreError> {
        self.inner.user(subject).await
    }

    async fn set_disabled(
        &self,
        subject: &Subject,
        disabled: bool,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.set_disabled(subject, disabled, memory, now).await?;
        self.follower.catch_up().await;
        Ok(())
    }

    async fn login_delay(&self, key: &str, now: Timestamp) -> Result<Duration, StoreError> {
        self.inner.login_delay(key, now).await
    }

    async fn login_failed(&self, key: &str, backoff: &Backoff, now: Timestamp) -> Result<Duration, StoreError> {
        self.inner.login_failed(key, backoff, now).await
    }

    async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        self.inner.login_succeeded(key).await
    }

    async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        self.inner.keys(purpose).await
    }

    async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.inner.add_key(key).await
    }

    async fn found_keys(&self, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
        self.inner.found_keys(first).await
    }
}
