//! State that outlives a request: sessions, revocations, limits and keys, behind one trait. Two
//! implementations pass the same contract suite: Redis, shared by many gateways, and an embedded
//! SQLite file. Each method is one atomic step; none of them reads the wall clock for a decision.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::clock::Timestamp;
use crate::ids::{Jti, LimitId, Partition, PartitionCount, SessionId, Subject};
use crate::limit::{Backoff, Decision, Grant, Quota};
use crate::policy::Grants;
use crate::secret::Secret;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};

pub mod embedded;
pub mod feed;
pub mod measured;
mod memory;
pub mod redis;
mod text;

use feed::Feed;
pub use memory::Memory;

/// Why the store gave no answer. Unknown, never "no": nothing may be ended or cleared because of it.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// It can't be reached, or did not answer in time.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It executed nothing, since the request's deadline had passed.
    #[error("the store reached the request too late and did nothing")]
    TooLate,
    /// It answered with something that we did not write.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// What a limit counts: a named quota and the key it counts under (a subject, an address prefix …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The limit.
    pub limit: LimitId,
    /// Counted under this key: printable, at most a few hundred bytes.
    pub key: String,
    /// How much is allowed.
    pub quota: Quota,
}

/// What shares are leased of: a limit, and whom it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leasable {
    /// The limit.
    pub limit: LimitId,
    /// Whom it counts.
    pub whom: Counted,
    /// How much is allowed.
    pub quota: Quota,
}

/// Whom a limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// This user; counted where [`Store::check`] counts.
    User(Subject),
    /// What goes by this key; counted where [`Store::take`] counts.
    Other(String),
}

/// What must hold of an access token beyond its signature and dates.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    /// The user.
    pub subject: &'a Subject,
    /// The session.
    pub sid: SessionId,
    /// The token.
    pub jti: Jti,
    /// The user's epoch when it was issued.
    pub epoch: u64,
    /// The limits counted by user; taken only if the token stands.
    pub takes: &'a [Take],
}

/// Whether an access token still stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does; the decision of each limit, in order. A refused limit leaves the others untaken.
    Good(Vec<Decision>),
    /// The token, its session or all of the user's sessions were revoked, or the user is disabled.
    Revoked,
}

/// A token that was good once, of which [`Store::standing`] asks whether it still stands.
#[derive(Clone, Copy, Debug)]
pub struct Stand<'a> {
    /// The user.
    pub subject: &'a Subject,
    /// The session.
    pub sid: SessionId,
    /// The token.
    pub jti: Jti,
    /// The user's epoch when it was issued.
    pub epoch: u64,
}

/// The most that [`Store::standing`] is asked at once, so that a store is never busy with it for long.
pub const MOST_AT_ONCE: usize = 500;

/// What became of a session that was to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is kept.
    Opened {
        /// As it is kept.
        session: Session,
        /// How many others of its user ended to make room.
        evicted: u64,
    },
    /// The user is disabled.
    Disabled,
    /// The user has all the sessions they may have.
    Full,
}

/// Which sessions of a user end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This one.
    This(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All, and every token of the user: the epoch is raised.
    All,
}

/// What a key in the store is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Signs access tokens: a private key in PKCS#8 PEM, or an HMAC secret.
    Signing,
    /// Derives refresh tokens: 32 random bytes.
    Refresh,
}

impl KeyPurpose {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Refresh => "refresh",
        }
    }
}

/// A key that the store keeps for all gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its name, unique within the purpose.
    pub name: String,
    /// `ES256`, `RS256` …; for refresh keys `HS256`.
    pub algorithm: String,
    /// The key itself.
    pub material: Secret,
    /// When it was made; the newest signs.
    pub created_at: Timestamp,
}

/// Where state lives. See the module.
///
/// Whatever it revokes is told by its [`Feed`]. Every `now` is the caller's clock. Methods return within a bounded time of their own, and one whose
/// caller has given up never hands its answer to another.
#[async_trait]
pub trait Store: Feed {
    /// How many partitions the keys are spread over.
    fn partitions(&self) -> PartitionCount;

    /// Where the keys of `subject` live.
    fn partition(&self, subject: &Subject) -> Partition {
        Partition::of(subject, self.partitions())
    }

    /// Answers whether the store works at all: how long a trivial request took.
    async fn ping(&self) -> Result<Duration, StoreError>;

    /// Keeps a new session, stamped with the user's present epoch (`session.epoch` is ignored), if there is
    /// room under `cap`: [`Cap::make_room`], in the same atomic step. What that ends is blacklisted.
    async fn open(&self, session: Session, cap: Option<Cap>, memory: Memory) -> Result<Opening, StoreError>;

    /// Spends a refresh token: [`crate::session::rotate`], atomically. Reuse deletes the session and
    /// blacklists its `sid`; whatever else ended is deleted. Of a session that is gone the cause is
    /// remembered until it had ended by itself. One that is rotated takes over `grants`.
    async fn rotate(
        &self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Rotation, StoreError>;

    /// Whether an access token stands, and its user's limits, in one round trip. These limits count apart
    /// from those of [`Store::take`].
    async fn check(&self, check: &Check<'_>, now: Timestamp) -> Result<Standing, StoreError>;

    /// What [`Store::check`] would say of each of these, at most [`MOST_AT_ONCE`], in order, with no limits: true if
    /// it stands. Costs a few steps, however many are asked; one that nobody can tell of makes all unknown.
    async fn standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError>;

    /// Takes one from each of these limits, in order, until one refuses: the decisions so far.
    async fn take(&self, takes: &[Take], now: Timestamp) -> Result<Vec<Decision>, StoreError>;

    /// Takes as many of `want` as are there, to be handed out by the caller: [`Quota::lease`], atomically. The count is
    /// the one that [`Store::check`] and [`Store::take`] go on with.
    async fn lease(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError>;

    /// Takes back so many of a lease that were not handed out and will not be: [`Quota::give_back`], atomically. Does
    /// nothing once the caller was told that it didn't.
    async fn give_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError>;

    /// Ends sessions of `subject` for this cause and blacklists their `sid`s: how many there were. A session
    /// of somebody else is never touched.
    async fn end(
        &self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Blacklists one access token until `until`, when it is refused here for its age anyway, and longer if others may
    /// accept it then.
    async fn revoke(
        &self,
        subject: &Subject,
        jti: Jti,
        until: Timestamp,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Says how long tokens are accepted here: the longest that anybody said whose tokens may not all have ended. To be
    /// said again within [`Memory::SAID`].
    async fn remember(&self, memory: Memory, now: Timestamp) -> Result<Memory, StoreError>;

    /// One session, if it has not ended.
    async fn session(&self, sid: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError>;

    /// The live sessions of `subject`, oldest first.
    async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// The user's state; the default for one never seen.
    async fn user(&self, subject: &Subject) -> Result<UserState, StoreError>;

    /// Disables or enables a user; disabling also does all that [`Ending::All`] does, for
    /// [`Cause::Disabled`].
    async fn set_disabled(
        &self,
        subject: &Subject,
        disabled: bool,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// How long a login under `key` still has to wait for its failures; zero if not at all.
    async fn login_delay(&self, key: &str, now: Timestamp) -> Result<Duration, StoreError>;

    /// Counts a failed login under `key`: how long the next one has to wait.
    async fn login_failed(&self, key: &str, backoff: &Backoff, now: Timestamp) -> Result<Duration, StoreError>;

    /// Forgets the failures under `key`.
    async fn login_succeeded(&self, key: &str) -> Result<(), StoreError>;

    /// The keys for a purpose, newest first.
    async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a key unless one of that name is there.
    async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError>;

    /// Adds a key if there is none for its purpose, in one step: many gateways that start at once end up
    /// with the same one. The keys there are then, newest first.
    async fn found_keys(&self, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError>;
}
