//! How many signatures that do not hold an address may have checked: each costs as much as a good one, and whoever
//! sends it risks nothing. It relies on the arithmetic of `limit.rs`, counts in this gateway alone, and asks
//! no store. It never says whether a token is good: what may pass here is verified all the same.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::LimitId;
use crate::limit::Quota;
use crate::limiter::{LocalCounts, address_prefix};
use crate::store::Take;

/// So many good tokens are recognised, one for each value of two bytes: 512 KiB, whatever is sent.
const FAMILIAR: usize = 1 << 16;

/// What is known of senders of bad tokens, and of good tokens that came from anywhere.
#[derive(Debug)]
pub struct BadTokens {
    counts: LocalCounts,
    /// When the last of all counts is empty again: until the first bad token nobody has to be looked up.
    quiet_from: AtomicI64,
    familiar: Familiar,
}

impl Default for BadTokens {
    fn default() -> Self {
        Self { counts: LocalCounts::default(), quiet_from: AtomicI64::new(i64::MIN), familiar: Familiar::default() }
    }
}

impl BadTokens {
    /// Whether the signature of `token` may be checked, or how long to wait. A token that held a while ago always
    /// may, or one attacker could lock out all who share an address.
    pub fn may_check(&self, token: &str, client: IpAddr, quota: Quota, now: Timestamp) -> Result<(), Duration> {
        if self.is_quiet(now) || self.familiar.has(token) {
            return Ok(());
        }
        let next = self.counts.peek(&take(client, quota), now);
        if next.allowed { Ok(()) } else { Err(next.wait) }
    }

    /// Notes a signature that did not hold.
    pub fn failed(&self, client: IpAddr, quota: Quota, now: Timestamp) {
        let quiet_from = now.after(self.counts.take(&take(client, quota), now).reset);
        self.quiet_from.fetch_max(quiet_from.as_micros(), Ordering::Relaxed);
    }

    /// Notes a token that holds again, without its signature: while anybody is being counted, so that it is recognised
    /// should it have to be verified before all counts are empty.
    pub fn held_again(&self, token: &str, now: Timestamp) {
        if !self.is_quiet(now) {
            self.familiar.add(token);
        }
    }

    /// Whether every count is empty.
    fn is_quiet(&self, now: Timestamp) -> bool {
        self.quiet_from.load(Ordering::Relaxed) <= now.as_micros()
    }

    /// Notes a token whose signature held.
    pub fn held(&self, token: &str) {
        self.familiar.add(token);
    }
}

fn take(client: IpAddr, quota: Quota) -> Take {
    let limit = LimitId::parse("bad_tokens").expect("a plain name");
    Take { limit, key: address_prefix(client), quota }
}

/// Tokens that held, by a keyed hash each in a slot of its own, where the last one stays. Two that are taken for
/// each other cost a check of a signature and no more.
#[derive(Debug)]
struct Familiar {
    key: RandomState,
    slots: Box<[AtomicU64]>,
}

impl Default for Familiar {
    fn default() -> Self {
        Self { key: RandomState::new(), slots: (0..FAMILIAR).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Familiar {
    /// The hash of a token, and the slot that two of its bytes name.
    fn slot(&self, token: &str) -> (u64, &AtomicU64) {
        let hash = self.key.hash_one(token);
        let [low, high, ..] = hash.to_le_bytes();
        (hash, &self.slots[usize::from(u16::from_le_bytes([low, high]))])
    }

    fn add(&self, token: &str) {
        let (hash, slot) = self.slot(token);
        slot.store(hash, Ordering::Relaxed);
    }

    fn has(&self, token: &str) -> bool {
        let (hash, slot) = self.slot(token);
        slot.load(Ordering::Relaxed) == hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn quota() -> Quota {
        Quota::new(20, Duration::from_secs(1), 3).unwrap()
    }

    #[test]
    fn an_address_that_sends_bad_tokens_waits_and_others_do_not() {
        let (bad, there) = (BadTokens::default(), address("192.0.2.1"));
        let may = |client: &str, now| bad.may_check("x", address(client), quota(), now);
        for _ in 0..3 {
            assert_eq!(may("192.0.2.1", NOW), Ok(()));
            bad.failed(there, quota(), NOW);
        }
        assert_eq!(may("192.0.2.1", NOW), Err(Duration::from_millis(50)));
        assert_eq!(may("192.0.2.2", NOW), Ok(()));
        assert_eq!(may("192.0.2.1", NOW.after(Duration::from_millis(50))), Ok(()), "who waits as told may try again");
        assert_eq!(may("192.0.2.1", NOW.after(Duration::from_secs(1))), Ok(()));
    }

    #[test]
    fn ipv6_is_counted_by_the_subscriber() {
        let bad = BadTokens::default();
        for host in 1..4 {
            bad.failed(address(&format!("2001:db8::{host}")), quota(), NOW);
        }
        assert!(bad.may_check("x", address("2001:db8::ffff"), quota(), NOW).is_err());
        assert!(bad.may_check("x", address("2001:db8:0:1::1"), quota(), NOW).is_ok());
    }

    #[test]
    fn a_token_that_held_before_is_checked_whoever_shares_its_address() {
        let (bad, there) = (BadTokens::default(), address("192.0.2.1"));
        bad.held("good");
        for _ in 0..10 {
            bad.failed(there, quota(), NOW);
        }
        assert_eq!(bad.may_check("good", there, quota(), NOW), Ok(()));
        assert!(bad.may_check("new", there, quota(), NOW).is_err());
    }
}
