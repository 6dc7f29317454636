//! What one gateway counts alone while the store can't: the same arithmetic on a bounded map. When it is
//! full, entries that mean nothing any more make room; if all still mean something, new keys share one
//! entry, so that neither memory nor the limit is ever exceeded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::ids::LimitId;
use crate::limit::{Decision, Quota};
use crate::store::Take;

/// About 10 MB at the most.
const MAX_KEYS: usize = 65_536;

type Key = (LimitId, Quota, String);

/// The counts of one gateway.
#[derive(Debug, Default)]
pub struct LocalCounts {
    arrivals: Mutex<HashMap<Key, Timestamp>>,
}

impl LocalCounts {
    /// Takes one.
    pub fn take(&self, take: &Take, now: Timestamp) -> Decision {
        // A panic elsewhere can't leave the map half changed, so a poisoned lock is as good as any.
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (take.limit.clone(), take.quota, take.key.clone());
        if !arrivals.contains_key(&key) && arrivals.len() >= MAX_KEYS {
            arrivals.retain(|_, arrival| *arrival > now);
            if arrivals.len() >= MAX_KEYS {
                key.2.clear();
            }
        }
        let (decision, arrival) = take.quota.take(arrivals.get(&key).copied(), now);
        arrivals.insert(key, arrival);
        decision
    }

    /// What [`LocalCounts::take`] would decide, without taking.
    pub fn peek(&self, take: &Take, now: Timestamp) -> Decision {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (take.limit.clone(), take.quota, take.key.clone());
        if !arrivals.contains_key(&key) && arrivals.len() >= MAX_KEYS {
            key.2.clear();
        }
        take.quota.take(arrivals.get(&key).copied(), now).0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_keys_is_bounded_and_still_limited() {
        let counts = LocalCounts::default();
        let now = Timestamp::from_secs(1);
        let quota = Quota::new(1, Duration::from_hours(1), 1).unwrap();
        let take = |key: String| counts.take(&Take { limit: LimitId::parse("l").unwrap(), key, quota }, now).allowed;
        let passed = (0..MAX_KEYS + 100).filter(|key| take(key.to_string())).count();
        assert_eq!(passed, MAX_KEYS + 1, "those beyond share one");
        assert!(counts.arrivals.lock().unwrap().len() <= MAX_KEYS + 1);
        assert!(!take("0".to_owned()));
    }
}
