//! Follows the store's feed: asks every 50 ms what changed, and applies it to the [`View`]. Where the feed has a gap
//! it takes a snapshot, merges it in, and tells the store what the view knows and the store does not: a store that
//! lost its last writes un-revokes nothing as long as one gateway was there. It never says that the view is up to
//! date before everything that the store knew when it was asked is in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::view::View;
use crate::clock::Timestamp;
use crate::ids::{Partition, PartitionCount};
use crate::metrics::Metrics;
use crate::panics;
use crate::store::feed::{Changes, Cursor, Feed, Gap, MOST_IN_A_PAGE, Next};
use crate::store::{Memory, StoreError};

mod owed;

use owed::Owed;

/// How often changes are asked for.
const PERIOD: Duration = Duration::from_millis(50);
/// How soon changes are asked for again that could not be told: all that is known may have to be read for it.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a view that is not in use looks whether it has come to be.
const IDLE: Duration = Duration::from_secs(1);

/// One look in so many sweeps.
const SWEEP_EVERY: u32 = 16;

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is known yet.
    Start,
    /// The feed has a gap.
    Gap(Gap),
    /// The view knows of something that the store could not be told.
    Owed,
}

impl Cause {
    /// Its stable name, in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Gap(Gap::Reconnected) => "reconnected",
            Self::Gap(Gap::Trimmed) => "trimmed",
            Self::Gap(Gap::Lost) => "lost",
            Self::Owed => "owed",
        }
    }
}

/// How far a partition was followed.
#[derive(Clone, Copy)]
enum Trail {
    At(Cursor),
    Cold(Cause),
}

/// Keeps a view up to date.
pub struct Follower {
    feed: Arc<dyn Feed>,
    view: Arc<View>,
    metrics: Arc<Metrics>,
    trails: Mutex<Vec<(Partition, Trail)>>,
    owed: watch::Sender<Owed>,
    is_failing: AtomicBool,
    clock: std::sync::Mutex<PatientClock>,
}

impl Follower {
    /// Feeds `view` from all partitions of `feed`, as soon as it is told to.
    pub fn new(feed: Arc<dyn Feed>, partitions: PartitionCount, view: Arc<View>, metrics: Arc<Metrics>) -> Self {
        let trails = partitions.all().map(|partition| (partition, Trail::Cold(Cause::Start))).collect();
        Self {
            feed,
            view,
            metrics,
            trails: Mutex::new(trails),
            owed: watch::Sender::default(),
            is_failing: AtomicBool::new(false),
            clock: std::sync::Mutex::default(),
        }
    }

    /// What it keeps up to date.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Keeps the view up to date for ever, by what `terms` say then.
    pub async fn run(&self, terms: impl Fn() -> (Memory, Timestamp)) {
        loop {
            // What is owed is told, whatever became of the mode.
            let pause = if self.view.max_staleness().is_some() || !self.owed.borrow().is_settled() {
                let (memory, now) = terms();
                let followed = self.follow(memory, now).await;
                let pause = if followed.is_ok() { PERIOD } else { PAUSE };
                self.report(followed);
                pause
            } else {
                self.rest().await;
                IDLE
            };
            let _ = timeout(pause, self.view.is_wanted()).await; // until it is time, or somebody is in a hurry
        }
    }

    /// Shows how the view is, and now and then has it forget what is long over. To be called once a second.
    pub fn tend(&self, memory: Memory, now: Timestamp) {
        let is_used = self.view.max_staleness().is_some();
        self.metrics.revocation_view(is_used.then(|| self.view.staleness()), self.view.sizes(), self.view.bytes());
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.show(now, Instant::now());
        clock.looks = clock.looks.wrapping_add(1);
        if clock.looks.is_multiple_of(SWEEP_EVERY) {
            self.view.sweep(memory.access_life, now);
        }
    }

    /// Brings the view up to date.
    pub async fn follow(&self, memory: Memory, now: Timestamp) -> Result<(), StoreError> {
        let mut trails = self.trails.lock().await;
        let (is_settled, voided) = {
            let owed = self.owed.borrow();
            (owed.is_settled(), owed.voided())
        };
        if !is_settled {
            for (_, trail) in trails.iter_mut() {
                trail.chill(Cause::Owed);
            }
        }
        let followed = trails.iter_mut().map(|(partition, trail)| self.follow_one(*partition, trail, memory, now));
        let asked: Vec<_> = join_all(followed).await.into_iter().collect::<Result<_, _>>()?;
        if let Some(stalest) = asked.into_iter().min() {
            self.view.synced(stalest);
        }
        if !is_settled {
            self.owed.send_modify(|owed| owed.tell(voided));
        }
        Ok(())
    }

    /// Forgets everything, since nobody keeps it up to date any more.
    async fn rest(&self) {
        for (_, trail) in self.trails.lock().await.iter_mut() {
            if matches!(trail, Trail::At(_)) {
                self.view.clear();
            }
            *trail = Trail::Cold(Cause::Start);
        }
    }

    /// Applies what changed in one partition: when the store was asked for the last of it.
    async fn follow_one(
        &self,
        partition: Partition,
        trail: &mut Trail,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Instant, StoreError> {
        loop {
            let was_cold = matches!(trail, Trail::Cold(_));
            let cursor = match *trail {
                Trail::At(cursor) => cursor,
                Trail::Cold(cause) => {
                    let cursor = self.take_snapshot(partition, memory, now).await?;
                    self.metrics.revocation_snapshot(cause.name());
                    cursor
                }
            };
            *trail = Trail::At(cursor);
            let asked = Instant::now();
            match self.feed.changes(partition, &cursor).await? {
                Changes::Gap(gap) => {
                    *trail = Trail::Cold(Cause::Gap(gap));
                    if was_cold {
                        // Not again at once: that could go on for ever.
                        return Err(StoreError::Unavailable(
                            "revocations are not what they were a moment ago".to_owned(),
                        ));
                    }
                    info!(target: "error", cause = Cause::Gap(gap).name(), "revocations are read anew");
                }
                Changes::Next { revocations, cursor, more } => {
                    for revocation in &revocations {
                        self.view.apply(partition, revocation);
                    }
                    *trail = Trail::At(cursor);
                    if !more {
                        return Ok(asked);
                    }
                }
            }
        }
    }

    /// Merges in all that the store knows, and tells it what it does not: from where changes are to be read on.
    async fn take_snapshot(&self, partition: Partition, memory: Memory, now: Timestamp) -> Result<Cursor, StoreError> {
        let view = Arc::clone(&self.view);
        let mut ours = panics::aside(move || view.copy(partition, now)).await; // It may be much.
        let mut place = None;
        let cursor = loop {
            let page = self.feed.snapshot(partition, place.as_ref()).await?;
            for revocation in &page.revocations {
                ours.strike(revocation);
                self.view.apply(partition, revocation);
            }
            match page.next {
                Next::Page(next) => place = Some(next),
                Next::Changes(cursor) => break cursor,
            }
        };
        for lost in ours.into_parts(MOST_IN_A_PAGE, partition, now) {
            for known in self.feed.restore(partition, &lost, memory, now).await? {
                self.view.apply(partition, &known);
            }
        }
        Ok(cursor)
    }

    /// Says once that revocations can't be followed, and once that they can again.
    fn report(&self, followed: Result<(), StoreError>) {
        let was_failing = self.is_failing.swap(followed.is_err(), Ordering::Relaxed);
        match followed {
            Err(error) if !was_failing => warn!(target: "error", %error, "revocations can't be followed"),
            Ok(()) if was_failing => info!(target: "error", "revocations are followed again"),
            _ => {}
        }
    }
}

impl Trail {
    fn chill(&mut self, cause: Cause) {
        if matches!(self, Self::At(_)) {
            *self = Self::Cold(cause);
        }
    }
}

/// A clock that goes at most twice as fast as time: what is forgotten while the real one is ahead would be missed once
/// it is set right.
#[derive(Debug, Default)]
struct PatientClock {
    shown: Option<(Timestamp, Instant)>,
    looks: u32,
}

impl PatientClock {
    fn show(&mut self, now: Timestamp, at: Instant) -> Timestamp {
        let shown = match self.shown {
            Some((shown, before)) => now.min(shown.after(2 * at.saturating_duration_since(before))),
            None => now,
        };
        self.shown = Some((shown, at));
        shown
    }
}

#[cfg(test)]
mod tests;
