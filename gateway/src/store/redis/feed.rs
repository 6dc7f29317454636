//! The feed of revocations from Redis: a stream, whose entries have ids in order and are counted as they are added,
//! and a sorted set of all that is revoked. It relies on the count to find a gap: trimming, deleting and flushing
//! leave a reader with fewer entries than were added, and a replica that lost the last ones has counted fewer. It
//! asks over a connection of its own, and says when that is a new one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use fred::types::config::Server;
use tokio::sync::OnceCell;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::args::{moment, span};
use super::link::Link;
use super::reply::Reply;
use super::{RedisStore, unknown};
use crate::clock::Timestamp;
use crate::ids::{Jti, Partition, SessionId, Subject};
use crate::secret::Secret;
use crate::store::feed::{Changes, Cursor, Feed, Gap, MOST_IN_A_PAGE, Next, Page, Place, Revocation};
use crate::store::text::corrupt;
use crate::store::{Memory, StoreError};

/// The connection of a follower; there is none before it is asked for something.
pub(super) struct Line {
    url: Secret,
    timeout: Duration,
    open: OnceCell<Open>,
}

struct Open {
    link: Link,
    connections: Mutex<Connections>,
}

/// How often it was connected.
struct Connections {
    count: u64,
    told: Receiver<Server>,
}

impl Line {
    pub(super) fn new(url: Secret, timeout: Duration) -> Self {
        Self { url, timeout, open: OnceCell::new() }
    }

    async fn open(&self) -> Result<&Open, StoreError> {
        let open = async {
            let link = Link::open(&self.url, self.timeout, 1, false).await?;
            let told = link.reconnections();
            Ok(Open { link, connections: Mutex::new(Connections { count: 0, told }) })
        };
        self.open.get_or_try_init(|| open).await
    }
}

impl Open {
    /// Which connection this is. fred tells of a new one before it sends anything over it, so if this is the same
    /// before a question and after its answer, both went over that one.
    fn connection(&self) -> u64 {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match connections.told.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => connections.count += 1,
                Err(TryRecvError::Empty) => return connections.count,
                Err(TryRecvError::Closed) => {
                    connections.count += 1;
                    connections.told = self.link.reconnections();
                }
            }
        }
    }
}

#[async_trait]
impl Feed for RedisStore {
    async fn changes(&self, partition: Partition, after: &Cursor) -> Result<Changes, StoreError> {
        let open = self.feed.open().await?;
        if open.connection() != after.connection {
            return Ok(Changes::Gap(Gap::Reconnected));
        }
        let (ms, number) = after.last;
        let keys = vec![self.keys.revocations(partition)];
        let args = vec![format!("{ms}-{number}"), MOST_IN_A_PAGE.to_string()];
        let mut reply = open.link.run(&self.scripts.changes, keys, args).await?;
        if open.connection() != after.connection {
            return Ok(Changes::Gap(Gap::Reconnected));
        }
        expect(&mut reply, "changes")?;
        let (last, added) = (id(&reply.text()?)?, reply.number()?);
        let (mut entries, mut revocations, mut cursor) = (reply.list()?, Vec::new(), *after);
        while !entries.is_empty() {
            let mut entry = entries.list()?;
            cursor.last = id(&entry.text()?)?;
            cursor.added += 1;
            revocations.push(entry.list()?.revocation()?);
        }
        Ok(judge(revocations, cursor, after, last, added))
    }

    async fn snapshot(&self, partition: Partition, from: Option<&Place>) -> Result<Page, StoreError> {
        let open = self.feed.open().await?;
        let connection = open.connection();
        let keys = vec![self.keys.revocations(partition), self.keys.blacklist(partition)];
        let scan = from.map_or(0, |place| place.scan);
        let args = vec![self.keys.base(partition), scan.to_string(), MOST_IN_A_PAGE.to_string()];
        let mut reply = open.link.run(&self.scripts.snapshot, keys, args).await?;
        let begun_over = from.map_or(connection, |place| place.cursor.connection);
        if connection != begun_over || open.connection() != connection {
            return Err(StoreError::Unavailable("connected anew in the midst of a snapshot".to_owned()));
        }
        expect(&mut reply, "snapshot")?;
        let now = Cursor { last: id(&reply.text()?)?, added: reply.number()?, connection };
        let cursor = from.map_or(now, |place| place.cursor);
        let scan = reply.text()?.parse().map_err(|_| corrupt("no place to go on at"))?;
        let mut revocations = Vec::new();
        while !reply.is_empty() {
            revocations.push(reply.entry()?);
        }
        let next = if scan == 0 { Next::Changes(cursor) } else { Next::Page(Place { cursor, scan }) };
        Ok(Page { revocations, next })
    }

    async fn restore(
        &self,
        partition: Partition,
        revocations: &[Revocation],
        memory: Memory,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let (base, keys) = (self.keys.base(partition), vec![self.keys.blacklist(partition)]);
        let args = [moment(now), span(memory.access_life)].into_iter().chain(revocations.iter().flat_map(told));
        let (word, mut reply) =
            self.feed.open().await?.link.run_in_time(&self.scripts.restore, base, keys, args).await?;
        if word != "restored" {
            return Err(unknown(&word));
        }
        let mut users = Vec::new();
        while !reply.is_empty() {
            let subject = Subject::parse(&reply.text()?).map_err(corrupt)?;
            users.push(reply.user(subject)?);
        }
        Ok(users)
    }
}

/// What entries after a cursor amount to: all that was added since, a part of it, or a gap.
fn judge(revocations: Vec<Revocation>, cursor: Cursor, after: &Cursor, last: (u64, u64), added: u64) -> Changes {
    let is_full = revocations.len() >= MOST_IN_A_PAGE;
    match () {
        () if last < after.last || added < after.added => Changes::Gap(Gap::Lost),
        () if is_full && cursor.added < added => Changes::Next { revocations, cursor, more: true },
        () if (cursor.added, cursor.last) != (added, last) => Changes::Gap(Gap::Trimmed),
        () => Changes::Next { revocations, cursor, more: false },
    }
}

/// What a script answers first.
fn expect(reply: &mut Reply, expected: &str) -> Result<(), StoreError> {
    match reply.text()?.as_str() {
        word if word == expected => Ok(()),
        "uncounted" => {
            let why = "[revocation] mode = \"replicated\" needs Redis 7.0 or newer; every request is looked up";
            Err(StoreError::Unavailable(why.to_owned()))
        }
        word => Err(unknown(word)),
    }
}

/// The id of a stream's entry.
fn id(raw: &str) -> Result<(u64, u64), StoreError> {
    let parsed = raw.split_once('-').and_then(|(ms, number)| Some((ms.parse().ok()?, number.parse().ok()?)));
    parsed.ok_or_else(|| corrupt("an id that is none"))
}

/// How `restore.lua` is told.
fn told(revocation: &Revocation) -> [String; 4] {
    match revocation {
        Revocation::Token { jti, until } => ["token".to_owned(), jti.to_string(), moment(*until), String::new()],
        Revocation::Session { sid, until } => ["session".to_owned(), sid.to_string(), moment(*until), String::new()],
        Revocation::User { subject, epoch, disabled } => {
            ["user".to_owned(), subject.to_string(), epoch.to_string(), u8::from(*disabled).to_string()]
        }
    }
}

impl Reply {
    /// The next items: an entry of the blacklist and what is known of it.
    fn entry(&mut self) -> Result<Revocation, StoreError> {
        let entry = self.text()?;
        match entry.split_once(':') {
            Some(("user", name)) => self.user(Subject::parse(name).map_err(corrupt)?),
            Some((kind, name)) => listed(kind, name, self.moment()?),
            None => Err(corrupt("an entry of no kind")),
        }
    }

    /// The next items: a user's epoch, and whether they are disabled.
    fn user(&mut self, subject: Subject) -> Result<Revocation, StoreError> {
        Ok(Revocation::User { subject, epoch: self.number()?, disabled: self.number::<u8>()? == 1 })
    }

    /// The next item, a moment.
    fn moment(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp::from_micros)
    }

    /// All that is left: fields and values of an entry of the stream.
    fn revocation(mut self) -> Result<Revocation, StoreError> {
        let (mut kind, mut name, mut until, mut epoch, mut disabled) = <(String, String, i64, u64, bool)>::default();
        while !self.is_empty() {
            let field = self.text()?;
            match field.as_str() {
                "kind" => kind = self.text()?,
                "jti" | "sid" => name = self.text()?,
                "sub" if kind == "user" => name = self.text()?,
                "until" => until = self.number()?,
                "epoch" => epoch = self.number()?,
                "disabled" => disabled = self.number::<u8>()? == 1,
                _ => drop(self.text()?),
            }
        }
        match kind.as_str() {
            "user" => Ok(Revocation::User { subject: Subject::parse(&name).map_err(corrupt)?, epoch, disabled }),
            kind => listed(kind, &name, Timestamp::from_micros(until)),
        }
    }
}

/// A token or session that is on the list.
fn listed(kind: &str, name: &str, until: Timestamp) -> Result<Revocation, StoreError> {
    match kind {
        "token" => Ok(Revocation::Token { jti: Jti::parse(name).map_err(corrupt)?, until }),
        "session" => Ok(Revocation::Session { sid: SessionId::parse(name).map_err(corrupt)?, until }),
        _ => Err(corrupt("an entry of an unknown kind")),
    }
}
