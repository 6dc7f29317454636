//! The feed of revocations from Redis: a stream, whose entries have ids in order and are counted as they are added,
//! and a sorted set of all that is revoked. It relies on the count to find a gap: trimming, deleting and flushing
//! leave a reader with fewer entries than were added, and a replica that lost the last ones has counted fewer. Where
//! another history may have come to the same count, its name is another one. It asks over a connection of its own, and
//! says when that is a new one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use fred::types::config::Server;
use tokio::sync::OnceCell;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::args::{moment, span};
use super::entry::told;
use super::link::Link;
use super::reply::Reply;
use super::{RedisStore, unknown};
use crate::clock::Timestamp;
use crate::ids::{Partition, Subject};
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
        let keys = vec![self.keys.revocations(partition), self.keys.blacklist(partition)];
        let args = vec![format!("{ms}-{number}"), MOST_IN_A_PAGE.to_string()];
        let mut reply = open.link.run(&self.scripts.changes, keys, args).await?;
        if open.connection() != after.connection {
            return Ok(Changes::Gap(Gap::Reconnected));
        }
        expect(&mut reply, "changes")?;
        let (far, clock) = reply.list()?.extent(after.connection)?;
        let (mut entries, mut revocations) = (reply.list()?, Vec::new());
        let (mut read, mut count) = (Cursor { is_listed: far.is_listed, ..*after }, 0);
        while !entries.is_empty() {
            let mut entry = entries.list()?;
            (read.last, read.added) = (id(&entry.text()?)?, read.added + 1);
            revocations.extend(entry.list()?.announced(clock)?);
            count += 1;
        }
        Ok(match judge(after, &read, &far, count) {
            Ok(more) => Changes::Next { revocations, cursor: read, more },
            Err(gap) => Changes::Gap(gap),
        })
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
        let (far, clock) = reply.list()?.extent(connection)?;
        let cursor = from.map_or(far, |place| place.cursor);
        if far.history != cursor.history {
            return Err(StoreError::Unavailable("another history in the midst of a snapshot".to_owned()));
        }
        let scan = reply.text()?.parse().map_err(|_| corrupt("no place to go on at"))?;
        let mut revocations = Vec::new();
        while !reply.is_empty() {
            revocations.extend(reply.listed(clock)?);
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

/// Whether there is more after so many entries that were `read` after a cursor, or a gap, where the store is so `far`.
fn judge(after: &Cursor, read: &Cursor, far: &Cursor, count: usize) -> Result<bool, Gap> {
    let is_full = count >= MOST_IN_A_PAGE;
    match () {
        () if far.last < after.last || far.added < after.added => Err(Gap::Lost),
        () if far.history != after.history || (after.is_listed && !far.is_listed) => Err(Gap::Lost),
        () if is_full && read.added < far.added => Ok(true),
        () if (read.added, read.last) != (far.added, far.last) => Err(Gap::Trimmed),
        () => Ok(false),
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

impl Reply {
    /// All that is left: how far the store is, and what its clock shows.
    fn extent(mut self, connection: u64) -> Result<(Cursor, Timestamp), StoreError> {
        let (last, added, history) = (id(&self.text()?)?, self.number()?, self.text()?);
        // A part of it is enough to tell one from another.
        let history = history.get(..16).and_then(|part| u64::from_str_radix(part, 16).ok());
        let history = history.ok_or_else(|| corrupt("a history without a name"))?;
        let is_listed = self.number::<u8>()? == 1;
        Ok((Cursor { last, added, history, is_listed, connection }, Timestamp::from_secs(self.number()?)))
    }
}
