//! The store that many gateways share: Redis, alone, with Sentinel or as a Cluster. Each method is one Lua
//! script beside this file, or one command, so each is one atomic step. This file and those in `redis/` are
//! the only ones that name fred; nothing here keeps state of its own that a decision depends on.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use fred::interfaces::{HashesInterface, KeysInterface};
use futures_util::future::try_join_all;
use tokio::sync::watch;

use self::args::{moment, quotas, span};
use self::keys::Keys;
use self::link::Link;
pub use self::pulse::Health;
use self::reply::Fields;
use self::script::Scripts;
use super::text::{corrupt, parse_cause};
use super::{
    Check, Ending, KeyPurpose, Leasable, Memory, Opening, Stand, Standing, Store, StoreError, StoredKey, Take,
};
use crate::clock::Timestamp;
use crate::ids::{Jti, PartitionCount, SessionId, Subject};
use crate::limit::{Backoff, Decision, Grant};
use crate::policy::Grants;
use crate::secret::Secret;
use crate::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};

mod args;
mod entry;
mod feed;
mod keys;
mod lease;
mod link;
mod pulse;
mod reply;
mod script;
mod sessions;
mod settings;
mod standing;
mod stored_key;

/// A Redis as a store.
pub struct RedisStore {
    link: Link,
    /// What is followed comes over a connection of its own, where a large answer holds up nobody.
    feed: feed::Line,
    keys: Keys,
    scripts: Scripts,
}

impl RedisStore {
    /// Connects to the Redis at `url`; every command takes at most `timeout`, every key begins with `prefix`.
    ///
    /// A Redis that is not there is no error: the store answers [`StoreError::Unavailable`] until it is. Its
    /// tasks run on the runtime that this is called on. Fails only if the URL or the prefix is malformed.
    pub async fn connect(
        url: &Secret,
        timeout: Duration,
        connections: usize,
        prefix: &str,
    ) -> Result<Self, StoreError> {
        if prefix.is_empty() || prefix.contains(['{', '}']) {
            return Err(StoreError::Unavailable("the prefix of keys is empty or has a brace".to_owned()));
        }
        let link = Link::open(url, timeout, connections, true).await?;
        let feed = feed::Line::new(url.clone(), timeout);
        Ok(Self { link, feed, keys: Keys::new(prefix), scripts: Scripts::new() })
    }

    /// Whether Redis answers, as a task finds out every second.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.link.health()
    }
}

#[async_trait]
impl Store for RedisStore {
    fn partitions(&self) -> PartitionCount {
        if self.link.is_cluster() { PartitionCount::CLUSTER } else { PartitionCount::ONE }
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.link.ping().await
    }

    async fn open(&self, session: Session, cap: Option<Cap>, memory: Memory) -> Result<Opening, StoreError> {
        self.keep_session(session, cap, memory).await
    }

    async fn rotate(
        &self,
        presented: &Presented,
        grants: Option<&Grants>,
        lifetimes: &Lifetimes,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.spend(presented, grants, lifetimes, memory, now).await
    }

    async fn check(&self, check: &Check<'_>, now: Timestamp) -> Result<Standing, StoreError> {
        let Check { subject, sid, jti, epoch, takes } = *check;
        let partition = self.partition(subject);
        let mut keys = vec![self.keys.blacklist(partition), self.keys.user(partition, subject)];
        keys.extend(takes.iter().map(|take| self.keys.user_limit(partition, take)));
        let args = [moment(now), epoch.to_string(), keys::token(jti), keys::session(sid)];
        let args = args.into_iter().chain(quotas(takes)).collect();
        let mut reply = self.link.run(&self.scripts.check, keys, args).await?;
        match reply.text()?.as_str() {
            "good" => reply.decisions().map(Standing::Good),
            "revoked" => Ok(Standing::Revoked),
            word => Err(unknown(word)),
        }
    }

    async fn standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        self.ask_standing(stands, now).await
    }

    async fn take(&self, takes: &[Take], now: Timestamp) -> Result<Vec<Decision>, StoreError> {
        // In a Cluster each limit may be in another place, and a script reaches only one.
        let at_once = if self.link.is_cluster() { 1 } else { takes.len().max(1) };
        let mut decisions = Vec::with_capacity(takes.len());
        for takes in takes.chunks(at_once) {
            let keys = takes.iter().map(|take| self.keys.limit(take)).collect();
            let args = std::iter::once(moment(now)).chain(quotas(takes)).collect();
            let mut reply = self.link.run(&self.scripts.take, keys, args).await?;
            let word = reply.text()?;
            if word != "taken" {
                return Err(unknown(&word));
            }
            decisions.extend(reply.decisions()?);
            if decisions.last().is_some_and(|decision| !decision.allowed) {
                break;
            }
        }
        Ok(decisions)
    }

    async fn lease(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
        self.lease_of(of, want, now).await
    }

    async fn give_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError> {
        self.take_back(of, cells).await
    }

    async fn end(
        &self,
        subject: &Subject,
        ending: Ending,
        cause: Cause,
        memory: Memory,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ending = match ending {
            Ending::This(sid) => ("this", Some(sid)),
            Ending::Others(sid) => ("others", Some(sid)),
            Ending::All => ("all", None),
        };
        self.end_as(subject, ending, cause, memory, now).await
    }

    async fn revoke(
        &self,
        subject: &Subject,
        jti: Jti,
        until: Timestamp,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let partition = self.partition(subject);
        let keys = vec![self.keys.blacklist(partition)];
        let args = [subject.to_string(), jti.to_string(), moment(until), span(memory.access_life), moment(now)];
        let script = &self.scripts.revoke;
        self.link.run_in_time(script, self.keys.base(partition), keys, args).await?;
        Ok(())
    }

    async fn remember(&self, memory: Memory, now: Timestamp) -> Result<Memory, StoreError> {
        let told = self.partitions().all().map(|partition| self.remember_in(partition, memory, now));
        let lives = try_join_all(told).await?;
        Ok(Memory { access_life: lives.into_iter().max().unwrap_or(memory.access_life) })
    }

    async fn session(&self, sid: SessionId, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let key = self.keys.session(sid);
        let fields: HashMap<String, String> = self.link.ask(|client| client.hgetall(key)).await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let session = reply::session(sid, &Fields(fields))?;
        Ok(Some(session).filter(|session| session.expires_at > now))
    }

    async fn sessions(&self, subject: &Subject, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.live_sessions(subject, now).await
    }

    async fn user(&self, subject: &Subject) -> Result<UserState, StoreError> {
        let key = self.keys.user(self.partition(subject), subject);
        let question = |client| HashesInterface::hmget(client, key, vec!["epoch", "disabled", "cause"]);
        let (epoch, disabled, cause): (Option<u64>, Option<u8>, Option<String>) = self.link.ask(question).await?;
        let cause = cause.as_deref().map(parse_cause).transpose()?;
        Ok(UserState { epoch: epoch.unwrap_or(0), disabled: disabled == Some(1), cause })
    }

    async fn set_disabled(
        &self,
        subject: &Subject,
        disabled: bool,
        memory: Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if disabled {
            return self.end_as(subject, ("disable", None), Cause::Disabled, memory, now).await.map(drop);
        }
        let partition = self.partition(subject);
        let keys = vec![self.keys.user(partition, subject)];
        let args = [moment(now), subject.to_string(), span(memory.access_life)];
        let script = &self.scripts.enable;
        self.link.run_in_time(script, self.keys.base(partition), keys, args).await?;
        Ok(())
    }

    async fn login_delay(&self, key: &str, now: Timestamp) -> Result<Duration, StoreError> {
        let key = self.keys.login(key);
        let question = |client| HashesInterface::hmget(client, key, vec!["failed_at", "wait"]);
        let (failed_at, wait): (Option<i64>, Option<u64>) = self.link.ask(question).await?;
        let (Some(failed_at), Some(wait)) = (failed_at, wait) else { return Ok(Duration::ZERO) };
        let wait = Duration::from_micros(wait);
        // Never longer than the delay that was earned, even if the clock stepped back since.
        Ok(Timestamp::from_micros(failed_at).after(wait).since(now).min(wait))
    }

    async fn login_failed(&self, key: &str, backoff: &Backoff, now: Timestamp) -> Result<Duration, StoreError> {
        let Backoff { free, first, longest, forget } = *backoff;
        let keys = vec![self.keys.login(key)];
        let args = vec![moment(now), free.to_string(), span(first), span(longest), span(forget)];
        let mut reply = self.link.run(&self.scripts.login_failed, keys, args).await?;
        match reply.text()?.as_str() {
            "failed" => reply.number().map(Duration::from_micros),
            word => Err(unknown(word)),
        }
    }

    async fn login_succeeded(&self, key: &str) -> Result<(), StoreError> {
        let key = self.keys.login(key);
        self.link.ask(|client| client.del::<u64, _>(key)).await.map(drop)
    }

    async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        let key = self.keys.keys(purpose);
        let fields = self.link.ask(|client| client.hgetall(key)).await?;
        stored_key::newest_first(purpose, fields)
    }

    async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let (place, name, text) = (self.keys.keys(key.purpose), key.name.clone(), stored_key::write(key));
        self.link.ask(|client| client.hsetnx::<bool, _, _, _>(place, name, text)).await.map(drop)
    }

    async fn found_keys(&self, first: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
        let keys = vec![self.keys.keys(first.purpose)];
        let args = vec![first.name.clone(), stored_key::write(first)];
        let mut reply = self.link.run(&self.scripts.found_keys, keys, args).await?;
        let mut fields = HashMap::new();
        while !reply.is_empty() {
            fields.insert(reply.text()?, reply.text()?);
        }
        stored_key::newest_first(first.purpose, fields)
    }
}

/// No word that the script answers with.
fn unknown(word: &str) -> StoreError {
    corrupt(format_args!("a script answered with an unknown word of {} bytes", word.len()))
}
