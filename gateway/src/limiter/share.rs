//! What one gateway holds of one count: cells that it leased and may hand out, and until when there are none.
//!
//! # What holds
//! A cell is one request that may pass. The store grants cells by GCRA and takes back what was not handed out;
//! a gateway hands out each cell once. Hence, for all gateways together and whatever their number:
//!
//! - In any interval no more pass than **burst + rate × interval + what they held at its start**.
//! - From a moment at which the whole burst is there and nobody holds any of it, no more pass than burst + rate ×
//!   interval, which is what `accuracy = "exact"` promises.
//! - What one of them holds unasked for is at most two leases of [`PART`] of the burst each, and a lease is handed
//!   out for [`LIFE`] at most: so long can it shift a request, and then it is given back.
//!
//! Relies on its caller for the time and for asking the store; does no I/O and decides nothing else.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limit::{Decision, Grant, Quota};

/// For how long a lease is handed out.
pub(super) const LIFE: Duration = Duration::from_secs(1);
/// A lease holds no more of the burst, beside what is waited for.
pub(super) const PART: u32 = 8;
/// A lease is as large as what was asked for in so long.
const WINDOW: Duration = Duration::from_millis(500);
/// Where the store had less than was wanted it is not asked again sooner, unless that little time refills much.
const PACE: Duration = Duration::from_millis(25);
/// Nor much later, however slow the limit: by then others may have given something back.
const PATIENCE: Duration = Duration::from_millis(250);

/// What one gateway holds of one count.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The one that is handed out, and the one after it.
    leases: [Lease; 2],
    /// Cells of leases that are over.
    unused: u32,
    demand: Demand,
    /// The store had none and is not asked until then.
    refused_until: Timestamp,
    /// What the store had left for all, when it has one more, and when all.
    remaining: u32,
    more_at: Timestamp,
    full_at: Timestamp,
    /// In which one is refilled.
    interval: Duration,
    /// The last request.
    seen: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    left: u32,
    from: Timestamp,
}

impl Lease {
    /// Whether its time is up; so it is when a clock stepped back by more than that.
    fn is_over(self, now: Timestamp) -> bool {
        now >= self.from.after(LIFE) || now <= self.from.before(LIFE)
    }
}

impl Share {
    /// Takes one: passed, or refused for as long as the store has none. `None` if only the store can tell.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Decision> {
        self.demand.count(now);
        self.seen = now;
        self.expire(now);
        self.hand_out(now).or_else(|| self.refusal(now))
    }

    /// Hands out a cell, if there is one.
    pub(super) fn hand_out(&mut self, now: Timestamp) -> Option<Decision> {
        if self.leases[0].left == 0 {
            self.leases.swap(0, 1);
        }
        self.leases[0].left = self.leases[0].left.checked_sub(1)?;
        let left = self.left();
        // What is left here is as good as there.
        let reset = self.full_at.since(now).saturating_sub(self.interval * left);
        Some(Decision { allowed: true, remaining: left.saturating_add(self.remaining), wait: Duration::ZERO, reset })
    }

    /// Takes back a cell that was handed out to somebody who had gone.
    pub(super) fn put_back(&mut self) {
        self.leases[0].left += 1;
    }

    /// The refusal that stands for as long as the store has none.
    pub(super) fn refusal(&self, now: Timestamp) -> Option<Decision> {
        let pause = self.refused_until.since(now);
        // One that is further ahead can only stem from a clock that stepped back.
        if pause.is_zero() || pause > PATIENCE {
            return None;
        }
        let wait = self.more_at.since(now).max(pause);
        Some(Decision { allowed: false, remaining: 0, wait, reset: self.full_at.since(now).max(wait) })
    }

    /// Whether to ask for more before it runs out.
    pub(super) fn is_low(&self, quota: &Quota, now: Timestamp) -> bool {
        let spare = self.spare(quota);
        spare > 1 && self.left() <= spare / 2 && self.leases[1].left == 0 && self.refusal(now).is_none()
    }

    /// How many to ask for while so many requests wait.
    pub(super) fn want(&self, quota: &Quota, waiting: usize) -> u32 {
        u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(self.spare(quota))
    }

    /// Takes what the store granted of `want`, asked for at `now`.
    pub(super) fn granted(&mut self, grant: Grant, want: u32, quota: &Quota, now: Timestamp) {
        self.expire(now);
        let next = usize::from(self.leases[0].left > 0);
        self.unused += self.leases[next].left;
        self.leases[next] = Lease { left: grant.granted, from: now };
        self.interval = Duration::from_micros(quota.interval_micros().unsigned_abs());
        // What is held here is being refilled there; a client is told of no more than a whole burst.
        self.remaining = grant.remaining.min(quota.burst().saturating_sub(self.left()));
        (self.more_at, self.full_at) = (now.after(grant.wait), now.after(grant.reset));
        let pause = grant.wait.max(PACE.min(quota.window() / 4)).min(PATIENCE);
        // Not `now`: a request that came a little before, and was overtaken, is not to be refused for it.
        self.refused_until = if grant.granted < want { now.after(pause) } else { Timestamp::default() };
    }

    /// What is to be given back, for good.
    pub(super) fn take_unused(&mut self, now: Timestamp) -> u32 {
        self.expire(now);
        std::mem::take(&mut self.unused)
    }

    /// Whether nothing is lost if it is forgotten but how much is asked for.
    pub(super) fn is_empty(&self, now: Timestamp) -> bool {
        self.left() == 0 && self.unused == 0 && self.refusal(now).is_none()
    }

    /// When it was last asked.
    pub(super) fn seen(&self) -> Timestamp {
        self.seen
    }

    fn left(&self) -> u32 {
        self.leases[0].left + self.leases[1].left
    }

    /// What is likely to be asked for soon, as far as one gateway may hold it. Nothing of a small burst: there each
    /// request asks.
    fn spare(&self, quota: &Quota) -> u32 {
        self.demand.expected().min(quota.burst() / PART)
    }

    fn expire(&mut self, now: Timestamp) {
        for lease in &mut self.leases {
            if lease.left > 0 && lease.is_over(now) {
                self.unused += std::mem::take(&mut lease.left);
            }
        }
    }
}

/// How much is asked for.
#[derive(Debug, Default)]
struct Demand {
    since: Timestamp,
    this: u32,
    last: u32,
}

impl Demand {
    /// One more.
    fn count(&mut self, now: Timestamp) {
        let passed = now.since(self.since);
        // Requests overtake each other a little; one that is much earlier is of a clock that stepped back.
        if passed >= WINDOW || self.since.since(now) >= WINDOW {
            self.last = if passed < 2 * WINDOW { self.this } else { 0 };
            (self.this, self.since) = (0, now);
        }
        self.this = self.this.saturating_add(1);
    }

    /// How many more are to be expected in a window: nothing on a first request.
    fn expected(&self) -> u32 {
        self.last.max(self.this.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
