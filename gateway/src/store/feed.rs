//! The feed of revocations, by which a gateway keeps an exact view of them: what changed since a moment, all
//! that there is, and what a store that lost some is told again. Both stores give one; it relies on the store
//! to order what it writes. It decides nothing, and never passes a gap over in silence.

use async_trait::async_trait;

use super::{Memory, StoreError};
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, SessionId, Subject};

/// Something that was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// One access token.
    Token {
        /// Which.
        jti: Jti,
        /// When it is refused for its age anyway.
        until: Timestamp,
    },
    /// All access tokens of a session that ended.
    Session {
        /// Which.
        sid: SessionId,
        /// When the last of them is refused for its age anyway.
        until: Timestamp,
    },
    /// All access tokens of a user that are of an older epoch. It is also how one hears of a user who may log in again.
    User {
        /// Who.
        subject: Subject,
        /// The moment of it in microseconds, or a little more.
        epoch: u64,
        /// Whether tokens of this epoch are void, too.
        disabled: bool,
    },
}

/// The most that a feed answers, and is told, at once.
pub const MOST_IN_A_PAGE: usize = 500;

/// How far the changes of a partition were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The name of the last change, in the store's order.
    pub last: (u64, u64),
    /// How many changes there had ever been then, where the store counts them.
    pub added: u64,
    /// The name of the store's history, where there can be another that has come as far.
    pub history: u64,
    /// Whether the store listed anything then, where that list can go by itself.
    pub is_listed: bool,
    /// Over which connection. Behind another one there may be another server.
    pub connection: u64,
}

/// How far a snapshot has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From where changes are to be read once it is done.
    pub cursor: Cursor,
    /// Where it goes on.
    pub scan: u64,
}

/// Why changes can't be read on from a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The connection is a new one, so nobody knows what is behind it.
    Reconnected,
    /// Changes after the cursor are not there any more.
    Trimmed,
    /// The store lost what it had written, or may have: it is not as far as the cursor, what it knows is not the
    /// continuation of what was read, or its list is gone.
    Lost,
}

/// What changed since a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Exactly this.
    Next {
        /// The changes, in order.
        revocations: Vec<Revocation>,
        /// Where the next ones begin.
        cursor: Cursor,
        /// Whether there are more already.
        more: bool,
    },
    /// Nobody can tell; a snapshot can.
    Gap(Gap),
}

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In no order; what changes while it is taken may be in it or not.
    pub revocations: Vec<Revocation>,
    /// What follows.
    pub next: Next,
}

/// What follows on a part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one.
    Page(Place),
    /// The changes since it was begun.
    Changes(Cursor),
}

/// Where revocations come from.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// What changed in `partition` since `after`, at most [`MOST_IN_A_PAGE`] at once.
    async fn changes(&self, partition: Partition, after: &Cursor) -> Result<Changes, StoreError>;

    /// A part of all that is revoked in `partition`; the first one if `from` is none.
    async fn snapshot(&self, partition: Partition, from: Option<&Place>) -> Result<Page, StoreError>;

    /// Tells the store what it may have lost, at most [`MOST_IN_A_PAGE`]: revokes what it does not know as revoked,
    /// ends sessions that came back, raises epochs and ends the sessions that are void by them. Nothing else, so it may be
    /// told what it knows. Returns what it knows of the users then.
    async fn restore(
        &self,
        partition: Partition,
        revocations: &[Revocation],
        memory: Memory,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError>;
}
