//! How much may be on its way at once: rooms with so many places, some of them kept for known callers, so that honest
//! users go first while a crowd of strangers is turned away. It relies on whoever enters to hold the [`Place`]
//! for as long as it takes; counting is one atomic step. It never waits and never asks who anybody is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::UpstreamId;

/// How many may be in a room at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    all: usize,
    strangers: usize,
}

impl Capacity {
    /// `all` places, of which `reserve` percent are kept for known callers; strangers always have one.
    pub fn new(all: u32, reserve: u32) -> Self {
        let all = usize::try_from(all).unwrap_or(usize::MAX);
        let kept = all / 100 * reserve as usize + all % 100 * reserve as usize / 100;
        Self { all, strangers: all.saturating_sub(kept).max(1) }
    }

    /// How many places there are.
    pub const fn all(self) -> usize {
        self.all
    }

    const fn of(self, rank: Rank) -> usize {
        match rank {
            Rank::Stranger => self.strangers,
            Rank::Known => self.all,
        }
    }
}

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Nobody knows who it is.
    Stranger,
    /// A caller with a good token, or until that is found out, one who brings any.
    Known,
}

/// What is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The gateway has as many requests as it may have.
    Gateway,
    /// It has as many tunnels and streams of events as it may have.
    Streams,
    /// The upstream has as many requests as it may have.
    Upstream,
    /// As many passwords are being checked as may be.
    Login,
    /// An address has as many requests as it may have.
    Address,
}

impl Full {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Streams => "streams",
            Self::Upstream => "upstream",
            Self::Login => "login",
            Self::Address => "address",
        }
    }
}

/// How many places of a room are taken.
pub(crate) type Taken = Arc<AtomicUsize>;

/// A room, as large as one configuration says. Rooms of several configurations may count the same places.
#[derive(Clone, Debug)]
pub struct Room {
    taken: Taken,
    capacity: Capacity,
}

impl Room {
    /// Counts in `taken`.
    pub fn new(taken: &Taken, capacity: Capacity) -> Self {
        Self { taken: Arc::clone(taken), capacity }
    }

    /// Takes a place, if there is one for `rank`.
    pub fn enter(&self, rank: Rank) -> Option<Place> {
        let most = self.capacity.of(rank);
        let entered = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < most).then(|| taken.saturating_add(1))
        });
        entered.is_ok().then(|| Place { taken: Arc::clone(&self.taken), rank })
    }

    /// Whether there is a place for `rank`.
    pub fn has_place(&self, rank: Rank) -> bool {
        self.taken.load(Ordering::Relaxed) < self.capacity.of(rank)
    }

    /// Whether who entered with a token may stay though it turned out to be a stranger.
    pub fn lets_stay(&self, place: &Place) -> bool {
        place.rank == Rank::Stranger || self.taken.load(Ordering::Relaxed) <= self.capacity.strangers
    }
}

/// A place in a room, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    taken: Taken,
    rank: Rank,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is counted from one configuration to the next.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests.
    pub requests: Taken,
    /// Tunnels and streams of events.
    pub streams: Taken,
    /// Password checks.
    pub logins: Taken,
    upstreams: Mutex<BTreeMap<UpstreamId, Taken>>,
}

impl Counts {
    /// The requests at an upstream; those of upstreams that are gone are forgotten.
    pub fn upstream(&self, id: &UpstreamId) -> Taken {
        // Only asked when a configuration is put to work; a panic can't leave the map half changed.
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        upstreams.retain(|_, taken| Arc::strong_count(taken) > 1);
        Arc::clone(upstreams.entry(id.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(all: u32, reserve: u32) -> Room {
        Room::new(&Taken::default(), Capacity::new(all, reserve))
    }

    #[test]
    fn strangers_leave_the_reserve_to_known_callers() {
        let room = room(10, 20);
        let enter = |rank, times: usize| (0..times).filter_map(|_| room.enter(rank)).collect::<Vec<_>>();
        let strangers = enter(Rank::Stranger, 20);
        assert_eq!(strangers.len(), 8);
        let known = enter(Rank::Known, 20);
        assert_eq!(known.len(), 2, "all places are taken");
        drop(known);
        assert!(room.enter(Rank::Stranger).is_none(), "the reserve is free, but not for them");
        assert!(room.enter(Rank::Known).is_some());
    }

    #[test]
    fn known_callers_may_take_every_place() {
        let room = room(10, 20);
        let known: Vec<_> = (0..20).filter_map(|_| room.enter(Rank::Known)).collect();
        assert_eq!(known.len(), 10);
        assert!(!room.has_place(Rank::Known));
    }

    #[test]
    fn who_turns_out_to_be_a_stranger_leaves_the_reserve() {
        let room = room(2, 50);
        let honest = room.enter(Rank::Known).unwrap();
        assert!(room.lets_stay(&honest), "there is a place for a stranger");
        let pretender = room.enter(Rank::Known).unwrap();
        assert!(!room.lets_stay(&pretender));
    }

    #[test]
    fn a_stranger_who_entered_as_one_is_not_sent_away_later() {
        let room = room(2, 50);
        let stranger = room.enter(Rank::Stranger).unwrap();
        let _known = room.enter(Rank::Known).unwrap();
        assert!(room.lets_stay(&stranger));
    }

    #[test]
    fn places_outlive_a_configuration() {
        let (counts, id) = (Counts::default(), UpstreamId::parse("api").unwrap());
        let old = Room::new(&counts.upstream(&id), Capacity::new(5, 0));
        let places: Vec<_> = (0..5).filter_map(|_| old.enter(Rank::Known)).collect();
        drop(old);
        let smaller = Room::new(&counts.upstream(&id), Capacity::new(2, 0));
        assert!(smaller.enter(Rank::Known).is_none(), "what is on its way still counts");
        drop(places);
        assert!(smaller.enter(Rank::Known).is_some());
    }

    #[test]
    fn counting_at_once_never_exceeds_the_room() {
        let room = room(50, 0);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let _places: Vec<_> = (0..10).filter_map(|_| room.enter(Rank::Known)).collect();
                        most.fetch_max(room.taken.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 50);
        assert_eq!(room.taken.load(Ordering::Relaxed), 0, "all were given back");
    }

    #[test]
    fn a_reserve_is_a_share_of_any_number() {
        for (all, reserve, strangers) in
            [(10_000, 20, 8000), (1, 20, 1), (3, 50, 2), (10, 100, 1), (u32::MAX, 0, u32::MAX)]
        {
            assert_eq!(Capacity::new(all, reserve).strangers, strangers as usize, "{all} {reserve}");
        }
    }
}
