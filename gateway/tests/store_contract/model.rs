//! What a store should do, in memory: the pure functions and the plainest possible bookkeeping.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::ids::{Jti, SessionId, Subject};
use portcullis::limit::{Backoff, Decision, Grant};
use portcullis::policy::Grants;
use portcullis::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState, rotate};
use portcullis::store::{Check, Counted, Ending, Leasable, Memory, Opening, Standing, Take};

/// Whether it is by user, the limit, its quota, the key.
type Count = (bool, String, String, String);

#[derive(Default)]
pub(crate) struct Model {
    users: BTreeMap<Subject, UserState>,
    sessions: BTreeMap<SessionId, Session>,
    /// Why sessions ended, and when each had ended by itself.
    ended: BTreeMap<SessionId, (Cause, Timestamp)>,
    blacklist: BTreeMap<String, Timestamp>,
    limits: BTreeMap<Count, Timestamp>,
    failures: BTreeMap<String, (u32, Timestamp, Duration)>,
}

impl Model {
    pub(crate) fn user(&self, subject: &Subject) -> UserState {
        self.users.get(subject).copied().unwrap_or_default()
    }

    pub(crate) fn open(&mut self, session: Session, cap: Option<Cap>, memory: Memory) -> Opening {
        let UserState { epoch, disabled, .. } = self.user(&session.subject);
        if disabled {
            return Opening::Disabled;
        }
        let now = session.rotated_at;
        let live = self.sessions(&session.subject, now);
        let Some(oldest) = cap.map_or(Some(Vec::new()), |cap| cap.make_room(live)) else { return Opening::Full };
        for one in &oldest {
            self.finish(one, Cause::Evicted, now.after(memory.access_life));
        }
        let session = Session { epoch, ..session };
        self.sessions.insert(session.id, session.clone());
        Opening::Opened { session, evicted: oldest.len() as u64 }
    }

    pub(crate) fn rotate(
        &mut self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Rotation {
        let session = self.sessions.remove(&presented.sid).ok_or_else(|| self.remembered(presented.sid, now));
        let over = session.as_ref().ok().map(|session| session.expires_at);
        let user = session.as_ref().map(|session| self.user(&session.subject)).unwrap_or_default();
        let rotation = rotate(session, user, presented, grants, lifetimes, now);
        match &rotation {
            Rotation::Rotated(session) | Rotation::Replayed(session) => {
                self.sessions.insert(session.id, session.clone());
            }
            Rotation::Reused(session) => self.finish(session, Cause::Reused, now.after(memory.access_life)),
            Rotation::Ended(cause) => {
                self.ended.extend(over.map(|over| (presented.sid, (*cause, over))));
            }
        }
        rotation
    }

    fn remembered(&self, sid: SessionId, now: Timestamp) -> Cause {
        self.ended.get(&sid).filter(|(_, over)| *over > now).map_or(Cause::Expired, |(cause, _)| *cause)
    }

    pub(crate) fn end(
        &mut self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> u64 {
        let mut ended = self.sessions(subject, now);
        ended.retain(|session| match ending {
            Ending::This(sid) => session.id == sid,
            Ending::Others(sid) => session.id != sid,
            Ending::All => true,
        });
        for session in &ended {
            self.finish(session, cause, now.after(memory.access_life));
        }
        if ending == Ending::All {
            let user = self.users.entry(subject.clone()).or_default();
            user.epoch = user.next_epoch(now);
            user.cause = Some(cause);
        }
        ended.len() as u64
    }

    fn finish(&mut self, session: &Session, cause: Cause, until: Timestamp) {
        self.sessions.remove(&session.id);
        self.ended.insert(session.id, (cause, session.expires_at));
        self.blacklist(session.id.to_string(), until);
    }

    pub(crate) fn set_disabled(&mut self, subject: &Subject, disabled: bool, memory: Memory, now: Timestamp) {
        if disabled {
            self.end(subject, Ending::All, Cause::Disabled, memory, now);
        }
        self.users.entry(subject.clone()).or_default().disabled = disabled;
    }

    pub(crate) fn revoke(&mut self, jti: Jti, until: Timestamp) {
        self.blacklist(jti.to_string(), until);
    }

    pub(crate) fn check(&mut self, check: &Check<'_>, now: Timestamp) -> Standing {
        let is_listed = |id: String| self.blacklist.get(&id).is_some_and(|until| *until > now);
        let UserState { epoch, disabled, .. } = self.user(check.subject);
        if is_listed(check.sid.to_string()) || is_listed(check.jti.to_string()) || disabled || epoch > check.epoch {
            return Standing::Revoked;
        }
        Standing::Good(self.take_all(true, check.takes, now))
    }

    pub(crate) fn take(&mut self, takes: &[Take], now: Timestamp) -> Vec<Decision> {
        self.take_all(false, takes, now)
    }

    pub(crate) fn lease(&mut self, of: &Leasable, want: u32, now: Timestamp) -> Grant {
        let place = place(of);
        let (grant, next) = of.quota.lease(self.limits.get(&place).copied(), want, now);
        self.limits.insert(place, next);
        grant
    }

    pub(crate) fn give_back(&mut self, of: &Leasable, cells: u32) {
        if let Some(tat) = self.limits.get_mut(&place(of)) {
            *tat = of.quota.give_back(*tat, cells);
        }
    }

    pub(crate) fn session(&self, sid: SessionId, now: Timestamp) -> Option<Session> {
        self.sessions.get(&sid).filter(|session| session.expires_at > now).cloned()
    }

    pub(crate) fn sessions(&self, subject: &Subject, now: Timestamp) -> Vec<Session> {
        let is_live = |session: &&Session| session.subject == *subject && session.expires_at > now;
        let mut sessions: Vec<_> = self.sessions.values().filter(is_live).cloned().collect();
        sessions.sort_by_key(|session| (session.created_at, session.id.to_string()));
        sessions
    }

    pub(crate) fn login_failed(&mut self, key: &str, backoff: &Backoff, now: Timestamp) -> Duration {
        let before = self.failures.get(key).filter(|(_, at, _)| now.since(*at) < backoff.forget);
        let failures = before.map_or(0, |(failures, ..)| *failures) + 1;
        let wait = backoff.delay(failures);
        self.failures.insert(key.to_owned(), (failures, now, wait));
        wait
    }

    pub(crate) fn login_delay(&self, key: &str, now: Timestamp) -> Duration {
        self.failures.get(key).map_or(Duration::ZERO, |(_, at, wait)| at.after(*wait).since(now).min(*wait))
    }

    pub(crate) fn login_succeeded(&mut self, key: &str) {
        self.failures.remove(key);
    }

    fn blacklist(&mut self, id: String, until: Timestamp) {
        let known = self.blacklist.entry(id).or_insert(until);
        *known = until.max(*known);
    }

    fn take_all(&mut self, by_user: bool, takes: &[Take], now: Timestamp) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for take in takes {
            let key = (by_user, take.limit.to_string(), take.quota.to_string(), take.key.clone());
            let (decision, next) = take.quota.take(self.limits.get(&key).copied(), now);
            self.limits.insert(key, next);
            decisions.push(decision);
            if !decision.allowed {
                break;
            }
        }
        decisions
    }
}

fn place(of: &Leasable) -> Count {
    let (limit, quota) = (of.limit.to_string(), of.quota.to_string());
    match &of.whom {
        Counted::User(subject) => (true, limit, quota, subject.to_string()),
        Counted::Other(key) => (false, limit, quota, key.clone()),
    }
}
