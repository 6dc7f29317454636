//! The shares that this gateway leased: finds one by what a request brings, without copying it, and asks the
//! store for more. One question is on its way for a count, and all who need its answer wait for that one.
//! Relies on `share.rs` for every number; never lets more keys in than there is room for.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use hashbrown::HashTable;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::share::Share;
use super::whom::{Kept, Whom};
use crate::clock::{Timestamp, micros};
use crate::ids::LimitId;
use crate::limit::{Decision, Grant, Limit, Quota};
use crate::metrics::{LeaseOutcome, Metrics};
use crate::panics;
use crate::store::{Leasable, Store, StoreError};

/// More than there are threads that could wait for one another.
const SHARDS: usize = 64;
/// About 20 MB at the most.
const MAX_KEYS: usize = 65_536;
/// For how long a store that gave no answer is not asked again: nobody waits for it meanwhile.
const PAUSE: Duration = Duration::from_millis(250);
/// A share that nobody asked for so long is forgotten.
const IDLE: Duration = Duration::from_secs(2);
/// How many shares are given back at a time.
const AT_ONCE: usize = 64;

/// All shares of this gateway.
pub(super) struct Leases {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    shards: [Mutex<HashTable<Holding>>; SHARDS],
    keys_per_shard: usize,
    hasher: RandomState,
    /// Where the store is asked, whichever worker wants to know: who waits elsewhere depends on none of them.
    runtime: Handle,
    /// In microseconds since 1970.
    gone_until: AtomicI64,
}

/// One share, and who waits for more of it.
struct Holding {
    name: Name,
    share: Share,
    is_asking: bool,
    waiting: Vec<oneshot::Sender<Decision>>,
}

/// What a share is found by. What was leased under another quota is of another count.
#[derive(Clone)]
struct Name {
    hash: u64,
    limit: LimitId,
    quota: Quota,
    whom: Kept,
}

impl Name {
    fn is(&self, limit: &LimitId, quota: &Quota, whom: Whom<'_>) -> bool {
        self.limit == *limit && self.quota == *quota && self.whom.whom() == whom
    }

    /// What the store counts.
    fn leasable(&self) -> Leasable {
        Leasable { limit: self.limit.clone(), whom: self.whom.whom().counted(), quota: self.quota }
    }
}

/// What a request has to do next.
enum Next {
    Decided(Decision),
    Wait(oneshot::Receiver<Decision>),
    /// There is no room for its share: it asks for itself.
    AskAlone,
    /// The store is gone.
    Uncounted,
}

type Shard<'a> = MutexGuard<'a, HashTable<Holding>>;

impl Leases {
    /// Leases from `store`, which is asked on the runtime that this is called on.
    pub(super) fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self::with_room(MAX_KEYS, store, metrics)
    }

    fn with_room(keys: usize, store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            shards: std::array::from_fn(|_| Mutex::default()),
            keys_per_shard: keys / SHARDS,
            hasher: RandomState::new(),
            runtime: Handle::current(),
            gone_until: AtomicI64::new(0),
        }
    }

    /// Takes one. Where the lease lasts or a refusal stands it neither waits nor copies anything; `None` if the
    /// store can't count.
    pub(super) async fn take(self: &Arc<Self>, limit: &Limit, whom: Whom<'_>, now: Timestamp) -> Option<Decision> {
        match self.begin(limit, whom, now) {
            Next::Decided(decision) => Some(decision),
            Next::Wait(answer) => answer.await.ok(),
            Next::AskAlone => self.ask_alone(limit, whom, now).await,
            Next::Uncounted => None,
        }
    }

    fn begin(self: &Arc<Self>, limit: &Limit, whom: Whom<'_>, now: Timestamp) -> Next {
        let hash = self.hasher.hash_one((&limit.id, whom));
        let mut shard = self.shard(hash);
        if let Some(holding) = shard.find_mut(hash, |holding| holding.name.is(&limit.id, &limit.quota, whom)) {
            return self.take_from(holding, now);
        }
        if !self.makes_room(&mut shard, now) {
            return Next::AskAlone;
        }
        let name = Name { hash, limit: limit.id.clone(), quota: limit.quota, whom: whom.into() };
        let holding = Holding { name, share: Share::default(), is_asking: false, waiting: Vec::new() };
        let mut kept = shard.insert_unique(hash, holding, |holding| holding.name.hash);
        self.take_from(kept.get_mut(), now)
    }

    fn take_from(self: &Arc<Self>, holding: &mut Holding, now: Timestamp) -> Next {
        let decision = holding.share.take(now);
        let needs_more = decision.is_none() || holding.share.is_low(&holding.name.quota, now);
        if needs_more && !holding.is_asking {
            if self.is_gone(now) {
                return decision.map_or(Next::Uncounted, Next::Decided);
            }
            holding.is_asking = true;
            // A task of its own: who asked may go away, others wait for the same answer.
            self.runtime.spawn(Arc::clone(self).renew(holding.name.clone()));
        }
        decision.map_or_else(|| Next::Wait(holding.wait()), Next::Decided)
    }

    /// Asks the store until nobody waits.
    async fn renew(self: Arc<Self>, name: Name) {
        let asking = async {
            while let Some((of, want, now)) = self.wish(&name) {
                let answer = self.store.lease(&of, want, now).await;
                self.note(&of.limit, want, now, &answer);
                if !self.deal(&name, answer.ok(), want, now) {
                    break;
                }
            }
        };
        if panics::caught(asking).await.is_err() {
            self.metrics.panicked("limits");
            self.with(&name, Holding::give_up);
        }
    }

    /// What is to be asked for, if anything.
    fn wish(&self, name: &Name) -> Option<(Leasable, u32, Timestamp)> {
        self.with(name, |holding| {
            holding.waiting.retain(|waiting| !waiting.is_closed());
            let want = holding.share.want(&name.quota, holding.waiting.len());
            holding.is_asking = want > 0;
            holding.is_asking.then(|| (name.leasable(), want, holding.share.seen()))
        })?
    }

    /// Hands out what the store granted to those who wait. Who waits still, though it granted all that was wanted,
    /// came while it was asked, and it is to be asked again.
    fn deal(&self, name: &Name, grant: Option<Grant>, want: u32, now: Timestamp) -> bool {
        let again = self.with(name, |holding| {
            let Some(grant) = grant else {
                holding.give_up();
                return false;
            };
            holding.share.granted(grant, want, &name.quota, now);
            let mut waiting = std::mem::take(&mut holding.waiting).into_iter();
            for one in waiting.by_ref() {
                let decision = holding.share.hand_out(now).or_else(|| holding.share.refusal(now));
                let Some(decision) = decision else {
                    holding.waiting.push(one);
                    break;
                };
                if one.send(decision).is_err() && decision.allowed {
                    holding.share.put_back();
                }
            }
            holding.waiting.extend(waiting);
            holding.is_asking = !holding.waiting.is_empty();
            holding.is_asking
        });
        again.unwrap_or(false)
    }

    async fn ask_alone(&self, limit: &Limit, whom: Whom<'_>, now: Timestamp) -> Option<Decision> {
        if self.is_gone(now) {
            return None;
        }
        let of = Leasable { limit: limit.id.clone(), whom: whom.counted(), quota: limit.quota };
        let answer = self.store.lease(&of, 1, now).await;
        self.note(&of.limit, 1, now, &answer);
        let Grant { granted, remaining, wait, reset } = answer.ok()?;
        Some(Decision { allowed: granted == 1, remaining, wait, reset })
    }

    /// Gives back what was leased and is not needed, and forgets what nobody asks for.
    pub(super) async fn tidy(&self, now: Timestamp) {
        let mut over = Vec::new();
        let mut keys = 0;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|holding| {
                over.extend(holding.over(now));
                let is_idle = now.since(holding.share.seen()) >= IDLE || holding.share.seen().since(now) >= IDLE;
                !(is_idle && holding.is_empty(now))
            });
            keys += shard.len();
        }
        self.metrics.lease_keys(keys);
        for some in over.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|(of, cells)| self.store.give_back(of, *cells))).await;
            for ((of, _), answer) in some.iter().zip(answers) {
                let outcome = if answer.is_ok() { LeaseOutcome::GivenBack } else { LeaseOutcome::Lost };
                self.metrics.leased(&of.limit, outcome);
            }
        }
    }

    /// Whether there is room for one more key; what holds nothing makes room.
    fn makes_room(&self, shard: &mut Shard<'_>, now: Timestamp) -> bool {
        if shard.len() >= self.keys_per_shard {
            shard.retain(|holding| !holding.is_empty(now));
        }
        shard.len() < self.keys_per_shard
    }

    /// Counts an answer; a store that gave none is left alone for a while.
    fn note(&self, limit: &LimitId, want: u32, now: Timestamp, answer: &Result<Grant, StoreError>) {
        let outcome = match answer {
            Ok(Grant { granted: 0, .. }) => LeaseOutcome::Refused,
            Ok(Grant { granted, .. }) if *granted < want => LeaseOutcome::Partly,
            Ok(_) => LeaseOutcome::Granted,
            Err(_) => {
                self.gone_until.store(now.after(PAUSE).as_micros(), Ordering::Relaxed);
                LeaseOutcome::Unanswered
            }
        };
        self.metrics.leased(limit, outcome);
    }

    fn is_gone(&self, now: Timestamp) -> bool {
        let left = self.gone_until.load(Ordering::Relaxed).saturating_sub(now.as_micros());
        left > 0 && left <= micros(PAUSE)
    }

    fn shard(&self, hash: u64) -> Shard<'_> {
        // The table goes by the ends of the hash, so its middle is free.
        let shard = usize::try_from(hash >> 32).unwrap_or(0) % SHARDS;
        // A panic elsewhere can't leave a table half changed, so a poisoned lock is as good as any.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &Name, change: impl FnOnce(&mut Holding) -> T) -> Option<T> {
        let whom = name.whom.whom();
        self.shard(name.hash).find_mut(name.hash, |holding| holding.name.is(&name.limit, &name.quota, whom)).map(change)
    }
}

impl Holding {
    fn wait(&mut self) -> oneshot::Receiver<Decision> {
        let (tell, answer) = oneshot::channel();
        self.waiting.push(tell);
        answer
    }

    /// Has those who wait count for themselves.
    fn give_up(&mut self) {
        self.waiting.clear();
        self.is_asking = false;
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        !self.is_asking && self.share.is_empty(now)
    }

    /// What is to be given back.
    fn over(&mut self, now: Timestamp) -> Option<(Leasable, u32)> {
        let cells = self.share.take_unused(now);
        (cells > 0).then(|| (self.name.leasable(), cells))
    }
}

#[cfg(test)]
mod tests;
