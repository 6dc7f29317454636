//! Sessions in Redis: each step is one script, which decides. What is asked of it is written here, and what it answers
//! is read. It relies on `session.rs` for what a step means, and never decides whether one may be made.

use std::time::Duration;

use super::args::{self, moment, span};
use super::reply::Reply;
use super::{RedisStore, unknown};
use crate::clock::Timestamp;
use crate::ids::{Partition, SessionId, Subject};
use crate::policy::Grants;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session};
use crate::store::text::{corrupt, parse_cause};
use crate::store::{Memory, Opening, Store as _, StoreError};

impl RedisStore {
    /// Keeps a new session, if there is room.
    pub(super) async fn keep_session(
        &self,
        session: Session,
        cap: Option<Cap>,
        memory: Memory,
    ) -> Result<Opening, StoreError> {
        let partition = session.id.partition();
        let keys = vec![
            self.keys.session(session.id),
            self.keys.user(partition, &session.subject),
            self.keys.sessions(partition, &session.subject),
        ];
        let args = [
            moment(session.rotated_at),
            session.subject.to_string(),
            session.id.to_string(),
            moment(session.expires_at),
            span(memory.access_life),
        ];
        let args = args.into_iter().chain(args::cap(cap)).chain(args::fields(&session));
        let base = self.keys.base(partition);
        let (word, mut reply) = self.link.run_in_time(&self.scripts.open, base, keys, args).await?;
        match word.as_str() {
            "opened" => {
                let session = Session { epoch: reply.number()?, ..session };
                Ok(Opening::Opened { session, evicted: reply.number()? })
            }
            "disabled" => Ok(Opening::Disabled),
            "full" => Ok(Opening::Full),
            _ => Err(unknown(&word)),
        }
    }

    /// Spends a refresh token.
    pub(super) async fn spend(
        &self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let Presented { sid, generation, hash, successor } = *presented;
        let Lifetimes { idle, absolute, retry_window } = *lifetimes;
        let args = [
            sid.to_string(),
            moment(now),
            generation.to_string(),
            args::hash(hash),
            args::hash(successor),
            span(idle),
            span(absolute),
            span(retry_window),
            span(memory.access_life),
        ];
        let args = args.into_iter().chain(grants.into_iter().flat_map(args::grants));
        let (base, keys) = (self.keys.base(sid.partition()), vec![self.keys.session(sid)]);
        let (word, mut reply) = self.link.run_in_time(&self.scripts.rotate, base, keys, args).await?;
        match word.as_str() {
            "rotated" => reply.session(sid).map(Rotation::Rotated),
            "replayed" => reply.session(sid).map(Rotation::Replayed),
            "reused" => reply.session(sid).map(Rotation::Reused),
            "ended" => parse_cause(&reply.text()?).map(Rotation::Ended),
            _ => Err(unknown(&word)),
        }
    }

    /// Ends sessions as the script calls it: how many there were.
    pub(super) async fn end_as(
        &self,
        subject: &Subject,
        (ending, sid): (&str, Option<SessionId>),
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let partition = self.partition(subject);
        let keys = vec![self.keys.sessions(partition, subject), self.keys.user(partition, subject)];
        let args = [
            moment(now),
            subject.to_string(),
            ending.to_owned(),
            sid.map(|sid| sid.to_string()).unwrap_or_default(),
            span(memory.access_life),
            cause.name().to_owned(),
        ];
        let script = &self.scripts.end;
        let (word, mut reply) = self.link.run_in_time(script, self.keys.base(partition), keys, args).await?;
        if word == "ended" { reply.number() } else { Err(unknown(&word)) }
    }

    /// The sessions of `subject` that have not ended, oldest first.
    pub(super) async fn live_sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let partition = self.partition(subject);
        let keys = vec![self.keys.sessions(partition, subject)];
        let args = vec![self.keys.base(partition), moment(now)];
        let mut reply = self.link.run(&self.scripts.sessions, keys, args).await?;
        let mut sessions = Vec::new();
        while !reply.is_empty() {
            let mut one: Reply = reply.list()?;
            let sid = SessionId::parse(&one.text()?).map_err(corrupt)?;
            sessions.push(one.session(sid)?);
        }
        sessions.retain(|session| session.expires_at > now);
        sessions.sort_by_key(|session| (session.created_at, session.id.to_string()));
        Ok(sessions)
    }

    /// Says in one partition how long tokens are accepted here: the longest that anybody said.
    pub(super) async fn remember_in(
        &self,
        partition: Partition,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Duration, StoreError> {
        let (base, keys) = (self.keys.base(partition), vec![self.keys.lives(partition)]);
        let args = [span(memory.access_life), moment(now)];
        let (word, mut reply) = self.link.run_in_time(&self.scripts.remember, base, keys, args).await?;
        if word == "remembered" { reply.number().map(Duration::from_micros) } else { Err(unknown(&word)) }
    }
}
