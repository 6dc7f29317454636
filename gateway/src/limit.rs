//! The arithmetic of limits: the generic cell rate algorithm (GCRA) and the growing delay after failed
//! logins. A limit's whole state is one moment, the theoretical arrival time, which a store keeps and
//! changes atomically. Nothing here does I/O or reads a clock; the store's scripts do the same sums.

use std::fmt;
use std::time::Duration;

use crate::clock::{Timestamp, micros};
use crate::ids::LimitId;

/// More than the clocks of gateways differ, in microseconds.
const CLOCKS_DIFFER: i64 = 10_000_000;

/// How much is allowed: `burst` at once, refilled one every `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    interval_micros: i64,
    burst: u32,
}

impl Quota {
    /// `count` in every `period`, of which `burst` may come at once.
    ///
    /// `None` unless count, burst and period are positive, a refill takes at least a microsecond and
    /// the whole burst refills within ten years (so that every sum stays exact).
    pub fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        let interval_micros = micros(period).checked_div(i64::from(count))?;
        let full = interval_micros.checked_mul(i64::from(burst))?;
        let ten_years = 315_576_000_000_000;
        (interval_micros > 0 && burst > 0 && full <= ten_years).then_some(Self { interval_micros, burst })
    }

    /// The time in which one more is allowed, in microseconds.
    pub const fn interval_micros(&self) -> i64 {
        self.interval_micros
    }

    /// How many may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which the whole burst is refilled.
    pub fn window(&self) -> Duration {
        Duration::from_micros(self.window_micros().unsigned_abs())
    }

    fn window_micros(&self) -> i64 {
        self.interval_micros * i64::from(self.burst)
    }

    /// Takes one, where `tat` is the theoretical arrival time left by the last take.
    /// A refused take changes nothing, so a client that waits as told is always served.
    pub fn take(&self, tat: Option<Timestamp>, now: Timestamp) -> (Decision, Timestamp) {
        let (Grant { granted, remaining, wait, reset }, tat) = self.lease(tat, 1, now);
        (Decision { allowed: granted == 1, remaining, wait, reset }, tat)
    }

    /// Takes as many of `want` as are there: [`Quota::take`] so many times, until one is refused, in one step.
    pub fn lease(&self, tat: Option<Timestamp>, want: u32, now: Timestamp) -> (Grant, Timestamp) {
        let now = now.as_micros();
        let full = now.saturating_add(self.window_micros());
        let base = match tat.map_or(now, Timestamp::as_micros) {
            // So far ahead is only what a clock left that stepped back since. What is a little ahead stems from a gateway
            // whose clock is, and if it were drawn back here, that one would find it refilled.
            tat if tat > full.saturating_add(CLOCKS_DIFFER) => full,
            tat => tat.max(now),
        };
        let room = u32::try_from((full - base) / self.interval_micros).unwrap_or(0);
        let granted = want.min(room);
        let next = base + i64::from(granted) * self.interval_micros;
        let one_more = if granted < want { span(next + self.interval_micros - full) } else { Duration::ZERO };
        let grant = Grant { granted, remaining: room - granted, wait: one_more, reset: span(next - now) };
        (grant, Timestamp::from_micros(next))
    }

    /// Gives back so many that were leased and not used. What falls below the present moment is of no use to
    /// anybody, since the next who takes begins at it: nobody ever finds more than the burst.
    pub fn give_back(&self, tat: Timestamp, cells: u32) -> Timestamp {
        Timestamp::from_micros(tat.as_micros().saturating_sub(self.span_of(cells)))
    }

    /// The time in which so many are refilled, in microseconds.
    pub const fn span_of(&self, cells: u32) -> i64 {
        self.interval_micros.saturating_mul(cells as i64)
    }
}

/// Part of what a count is called in a store: two quotas of one limit never share one.
///
/// A moment means so much of one quota and another much of another. Were it shared, a gateway with a shorter window
/// would take the moment that another left for that of a clock which stepped back, and refill it, each time.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}us", self.burst, self.interval_micros)
    }
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What a limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may pass.
    pub allowed: bool,
    /// How many more may come at once.
    pub remaining: u32,
    /// How long to wait until one may pass; zero if this one may.
    pub wait: Duration,
    /// How long until the whole burst is there again.
    pub reset: Duration,
}

/// What became of a wish for several at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How many may pass: all that were wanted, or as many as were there.
    pub granted: u32,
    /// How many more may come at once.
    pub remaining: u32,
    /// How long to wait until one more may pass; zero if all were granted.
    pub wait: Duration,
    /// How long until the whole burst is there again.
    pub reset: Duration,
}

/// How a limit is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accuracy {
    /// Each request asks the store.
    #[default]
    Exact,
    /// Each gateway leases a share from the store, and asks again when that is used up.
    Leased,
}

/// What a limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitBy {
    /// Each user, by subject.
    User,
    /// Each client address; IPv6 by its /64, which is what one subscriber has.
    Address,
    /// Each account name that a login names, whether it exists or not.
    Account,
    /// All requests of the route together.
    Route,
}

/// A named quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in the configuration.
    pub id: LimitId,
    /// How much.
    pub quota: Quota,
    /// Counted by what.
    pub by: LimitBy,
    /// Counted how.
    pub accuracy: Accuracy,
}

/// The delay after failed logins: none for the first `free`, then doubling from `first` to `longest`.
/// It ends by itself, so nobody is ever locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How many failures cost nothing.
    pub free: u32,
    /// The delay after the first failure that costs.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// After how long without a failure all is forgotten.
    pub forget: Duration,
}

impl Backoff {
    /// How long to wait after the `failures`th failure in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.free.saturating_add(1)) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn quota(count: u32, secs: u64, burst: u32) -> Quota {
        Quota::new(count, Duration::from_secs(secs), burst).unwrap()
    }

    #[test]
    fn a_burst_passes_and_the_next_waits_one_interval() {
        let quota = quota(60, 60, 3);
        let mut tat = None;
        for remaining in [2, 1, 0] {
            let (decision, next) = quota.take(tat, NOW);
            assert_eq!((decision.allowed, decision.remaining), (true, remaining));
            tat = Some(next);
        }
        let (refused, unchanged) = quota.take(tat, NOW);
        assert_eq!((refused.allowed, refused.wait), (false, Duration::from_secs(1)));
        assert_eq!(Some(unchanged), tat, "a refusal costs nothing");
        assert!(quota.take(tat, NOW.after(refused.wait)).0.allowed, "who waits as told is served");
    }

    #[test]
    fn a_clock_that_steps_back_does_not_lock_anybody_out() {
        let quota = quota(1, 1, 1);
        let (_, tat) = quota.take(None, NOW.after(Duration::from_hours(1)));
        assert!(quota.take(Some(tat), NOW).0.wait <= quota.window());
    }

    #[test]
    fn a_gateway_whose_clock_is_behind_does_not_refill_what_others_took() {
        let quota = quota(10, 1, 5);
        let ahead = NOW.after(Duration::from_millis(400));
        let (taken, mut tat) = quota.lease(None, 9, ahead);
        assert_eq!(taken.granted, 5);
        for _ in 0..3 {
            for now in [NOW, ahead] {
                let (grant, next) = quota.lease(Some(tat), 9, now);
                assert_eq!(grant.granted, 0);
                tat = next;
            }
        }
        assert_eq!(quota.take(Some(tat), NOW).0.wait, Duration::from_millis(500), "until the faster clock allows it");
    }

    #[test]
    fn a_quota_of_nothing_cannot_be_built() {
        let second = Duration::from_secs(1);
        assert_eq!(Quota::new(0, second, 1), None);
        assert_eq!(Quota::new(1, second, 0), None);
        assert_eq!(Quota::new(2_000_000, second, 1), None);
        assert_eq!(Quota::new(1, Duration::MAX, 1), None);
    }

    #[test]
    fn failed_logins_wait_longer_each_time_up_to_the_longest() {
        let secs = Duration::from_secs;
        let backoff = Backoff { free: 3, first: secs(1), longest: secs(60), forget: secs(3600) };
        let delays: Vec<u64> = (0..=11).map(|failures| backoff.delay(failures).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.delay(u32::MAX), secs(60));
    }

    #[test]
    fn a_lease_is_as_many_takes_at_once() {
        let quota = quota(60, 60, 5);
        let (grant, tat) = quota.lease(None, 3, NOW);
        assert_eq!((grant.granted, grant.remaining, grant.wait), (3, 2, Duration::ZERO));
        let (grant, tat) = quota.lease(Some(tat), 3, NOW);
        assert_eq!((grant.granted, grant.remaining, grant.wait), (2, 0, Duration::from_secs(1)), "what was there");
        assert_eq!(grant.reset, quota.window());
        let (none, unchanged) = quota.lease(Some(tat), 3, NOW);
        assert_eq!((none.granted, unchanged), (0, tat));
        let (grant, _) = quota.lease(Some(quota.give_back(tat, 2)), 9, NOW);
        assert_eq!(grant.granted, 2, "what was given back is there for others");
        let (grant, _) = quota.lease(Some(quota.give_back(tat, 5)), 9, NOW.after(Duration::from_secs(9)));
        assert_eq!(grant.granted, 5, "and never more than the burst");
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn a_lease_agrees_with_takes_one_by_one(
                tat in prop::option::of(-5_000_000_i64..5_000_000), want in 0_u32..12, burst in 1_u32..10,
            ) {
                let quota = quota(10, 3, burst);
                let mut one_by_one = tat.map(|tat| Timestamp::from_micros(NOW.as_micros() + tat));
                let (grant, next) = quota.lease(one_by_one, want, NOW);
                let mut last = None;
                for _ in 0..want {
                    let (decision, tat) = quota.take(one_by_one, NOW);
                    one_by_one = Some(tat);
                    if !decision.allowed { break }
                    last = Some((decision.remaining, decision.reset, tat));
                }
                if let Some((remaining, reset, tat)) = last {
                    prop_assert_eq!((grant.remaining, grant.reset, next), (remaining, reset, tat));
                }
                prop_assert_eq!(grant.granted < want, grant.wait > Duration::ZERO);
            }

            #[test]
            fn no_window_admits_more_than_the_burst_and_its_refill(
                gaps in prop::collection::vec(0_i64..400_000, 1..200), burst in 1_u32..20,
            ) {
                let quota = quota(10, 1, burst);
                let (mut now, mut tat, mut passed) = (NOW, None, Vec::new());
                for gap in gaps {
                    now = Timestamp::from_micros(now.as_micros() + gap);
                    let (decision, next) = quota.take(tat, now);
                    tat = Some(next);
                    if decision.allowed { passed.push(now) }
                }
                for (index, start) in passed.iter().enumerate() {
                    for (more, end) in passed[index..].iter().enumerate() {
                        let refilled = (end.as_micros() - start.as_micros()) / quota.interval_micros();
                        prop_assert!(i64::try_from(more).unwrap() < i64::from(burst) + refilled + 1);
                    }
                }
            }
        }
    }
}
