//! What a session is, and whether a refresh token may be spent. [`rotate`] is a pure function: the
//! embedded store calls it, and Redis does the same step in Lua, checked against it by generated
//! histories. Nothing here reads a clock or a store; the endpoints that use it are the files beside it.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{SessionId, Subject};
use crate::policy::Grants;

pub mod audit;
mod cap;
mod cause;
pub mod endpoints;
mod facts;
pub mod fields;
pub mod issue;
pub mod recheck;
pub mod refresh_token;
pub mod renewal;
pub mod revoker;

pub use cap::{Cap, WhenFull};
pub use cause::Cause;

/// SHA-256 of a refresh token: what the store keeps in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// One login of one user on one device, kept alive by rotation: a refresh family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name, the `sid` claim.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// What the login upstream granted.
    pub grants: Grants,
    /// How often it was rotated.
    pub generation: u32,
    /// Hash of the one refresh token that is current.
    pub token_hash: TokenHash,
    /// When it was last rotated, or opened.
    pub rotated_at: Timestamp,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends unless it is rotated before.
    pub expires_at: Timestamp,
    /// The user's epoch when it was opened.
    pub epoch: u64,
    /// Where the client was when it was opened.
    pub address: IpAddr,
    /// What the client called itself then, shortened to [`MAX_USER_AGENT`] bytes of visible text.
    pub user_agent: String,
}

/// The most bytes of a `User-Agent` that a session keeps.
pub const MAX_USER_AGENT: usize = 256;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session ends when it was not rotated for so long.
    pub idle: Duration,
    /// A session ends so long after it was opened, however often it was rotated.
    pub absolute: Duration,
    /// For so long after a rotation its predecessor gets the same answer again; zero is strict.
    pub retry_window: Duration,
}

impl Lifetimes {
    /// When a session opened at `created_at` and used at `now` ends by itself.
    pub fn expiry(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        now.after(self.idle).min(created_at.after(self.absolute))
    }
}

/// What the store knows of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserState {
    /// Raised by "log out everywhere": sessions and tokens of an older one are void.
    pub epoch: u64,
    /// A disabled user neither logs in nor renews.
    pub disabled: bool,
    /// Why the epoch was last raised.
    pub cause: Option<Cause>,
}

impl UserState {
    /// The epoch after this one. Being no less than the time in microseconds, it is newer than any that the store
    /// gave out before it lost its last writes, so no token of before is taken for one of after.
    #[must_use]
    pub fn next_epoch(&self, now: Timestamp) -> u64 {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        self.epoch.saturating_add(1).max(micros)
    }
}

/// A refresh token whose signature holds, and the hash of the one that would follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The session it belongs to.
    pub sid: SessionId,
    /// Its place in the session.
    pub generation: u32,
    /// Its hash.
    pub hash: TokenHash,
    /// Hash of its successor, which takes its place if it may be spent.
    pub successor: TokenHash,
}

/// What became of a refresh token (DESIGN: tokens and sessions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was spent: the session as it is now.
    Rotated(Session),
    /// It had been spent a moment ago: the session, unchanged, whose current token is the answer again.
    Replayed(Session),
    /// It was spent long ago: someone else has a copy. The session that has been ended.
    Reused(Session),
    /// There is no such session any more, for this cause.
    Ended(Cause),
}

/// Spends a refresh token: the one step that every store does atomically.
///
/// A generation ahead of the store's means that the store lost its last writes (a failover), since only
/// we can sign one: the session goes on from there instead of logging its owner out. Where there is no
/// session any more, `session` is the cause that the store remembers. A session that moves on takes over
/// `grants`, if there are any.
pub fn rotate(
    session: Result<Session, Cause>,
    user: UserState,
    presented: &Presented,
    grants: Option<&Grants>,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Rotation {
    let session = match session.and_then(|session| session.standing(user, lifetimes, now)) {
        Ok(session) => session,
        Err(cause) => return Rotation::Ended(cause),
    };
    let current = presented.generation == session.generation && presented.hash == session.token_hash;
    if current || presented.generation > session.generation {
        return Rotation::Rotated(session.advance(presented, grants, lifetimes, now));
    }
    if session.answer_may_be_lost(presented, lifetimes, now) {
        return Rotation::Replayed(session);
    }
    Rotation::Reused(session) // RFC 9700 §4.14.2: we cannot tell thief from owner, so nobody keeps it.
}

impl Session {
    /// This session, or why it is over though the store still has it.
    fn standing(self, user: UserState, lifetimes: &Lifetimes, now: Timestamp) -> Result<Self, Cause> {
        if user.disabled {
            return Err(Cause::Disabled);
        }
        if user.epoch > self.epoch {
            return Err(user.cause.unwrap_or(Cause::Revoked));
        }
        let is_over = now >= self.expires_at || now >= self.created_at.after(lifetimes.absolute);
        if is_over { Err(Cause::Expired) } else { Ok(self) }
    }

    fn advance(self, presented: &Presented, grants: Option<&Grants>, lifetimes: &Lifetimes, now: Timestamp) -> Session {
        Session {
            grants: grants.cloned().unwrap_or(self.grants),
            generation: presented.generation.saturating_add(1),
            token_hash: presented.successor,
            rotated_at: now,
            expires_at: lifetimes.expiry(self.created_at, now),
            ..self
        }
    }

    /// Whether `presented` is what the owner of this session holds: its current token, or the one before while
    /// the answer that replaces it may still be on its way.
    pub fn is_held_with(&self, presented: &Presented, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        presented.hash == self.token_hash || self.answer_may_be_lost(presented, lifetimes, now)
    }

    /// Whether `presented` is the direct predecessor, spent so recently that its answer may never have
    /// arrived, or that another tab spent it at the same moment.
    fn answer_may_be_lost(&self, presented: &Presented, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        presented.generation.checked_add(1) == Some(self.generation)
            && now.since(self.rotated_at) < lifetimes.retry_window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Timestamp = Timestamp::from_secs(1_000_000);
    const LIFETIMES: Lifetimes = Lifetimes {
        idle: Duration::from_hours(1),
        absolute: Duration::from_hours(3),
        retry_window: Duration::from_secs(30),
    };

    fn hash(generation: u32) -> TokenHash {
        TokenHash([u8::try_from(generation).unwrap(); 32])
    }

    fn session(generation: u32) -> Session {
        Session {
            id: SessionId::from_bytes([0; 16]),
            subject: Subject::parse("alice").unwrap(),
            grants: Grants::default(),
            generation,
            token_hash: hash(generation),
            rotated_at: OPENED,
            created_at: OPENED,
            expires_at: OPENED.after(LIFETIMES.idle),
            epoch: 1,
            address: [127, 0, 0, 1].into(),
            user_agent: String::new(),
        }
    }

    fn token(generation: u32) -> Presented {
        Presented {
            sid: SessionId::from_bytes([0; 16]),
            generation,
            hash: hash(generation),
            successor: hash(generation + 1),
        }
    }

    fn name(rotation: &Rotation) -> &'static str {
        match rotation {
            Rotation::Rotated(_) => "rotated",
            Rotation::Replayed(_) => "replayed",
            Rotation::Reused(_) => "reused",
            Rotation::Ended(cause) => cause.name(),
        }
    }

    #[test]
    fn the_rotation_table_holds() {
        let user = UserState { epoch: 1, ..UserState::default() };
        let logged_out = UserState { epoch: 2, cause: Some(Cause::LoggedOut), ..user };
        let forged = Presented { hash: hash(9), ..token(5) };
        let secs = Duration::from_secs;
        let cases = [
            ("the current token is spent", token(5), user, secs(1), "rotated"),
            ("its predecessor gets the same answer again", token(4), user, secs(29), "replayed"),
            ("but not after the retry window", token(4), user, secs(30), "reused"),
            ("one older than the predecessor is reuse at once", token(3), user, secs(0), "reused"),
            ("the right generation with another hash is reuse", forged, user, secs(0), "reused"),
            ("one ahead of a store that lost writes goes on", token(6), user, secs(0), "rotated"),
            ("an idle session has ended", token(5), user, secs(3600), "expired"),
            ("logging out everywhere ends it", token(5), logged_out, secs(0), "logged_out"),
            ("so does an epoch raised nobody knows why", token(5), UserState { epoch: 2, ..user }, secs(0), "revoked"),
            ("a disabled user does not renew", token(5), UserState { disabled: true, ..user }, secs(0), "disabled"),
        ];
        for (case, presented, user, later, expected) in cases {
            let rotation = rotate(Ok(session(5)), user, &presented, None, &LIFETIMES, OPENED.after(later));
            assert_eq!(name(&rotation), expected, "{case}");
        }
        for cause in Cause::ALL {
            assert_eq!(rotate(Err(cause), user, &token(5), None, &LIFETIMES, OPENED), Rotation::Ended(cause));
            assert_eq!(Cause::parse(cause.name()), Some(cause));
        }
    }

    #[test]
    fn rotating_for_ever_does_not_outlive_the_absolute_end() {
        let user = UserState { epoch: 1, ..UserState::default() };
        let mut session = session(0);
        for half_hours in 1..6 {
            let now = OPENED.after(Duration::from_mins(30) * half_hours);
            let Rotation::Rotated(next) = rotate(Ok(session), user, &token(half_hours - 1), None, &LIFETIMES, now)
            else {
                panic!("it ended early");
            };
            session = next;
        }
        assert_eq!(session.expires_at, OPENED.after(LIFETIMES.absolute));
        let end = OPENED.after(LIFETIMES.absolute);
        assert_eq!(rotate(Ok(session), user, &token(5), None, &LIFETIMES, end), Rotation::Ended(Cause::Expired));
    }

    #[test]
    fn a_retry_window_of_zero_is_strict() {
        let strict = Lifetimes { retry_window: Duration::ZERO, ..LIFETIMES };
        let user = UserState { epoch: 1, ..UserState::default() };
        assert_eq!(name(&rotate(Ok(session(5)), user, &token(4), None, &strict, OPENED)), "reused");
    }
}
