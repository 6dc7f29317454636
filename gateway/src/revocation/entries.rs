//! Revocations in memory, for one thread: tokens, sessions and users, each with what is known of it. It relies on
//! nothing but what it is told, in any order. It never takes the time for more than it was told it is.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::Duration;

use hashbrown::HashMap;

use super::users::Users;
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, SessionId, Subject};
use crate::store::feed::Revocation;

/// How long an entry outlives its time, since clocks differ and step.
const MARGIN: Duration = Duration::from_mins(10);

/// Tables that are emptier than one in so many are made smaller.
const ROOMY: usize = 4;

/// A token or session on the list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    until: Timestamp,
    partition: Partition,
}

/// What is known of a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserEntry {
    pub(super) epoch: u64,
    pub(super) disabled: bool,
    partition: Partition,
}

impl UserEntry {
    /// Whether any token that it voids may still be young enough.
    fn matters(&self, access_life: Duration, now: Timestamp) -> bool {
        let raised_at = Timestamp::from_micros(i64::try_from(self.epoch).unwrap_or(i64::MAX));
        self.disabled || raised_at.after(access_life) > now
    }
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens.
    pub tokens: usize,
    /// Sessions.
    pub sessions: usize,
    /// Users.
    pub users: usize,
}

/// Revocations.
#[derive(Debug, Default)]
pub(super) struct Entries {
    tokens: HashMap<Jti, Listed, Random>,
    sessions: HashMap<SessionId, Listed, Random>,
    users: Users<UserEntry>,
}

impl Entries {
    /// Takes one in. A later end wins, and a higher epoch; of equal epochs the last one.
    pub(super) fn apply(&mut self, partition: Partition, revocation: &Revocation) {
        match revocation {
            Revocation::Token { jti, until } => list(&mut self.tokens, *jti, *until, partition),
            Revocation::Session { sid, until } => list(&mut self.sessions, *sid, *until, partition),
            Revocation::User { subject, epoch, disabled } => {
                let told = UserEntry { epoch: *epoch, disabled: *disabled, partition };
                self.users.tell(subject, told, |known, told| told.epoch >= known.epoch);
            }
        }
    }

    /// Forgets one that somebody else knows as well.
    pub(super) fn strike(&mut self, theirs: &Revocation) {
        match theirs {
            Revocation::Token { jti, until } => strike(&mut self.tokens, jti, *until),
            Revocation::Session { sid, until } => strike(&mut self.sessions, sid, *until),
            Revocation::User { subject, epoch, .. } => {
                self.users.remove_if(subject, |ours| ours.epoch <= *epoch);
            }
        }
    }

    pub(super) fn lists_token(&self, jti: &Jti, now: Timestamp) -> bool {
        self.tokens.get(jti).is_some_and(|listed| listed.until > now)
    }

    pub(super) fn lists_session(&self, sid: &SessionId, now: Timestamp) -> bool {
        self.sessions.get(sid).is_some_and(|listed| listed.until > now)
    }

    pub(super) fn user(&self, subject: &Subject) -> Option<UserEntry> {
        self.users.get(subject).copied()
    }

    /// Those of `partition` that still matter.
    pub(super) fn of(&self, partition: Partition, now: Timestamp) -> impl Iterator<Item = Revocation> {
        let matters = move |listed: &Listed| listed.partition == partition && listed.until > now;
        let tokens = self.tokens.iter().filter(move |(_, listed)| matters(listed));
        let sessions = self.sessions.iter().filter(move |(_, listed)| matters(listed));
        let users = self.users.iter().filter(move |(_, user)| user.partition == partition);
        let tokens = tokens.map(|(jti, listed)| Revocation::Token { jti: *jti, until: listed.until });
        let sessions = sessions.map(|(sid, listed)| Revocation::Session { sid: *sid, until: listed.until });
        let users =
            users.map(|(subject, user)| Revocation::User { subject, epoch: user.epoch, disabled: user.disabled });
        tokens.chain(sessions).chain(users)
    }

    /// Forgets what was over some time ago.
    pub(super) fn sweep(&mut self, access_life: Duration, now: Timestamp) {
        let long_ago = now.before(MARGIN);
        self.tokens.retain(|_, listed| listed.until > long_ago);
        self.sessions.retain(|_, listed| listed.until > long_ago);
        self.users.retain(|user| user.matters(access_life, long_ago));
        tidy(&mut self.tokens);
        tidy(&mut self.sessions);
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes { tokens: self.tokens.len(), sessions: self.sessions.len(), users: self.users.len() }
    }

    /// Bytes of memory, with the names of the users.
    pub(super) fn bytes(&self) -> usize {
        self.tokens.allocation_size() + self.sessions.allocation_size() + self.users.bytes()
    }
}

fn list<K: Eq + std::hash::Hash>(map: &mut HashMap<K, Listed, Random>, id: K, until: Timestamp, partition: Partition) {
    let listed = map.entry(id).or_insert(Listed { until, partition });
    listed.until = listed.until.max(until);
}

fn strike<K: Eq + std::hash::Hash>(map: &mut HashMap<K, Listed, Random>, id: &K, until: Timestamp) {
    if map.get(id).is_some_and(|ours| ours.until <= until) {
        map.remove(id);
    }
}

fn tidy<K: Eq + std::hash::Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.len() < map.capacity() / ROOMY {
        map.shrink_to_fit();
    }
}

/// Ids are random, and nobody but us draws them: their own bytes are the hash.
type Random = BuildHasherDefault<OwnBytes>;

#[derive(Debug, Default)]
pub(super) struct OwnBytes(u64);

impl Hasher for OwnBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn write_usize(&mut self, _: usize) {} // the length, always the same

    fn finish(&self) -> u64 {
        self.0
    }
}
