//! Shares alone, and generated histories of several gateways and one store.

use proptest::prelude::*;

use super::*;
use crate::clock::micros;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn quota(a_second: u32, burst: u32) -> Quota {
    Quota::new(a_second, Duration::from_secs(1), burst).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A share that was asked for so much just now, and granted all of what it wanted.
fn busy(quota: &Quota, takes: u32) -> Share {
    let mut share = Share::default();
    for _ in 0..takes {
        share.take(NOW);
    }
    let want = share.want(quota, 0);
    share.granted(quota.lease(None, want, NOW).0, want, quota, NOW);
    share
}

#[test]
fn a_lease_is_as_large_as_the_demand_and_a_small_part_of_the_burst() {
    let quota = quota(1000, 80);
    let mut share = Share::default();
    assert_eq!(share.take(NOW), None);
    assert_eq!(share.want(&quota, 1), 1, "nothing is known of a first request but itself");
    for _ in 0..5 {
        share.take(NOW);
    }
    assert_eq!(share.want(&quota, 2), 7, "as many again");
    for _ in 0..500 {
        share.take(NOW);
    }
    assert_eq!(share.want(&quota, 2), 12, "an eighth of the burst");
    let small = Quota::new(7, Duration::from_secs(1), 7).unwrap();
    assert_eq!(share.want(&small, 1), 1, "of a small burst nothing is held");
}

#[test]
fn requests_that_overtake_each_other_do_not_hide_the_demand() {
    let quota = quota(1000, 80);
    let mut share = busy(&quota, 9);
    for _ in 0..3 {
        share.take(NOW.before(millis(1)));
    }
    assert_eq!(share.want(&quota, 0), 10);
}

#[test]
fn a_lease_is_handed_out_for_a_second_and_then_given_back_once() {
    let quota = quota(1000, 80);
    let mut share = busy(&quota, 9);
    let almost = NOW.after(LIFE).before(Duration::from_micros(1));
    assert!(share.take(almost).unwrap().allowed);
    assert_eq!(share.take_unused(almost), 0);
    assert_eq!(share.take(NOW.after(LIFE)), None);
    assert_eq!(share.take_unused(NOW.after(LIFE)), 7);
    assert_eq!(share.take_unused(NOW.after(LIFE)), 0);
}

#[test]
fn more_is_asked_for_before_the_lease_runs_out() {
    let quota = quota(1000, 80);
    let mut share = busy(&quota, 200);
    let mut taken = 0;
    while !share.is_low(&quota, NOW) {
        assert!(share.take(NOW).unwrap().allowed);
        taken += 1;
    }
    assert_eq!(taken, 5, "half of ten");
}

#[test]
fn a_refusal_stands_until_something_may_be_there() {
    let quota = quota(10, 1);
    let mut share = Share::default();
    let (_, tat) = quota.lease(None, 1, NOW);
    assert_eq!(share.take(NOW), None);
    share.granted(quota.lease(Some(tat), 1, NOW).0, 1, &quota, NOW);
    let refused = share.take(NOW).unwrap();
    assert_eq!((refused.allowed, refused.wait), (false, millis(100)));
    assert_eq!(share.take(NOW.after(millis(99))).unwrap().wait, millis(1));
    assert_eq!(share.take(NOW.after(millis(100))), None, "now the store is asked again");
    assert_eq!(share.take(NOW.before(Duration::from_hours(1))), None, "and when a clock stepped back");
}

#[test]
fn who_was_overtaken_by_the_one_that_asked_is_not_refused_for_it() {
    let quota = quota(500, 160);
    let mut share = Share::default();
    assert_eq!(share.take(NOW), None);
    share.granted(Grant { granted: 1, remaining: 100, wait: Duration::ZERO, reset: millis(10) }, 1, &quota, NOW);
    assert!(share.take(NOW).is_some_and(|decision| decision.allowed));
    assert_eq!(share.take(NOW.before(millis(1))), None, "only the store can tell");
}

#[test]
fn a_slow_limit_that_is_used_up_is_asked_about_again_since_others_may_give_back() {
    let quota = Quota::new(1, Duration::from_hours(1), 1).unwrap();
    let mut share = Share::default();
    let (_, tat) = quota.lease(None, 1, NOW);
    share.take(NOW);
    share.granted(quota.lease(Some(tat), 1, NOW).0, 1, &quota, NOW);
    assert_eq!(share.take(NOW).unwrap().wait, Duration::from_hours(1), "the client is told how long it really is");
    assert_eq!(share.take(NOW.after(PATIENCE)), None);
}

#[test]
fn a_fast_limit_that_is_used_up_is_asked_about_now_and_then() {
    let quota = quota(10_000, 1000);
    let mut share = Share::default();
    share.take(NOW);
    let (grant, _) = quota.lease(Some(NOW.after(quota.window())), 1, NOW);
    assert_eq!(grant.wait, Duration::from_micros(100));
    share.granted(grant, 1, &quota, NOW);
    assert_eq!(share.take(NOW).unwrap().wait, PACE);
}

#[test]
fn what_remains_is_what_is_leased_and_what_the_store_has() {
    let quota = quota(1000, 80);
    let mut share = busy(&quota, 9);
    assert_eq!(share.take(NOW).unwrap().remaining, 79);
    let next = share.take(NOW.after(millis(1))).unwrap();
    assert_eq!((next.remaining, next.reset), (78, millis(1)), "two were used, one is there again");
    let later = NOW.after(millis(100));
    share.granted(quota.lease(None, 9, later).0, 9, &quota, later);
    assert_eq!(
        share.take(later).unwrap().remaining,
        79,
        "no more than the burst, though it is full there and held here"
    );
}

/// How far the clocks of gateways are apart in histories.
const APART: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
enum Step {
    /// So many requests reach a gateway.
    Requests(usize, u8),
    /// Its question reaches the store.
    Ask(usize),
    /// The answer reaches it, or is lost.
    Answer {
        gateway: usize,
        lost: bool,
    },
    /// It gives back what it does not need, or that is lost.
    GiveBack {
        gateway: usize,
        lost: bool,
    },
    Restart(usize),
    /// Its clock is set.
    SetClock(usize, Duration),
    Wait(Duration),
}

fn step(gateways: usize) -> impl Strategy<Value = Step> {
    let gateway = move || 0..gateways;
    let lost = || prop::bool::weighted(0.1);
    prop_oneof![
        10 => (gateway(), 1_u8..12).prop_map(|(gateway, requests)| Step::Requests(gateway, requests)),
        8 => gateway().prop_map(Step::Ask),
        8 => (gateway(), lost()).prop_map(|(gateway, lost)| Step::Answer { gateway, lost }),
        4 => (gateway(), lost()).prop_map(|(gateway, lost)| Step::GiveBack { gateway, lost }),
        1 => gateway().prop_map(Step::Restart),
        1 => (gateway(), 0..300_u64).prop_map(|(gateway, ahead)| Step::SetClock(gateway, millis(ahead))),
        10 => prop_oneof![
            6 => 0_u64..30_000,
            3 => 0_u64..400_000,
            1 => 0_u64..3_000_000,
        ].prop_map(|micros| Step::Wait(Duration::from_micros(micros))),
    ]
}

#[derive(Default)]
struct Gateway {
    share: Share,
    waiting: u32,
    ahead: Duration,
    on_its_way: Option<(Grant, u32, Timestamp)>,
}

struct History {
    quota: Quota,
    tat: Option<Timestamp>,
    gateways: Vec<Gateway>,
    now: Timestamp,
    /// When each request passed, and what all gateways held just before.
    passed: Vec<(Timestamp, u32)>,
}

impl History {
    fn held(&self) -> u32 {
        let held = |gateway: &Gateway| {
            let granted = gateway.on_its_way.map_or(0, |(grant, ..)| grant.granted);
            gateway.share.left() + gateway.share.unused + granted
        };
        self.gateways.iter().map(held).sum()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Requests(at, requests) => (0..*requests).for_each(|_| self.request(*at)),
            Step::Ask(at) => self.ask(*at),
            Step::Answer { gateway, lost } => self.answer(*gateway, *lost),
            Step::GiveBack { gateway, lost } => {
                let now = self.clock(*gateway);
                let cells = self.gateways[*gateway].share.take_unused(now);
                if !lost {
                    self.tat = self.tat.map(|tat| self.quota.give_back(tat, cells));
                }
            }
            Step::Restart(at) => self.gateways[*at] = Gateway::default(),
            Step::SetClock(at, ahead) => self.gateways[*at].ahead = *ahead,
            Step::Wait(span) => self.now = self.now.after(*span),
        }
    }

    fn clock(&self, at: usize) -> Timestamp {
        self.now.after(self.gateways[at].ahead)
    }

    fn request(&mut self, at: usize) {
        let (now, held) = (self.clock(at), self.held());
        match self.gateways[at].share.take(now) {
            Some(decision) if decision.allowed => self.passed.push((self.now, held)),
            Some(_) => {}
            None => self.gateways[at].waiting += 1,
        }
    }

    fn ask(&mut self, at: usize) {
        let now = self.clock(at);
        let gateway = &mut self.gateways[at];
        let needs_more = gateway.waiting > 0 || gateway.share.is_low(&self.quota, now);
        if !needs_more || gateway.on_its_way.is_some() {
            return;
        }
        let want = gateway.share.want(&self.quota, gateway.waiting as usize);
        let (grant, tat) = self.quota.lease(self.tat, want, now);
        self.tat = Some(tat);
        gateway.on_its_way = Some((grant, want, now));
    }

    fn answer(&mut self, at: usize, lost: bool) {
        let Some((grant, want, now)) = self.gateways[at].on_its_way.take() else { return };
        if lost {
            self.gateways[at].waiting = 0;
            return;
        }
        self.gateways[at].share.granted(grant, want, &self.quota, now);
        while self.gateways[at].waiting > 0 {
            let held = self.held();
            let share = &mut self.gateways[at].share;
            match share.hand_out(now) {
                Some(_) => self.passed.push((self.now, held)),
                None if share.refusal(now).is_none() => break,
                None => {}
            }
            self.gateways[at].waiting -= 1;
        }
    }

    /// Every interval between two that passed: no more than burst + rate × interval + what was held at its start.
    fn admits_no_more_than_it_may(&self) -> Result<(), TestCaseError> {
        for (at, (start, held)) in self.passed.iter().enumerate() {
            for (more, (end, _)) in self.passed[at..].iter().enumerate() {
                let span = micros(end.since(*start)) + micros(APART);
                let may = i64::from(self.quota.burst()) + span / self.quota.interval_micros() + i64::from(*held);
                prop_assert!(i64::try_from(more).unwrap() < may, "{} in {span} µs, {may} may", more + 1);
            }
        }
        Ok(())
    }

    fn holds_a_small_part(&self) -> Result<(), TestCaseError> {
        for gateway in &self.gateways {
            let most = 2 * (self.quota.burst() / PART) + gateway.waiting;
            prop_assert!(gateway.share.left() <= most, "{} of {}", gateway.share.left(), self.quota.burst());
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_gateways_never_admit_more_than_burst_and_refill_and_what_they_held(
        (gateways, steps) in (1_usize..5).prop_flat_map(|gateways| {
            (Just(gateways), prop::collection::vec(step(gateways), 1..150))
        }),
        burst in 1_u32..100,
        a_second in 1_u32..400,
    ) {
        let gateways = std::iter::repeat_with(Gateway::default).take(gateways).collect();
        let mut history =
            History { quota: quota(a_second, burst), tat: None, gateways, now: NOW, passed: Vec::new() };
        for step in &steps {
            history.take(step);
            history.holds_a_small_part()?;
        }
        history.admits_no_more_than_it_may()?;
    }
}
