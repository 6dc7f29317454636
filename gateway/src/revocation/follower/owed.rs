//! What a gateway tells the store by itself: what it refuses though the store could not be told, as soon as that can be,
//! and what it knows of a user who is about to be let in. It relies on the follower to have the store told with the next
//! snapshot. It never ends what it can't name.

use std::collections::HashMap;

use tokio::time::timeout_at;
use tracing::warn;

use super::Follower;
use crate::clock::Timestamp;
use crate::ids::{Partition, SessionId, Subject};
use crate::revocation::entries::UserEntry;
use crate::session::UserState;
use crate::store::feed::Revocation;
use crate::store::{Memory, StoreError};

/// What was voided without the store, and it was not told of yet: each by the number of the last time that it was.
#[derive(Debug, Default)]
pub(super) struct Owed {
    voided: u64,
    sessions: HashMap<SessionId, u64>,
    users: HashMap<Subject, u64>,
}

impl Owed {
    pub(super) fn is_settled(&self) -> bool {
        self.sessions.is_empty() && self.users.is_empty()
    }

    /// How much was ever voided.
    pub(super) fn voided(&self) -> u64 {
        self.voided
    }

    pub(super) fn add(&mut self, revocation: &Revocation) {
        self.voided += 1;
        let _ = match revocation {
            Revocation::Session { sid, .. } => self.sessions.insert(*sid, self.voided),
            Revocation::User { subject, .. } => self.users.insert(subject.clone(), self.voided),
            Revocation::Token { .. } => None, // None is voided without its session.
        };
    }

    /// The store was told of the first so many. What was voided again since it is yet to be told of.
    pub(super) fn tell(&mut self, voided: u64) {
        self.sessions.retain(|_, number| *number > voided);
        self.users.retain(|_, number| *number > voided);
    }
}

impl Follower {
    /// Has this gateway refuse a session until then, if it has a view: whether it has. The store, which could not be told,
    /// will be as soon as it can be.
    pub fn void(&self, sid: SessionId, until: Timestamp) -> bool {
        self.revoke_here(sid.partition(), &Revocation::Session { sid, until })
    }

    /// Has this gateway refuse all tokens of a user that were issued before, as [`Follower::void`] does: those of the epoch
    /// of a token that was brought, too, whatever the clock says. A session that was opened elsewhere before the store is
    /// told ends as well.
    pub fn void_all_of(&self, subject: &Subject, partition: Partition, of_token: u64, now: Timestamp) -> bool {
        let (known, disabled) = self.view.user(subject).map_or((0, false), |user| (user.epoch, user.disabled));
        let before = UserState { epoch: known.max(of_token), ..UserState::default() };
        // Who was given a token since they were disabled has been enabled again, whether that is known here or not.
        let disabled = disabled && of_token < known;
        let epoch = before.next_epoch(now);
        self.revoke_here(partition, &Revocation::User { subject: subject.clone(), epoch, disabled })
    }

    fn revoke_here(&self, partition: Partition, revocation: &Revocation) -> bool {
        let is_used = self.view.max_staleness().is_some();
        if is_used {
            self.view.apply(partition, revocation);
            self.owed.send_modify(|owed| owed.add(revocation));
        }
        is_used
    }

    /// Tells the store what is known here of a user who is about to be let in: had it lost their epoch, it would give them
    /// one that views refuse, and had it lost that they are disabled, let them in.
    pub async fn remind(
        &self,
        subject: &Subject,
        partition: Partition,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(UserEntry { epoch, disabled, .. }) = self.view.user(subject) else { return Ok(()) };
        let known = Revocation::User { subject: subject.clone(), epoch, disabled };
        // What it answers is not applied: it may be old by the time it is here, and the feed tells everything in order.
        self.feed.restore(partition, &[known], memory, now).await.map(drop)
    }

    /// Whether it refuses this session, or all of this user's, and the store was not told of that yet.
    pub fn owes(&self, sid: SessionId, subject: &Subject) -> bool {
        let owed = self.owed.borrow();
        owed.sessions.contains_key(&sid) || owed.users.contains_key(subject)
    }

    /// Waits until the store was told what it is owed, but for no longer than until `end`: then it never hears of it
    /// from here.
    pub async fn settle(&self, end: tokio::time::Instant) {
        let mut owed = self.owed.subscribe();
        if timeout_at(end, owed.wait_for(Owed::is_settled)).await.is_err() {
            let Owed { sessions, users, .. } = &*self.owed.borrow();
            let revocations = sessions.len() + users.len();
            warn!(target: "error", revocations, "the store was never told of logouts that it could not take");
        }
    }
}
