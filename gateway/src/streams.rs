//! Open streams: answers that may last longer than the session they were begun in. Each is registered when its
//! answer begins and leaves when its request ends; in between, [`Streams::look`] asks the view of revocations about all
//! of them, and the store where that can't tell, and has those end whose session has. It relies on a [`Carrier`] to end
//! one, and moves no bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::clock::Timestamp;
use crate::metrics::{Held, Metrics};
use crate::policy::Known;
use crate::revocation::view::{Verdict, View};
use crate::store::{MOST_AT_ONCE, Stand, Store, StoreError};

pub mod carrier;

use carrier::{Carrier, Kind};

/// Why the gateway ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its session or token was revoked, or its user disabled.
    Revoked,
    /// Its session has reached its longest life.
    Over,
    /// The store could not tell for so long that a revocation may have been forgotten again.
    Unconfirmed,
    /// The gateway stops.
    Leaving,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Revoked, Self::Over, Self::Unconfirmed, Self::Leaving];

    /// Its stable name, in the log, in metrics and in a WebSocket's Close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Revoked => "session_revoked",
            Self::Over => "session_over",
            Self::Unconfirmed => "session_unconfirmed",
            Self::Leaving => "going_away",
        }
    }

    /// The status code of a Close frame (RFC 6455 §7.4): 4001 is what clients know as "sign in again".
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Revoked | Self::Over | Self::Unconfirmed => 4001,
            Self::Leaving => 1001,
        }
    }

    const fn bits(self) -> u64 {
        self as u64 + 1
    }

    fn of_bits(bits: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.bits() == bits)
    }
}

/// The session that a stream was begun in.
#[derive(Debug)]
pub struct Watched {
    /// Whose it is.
    pub known: Arc<Known>,
    /// When the session ends, however often it is rotated.
    pub ends_at: Timestamp,
    /// When the session is known to have stood.
    pub confirmed_at: Timestamp,
}

#[derive(Debug)]
struct Stream {
    number: u64,
    watched: Option<Watched>,
    /// [`Watched::confirmed_at`] as it moves on, in microseconds.
    confirmed_at: AtomicI64,
    carrier: Arc<Carrier>,
}

/// All open streams of one gateway.
pub struct Streams {
    open: Mutex<HashMap<u64, Arc<Stream>>>,
    last_number: AtomicU64,
    /// Whether the store could tell of all streams when it was last asked.
    is_blind: AtomicBool,
    metrics: Arc<Metrics>,
}

/// A stream is registered for as long as this is held.
pub struct Open {
    stream: Arc<Stream>,
    streams: Arc<Streams>,
    _counted: Held,
}

impl Open {
    /// Why the gateway ended it, if it did.
    pub fn ended(&self) -> Option<Cause> {
        self.stream.carrier.state().cause()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.open().remove(&self.stream.number);
        self.stream.carrier.release();
    }
}

impl Streams {
    /// None are open.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let (open, last_number, is_blind) = Default::default();
        Self { open, last_number, is_blind, metrics }
    }

    /// Registers what `carrier` begins to carry. What nobody is known to have begun only ends with the gateway.
    pub fn begin(self: &Arc<Self>, carrier: &Arc<Carrier>, kind: Kind, watched: Option<Watched>) -> Open {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let confirmed_at = watched.as_ref().map_or(0, |watched| watched.confirmed_at.as_micros());
        let carrier = Arc::clone(carrier);
        carrier.begin(number, kind);
        let stream = Arc::new(Stream { number, watched, confirmed_at: AtomicI64::new(confirmed_at), carrier });
        self.open().insert(number, Arc::clone(&stream));
        Open { stream, streams: Arc::clone(self), _counted: self.metrics.stream_opened() }
    }

    /// Has all streams end.
    pub fn end_all(&self, cause: Cause) {
        for stream in self.all() {
            self.end(&stream, cause);
        }
    }

    /// Looks at each stream once: has those end whose session has, by the time, by `view`, or by the store, which is
    /// asked only where the view can't tell. `memory` is how long the store remembers a revocation. A store that can't
    /// tell ends nothing, until it might have forgotten.
    pub async fn look(&self, view: &View, store: &dyn Store, memory: Duration, now: Timestamp) {
        let mut asked = self.all();
        asked.retain(|stream| self.is_open_question(stream, view, memory, now));
        let mut unconfirmed = 0;
        let mut failure = None;
        for batch in asked.chunks(MOST_AT_ONCE) {
            // A store that is gone is not asked again for each batch; one that holds nonsense somewhere is.
            if !matches!(failure, Some(StoreError::Unavailable(_) | StoreError::TooLate)) {
                match self.confirm(batch, store, now).await {
                    Ok(()) => continue,
                    Err(error) => failure = Some(error),
                }
            }
            unconfirmed += batch.len();
        }
        self.report(unconfirmed, failure);
    }

    /// Settles what can be settled here, whatever the store would say of others: whether it has to be asked.
    fn is_open_question(&self, stream: &Stream, view: &View, memory: Duration, now: Timestamp) -> bool {
        let Some(stand) = stream.stand() else { return false };
        if let Some(cause) = stream.end_by_itself(memory, now) {
            self.end(stream, cause);
            return false;
        }
        match view.verdict(&stand, now) {
            // The view vouches for what was so that long ago, and for no later moment.
            Verdict::Stands => stream.confirm(now.before(view.max_staleness().unwrap_or_default())),
            Verdict::Revoked => self.end(stream, Cause::Revoked),
            Verdict::Unknown => return true,
        }
        false
    }

    /// Asks the store about `batch`.
    async fn confirm(&self, batch: &[Arc<Stream>], store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let stands: Vec<_> = batch.iter().filter_map(|stream| stream.stand()).collect();
        let standing = store.standing(&stands, now).await?;
        for (stream, stands) in batch.iter().zip(standing) {
            if stands {
                stream.confirm(now);
            } else {
                self.end(stream, Cause::Revoked);
            }
        }
        Ok(())
    }

    fn end(&self, stream: &Stream, cause: Cause) {
        if stream.carrier.end(stream.number, cause) {
            self.metrics.stream_ended(cause.reason());
        }
    }

    /// Says once that the store can't tell, and once that it can again.
    fn report(&self, unconfirmed: usize, failure: Option<StoreError>) {
        self.metrics.streams_unconfirmed(unconfirmed);
        let was_blind = self.is_blind.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_blind => {
                warn!(target: "error", %error, streams = unconfirmed, "open streams can't be confirmed");
            }
            None if was_blind => info!(target: "error", "open streams are confirmed again"),
            _ => {}
        }
    }

    fn all(&self) -> Vec<Arc<Stream>> {
        self.open().values().cloned().collect()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Stream>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner) // No step leaves it half changed.
    }
}

impl Stream {
    /// Why it is to end, whatever the store would say.
    fn end_by_itself(&self, memory: Duration, now: Timestamp) -> Option<Cause> {
        let watched = self.watched.as_ref()?;
        let confirmed_at = Timestamp::from_micros(self.confirmed_at.load(Ordering::Relaxed));
        match () {
            () if now >= watched.ends_at => Some(Cause::Over),
            // What was revoked right after that may be forgotten now, so the store's "it stands" means nothing.
            () if now >= confirmed_at.after(memory) => Some(Cause::Unconfirmed),
            () => None,
        }
    }

    fn confirm(&self, now: Timestamp) {
        self.confirmed_at.store(now.as_micros(), Ordering::Relaxed);
    }

    /// What is asked about it; nothing if nobody is known to have begun it.
    fn stand(&self) -> Option<Stand<'_>> {
        let Known { subject, sid, jti, epoch, .. } = &*self.watched.as_ref()?.known;
        Some(Stand { subject, sid: *sid, jti: *jti, epoch: *epoch })
    }
}

#[cfg(test)]
mod tests;
