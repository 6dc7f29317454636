//! An exact view of what is revoked, shared by all threads of a gateway: a token is looked up without asking anybody
//! and without allocating. It relies on the follower to be told everything, and on it to say up to which moment that
//! is so; whoever looks up is told "unknown" where that is too long ago. What it was told is never doubted: a token
//! that is revoked stays so, however old the view.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::timeout;

pub use super::entries::Sizes;
use super::entries::{Entries, UserEntry};
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, SessionId, Subject};
use crate::store::feed::Revocation;
use crate::store::measured::Witness;
use crate::store::{Memory, Stand};

mod copied;

use copied::Copied;

/// More than threads that look up at once.
const SHARDS: usize = 64;
/// How long whoever revoked something waits for it to be known here.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the view says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands: nothing that the store knew [`View::max_staleness`] ago, or less, speaks against it.
    Stands,
    /// It was revoked.
    Revoked,
    /// The view is too old, or not in use: the store must be asked.
    Unknown,
}

/// What is revoked, as far as this gateway knows.
#[derive(Debug)]
pub struct View {
    shards: [RwLock<Entries>; SHARDS],
    held: AtomicUsize,
    began: Instant,
    /// Up to which moment everything is known, in nanoseconds since it began; zero if nothing is.
    synced: AtomicU64,
    /// It is not fresh until everything of this moment is known.
    doubted: AtomicU64,
    /// In nanoseconds; zero if the view is not in use.
    max_staleness: AtomicU64,
    /// Of an access token, in nanoseconds, by any configuration so far, here or elsewhere: what was shortened may be
    /// lengthened again.
    longest_life: AtomicU64,
    /// Wakes the follower.
    hurry: Notify,
    /// Wakes who waits for what the follower tells.
    told: Notify,
}

impl View {
    /// An empty view that is in use if there is a bound on its age.
    pub fn new(max_staleness: Option<Duration>) -> Self {
        let view = Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            held: AtomicUsize::new(0),
            began: Instant::now(),
            synced: AtomicU64::new(0),
            doubted: AtomicU64::new(0),
            max_staleness: AtomicU64::new(0),
            longest_life: AtomicU64::new(0),
            hurry: Notify::new(),
            told: Notify::new(),
        };
        view.set_max_staleness(max_staleness);
        view
    }

    /// Puts it to use with this bound on its age, or out of use. The configuration may change.
    pub fn set_max_staleness(&self, bound: Option<Duration>) {
        self.max_staleness.store(bound.map_or(0, nanos), Ordering::Relaxed);
        self.hurry.notify_one();
    }

    /// How old it may be; none if it is not in use.
    pub fn max_staleness(&self) -> Option<Duration> {
        let bound = self.max_staleness.load(Ordering::Relaxed);
        (bound > 0).then(|| Duration::from_nanos(bound))
    }

    /// Whether a token stands, by all that is known here.
    pub fn verdict(&self, stand: &Stand<'_>, now: Timestamp) -> Verdict {
        if self.max_staleness().is_none() {
            return Verdict::Unknown;
        }
        // Asked first: what is looked up after is no older.
        let is_fresh = self.is_fresh();
        let if_nothing_is_known = if is_fresh { Verdict::Stands } else { Verdict::Unknown };
        if self.held.load(Ordering::Acquire) == 0 {
            return if_nothing_is_known;
        }
        let Stand { subject, sid, jti, epoch } = stand;
        let listed =
            self.read(of_token(jti)).lists_token(jti, now) || self.read(of_session(sid)).lists_session(sid, now);
        let user = self.user(subject);
        if self.max_staleness().is_none() {
            return Verdict::Unknown; // It went out of use, and was emptied perhaps, while it was read.
        }
        match user {
            _ if listed => Verdict::Revoked,
            Some(user) if user.epoch > *epoch => Verdict::Revoked,
            // Unlike anything else that is revoked, a user may be enabled again, which an old view does not know.
            Some(user) if user.disabled && is_fresh => Verdict::Revoked,
            _ => if_nothing_is_known,
        }
    }

    /// What is known of a user, if their epoch was ever raised as far as is known.
    pub(super) fn user(&self, subject: &Subject) -> Option<UserEntry> {
        self.read(of_user(subject)).user(subject)
    }

    /// Takes one in; see [`Revocation`]. Any number of times, in any order but for that of one user's epoch.
    pub fn apply(&self, partition: Partition, revocation: &Revocation) {
        self.change(of(revocation), |entries| entries.apply(partition, revocation));
    }

    /// All of `partition` that still matters. Of a million that takes a tenth of a second.
    pub(super) fn copy(&self, partition: Partition, now: Timestamp) -> Copied {
        let copy = |shard| {
            let mut copy = Entries::default();
            for revocation in self.read(shard).of(partition, now) {
                copy.apply(partition, &revocation);
            }
            copy
        };
        Copied::of((0..SHARDS).map(copy).collect())
    }

    /// Has it forget nothing sooner than tokens of such a life end.
    pub fn remember(&self, memory: Memory) {
        self.longest_life.fetch_max(nanos(memory.access_life), Ordering::Relaxed);
    }

    /// Forgets what was over some time ago, by a clock that does not run ahead; `access_life` is that of [`Memory`].
    pub fn sweep(&self, access_life: Duration, now: Timestamp) {
        self.remember(Memory { access_life });
        let longest = Duration::from_nanos(self.longest_life.load(Ordering::Relaxed));
        for shard in 0..SHARDS {
            self.change(shard, |entries| entries.sweep(longest, now));
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.synced.store(0, Ordering::Release);
        for shard in 0..SHARDS {
            self.change(shard, |entries| *entries = Entries::default());
        }
    }

    /// Everything that the store knew at `moment` is known here.
    pub fn synced(&self, moment: Instant) {
        self.synced.store(self.moment(moment), Ordering::Release);
        self.told.notify_waiters();
    }

    /// Not everything of `moment` is known here, and somebody relies on it.
    fn doubt(&self, moment: Instant) {
        self.doubted.fetch_max(self.moment(moment), Ordering::Release);
    }

    /// Returns when somebody is in a hurry to have it brought up to date.
    pub(super) async fn is_wanted(&self) {
        self.hurry.notified().await;
    }

    /// Returns when everything of a moment is known.
    async fn knows(&self, moment: Instant) {
        let moment = self.moment(moment);
        loop {
            let told = self.told.notified(); // First, so that nothing is told unheard in between.
            if self.synced.load(Ordering::Acquire) >= moment {
                return;
            }
            told.await;
        }
    }

    /// Whether it may be used instead of the store.
    pub fn is_fresh(&self) -> bool {
        let synced = self.synced.load(Ordering::Acquire);
        let age = self.moment(Instant::now()).saturating_sub(synced);
        synced > 0
            && synced >= self.doubted.load(Ordering::Acquire)
            && age <= self.max_staleness.load(Ordering::Relaxed)
    }

    /// For how long changes may be unknown here; since it began if everything is.
    pub fn staleness(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_nanos(self.synced.load(Ordering::Acquire)))
    }

    /// How many there are of each kind.
    pub fn sizes(&self) -> Sizes {
        (0..SHARDS).map(|shard| self.read(shard).sizes()).fold(Sizes::default(), |all, some| Sizes {
            tokens: all.tokens + some.tokens,
            sessions: all.sessions + some.sessions,
            users: all.users + some.users,
        })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + (0..SHARDS).map(|shard| self.read(shard).bytes()).sum::<usize>()
    }

    /// Zero is for "never".
    fn moment(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.began)).max(1)
    }

    fn change(&self, shard: usize, change: impl FnOnce(&mut Entries)) {
        let mut entries = self.write(shard);
        let count = |sizes: Sizes| sizes.tokens + sizes.sessions + sizes.users;
        let before = count(entries.sizes());
        change(&mut entries);
        let after = count(entries.sizes());
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Release);
        } else {
            self.held.fetch_sub(before - after, Ordering::Release);
        }
    }

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Entries> {
        self.shards[shard].read().unwrap_or_else(PoisonError::into_inner) // No step leaves it half changed.
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Entries> {
        self.shards[shard].write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Witness for View {
    /// Until it knows, if that takes too long, it is not used; nobody waits for one that is out of use.
    async fn catch_up(&self) {
        if self.max_staleness().is_none() {
            return;
        }
        let since = Instant::now();
        self.hurry.notify_one();
        if timeout(PATIENCE, self.knows(since)).await.is_err() {
            self.doubt(since);
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

// Of an id, bytes that its table does not place it by, or all shards would be placed alike.

fn of(revocation: &Revocation) -> usize {
    match revocation {
        Revocation::Token { jti, .. } => of_token(jti),
        Revocation::Session { sid, .. } => of_session(sid),
        Revocation::User { subject, .. } => of_user(subject),
    }
}

fn of_token(jti: &Jti) -> usize {
    usize::from(jti.as_bytes()[1]) % SHARDS
}

fn of_session(sid: &SessionId) -> usize {
    usize::from(sid.as_bytes()[1]) % SHARDS
}

fn of_user(subject: &Subject) -> usize {
    subject.as_str().bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % SHARDS
}

#[cfg(test)]
mod tests;
