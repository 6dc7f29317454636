//! Limits at work: what a request counts against, the store that counts, and a local share for when it
//! can't. Decisions become `RateLimit` headers and refusals here; the arithmetic is `limit.rs`.
//! Nothing here decides what a limit's loss means for a login, which fails closed.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::clock::Timestamp;
use crate::ids::{LimitId, Subject};
use crate::limit::{Decision, Limit, LimitBy, Quota};
use crate::metrics::{LimitOutcome, Metrics};
use crate::problem::Denied;
use crate::routing::Route;
use crate::store::{Store, StoreError, Take};

mod local;

pub use local::LocalCounts;

/// What a limit said of this request, for its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    limit: LimitId,
    quota: Quota,
    decision: Decision,
}

/// What happens when the store can't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// This gateway counts alone until it can.
    CountLocally,
    /// The request is refused: what the limit guards must not be guessed at.
    Refuse,
}

/// Takes limits.
pub struct Limiter {
    store: Arc<dyn Store>,
    local: LocalCounts,
    metrics: Arc<Metrics>,
}

impl Limiter {
    /// Counts in `store`.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, local: LocalCounts::default(), metrics }
    }

    /// What `route` counts before the caller is known: by address, and all together.
    pub fn by_sender(route: &Route, client: IpAddr) -> Vec<Take> {
        let key = |limit: &Limit| match limit.by {
            LimitBy::Address => Some(address_prefix(client)),
            LimitBy::Route => Some(route.id.to_string()),
            LimitBy::User | LimitBy::Account => None,
        };
        takes(&route.limits, key)
    }

    /// What is counted by user.
    pub fn by_user(limits: &[Arc<Limit>], subject: &Subject) -> Vec<Take> {
        takes(limits, |limit| (limit.by == LimitBy::User).then(|| subject.to_string()))
    }

    /// What is counted by the account that a login names. The name is the client's word, so it is hashed.
    pub fn by_account(limits: &[Arc<Limit>], account_hash: &str) -> Vec<Take> {
        takes(limits, |limit| (limit.by == LimitBy::Account).then(|| account_hash.to_owned()))
    }

    /// Takes one of each, in order, until one refuses.
    pub async fn take(
        &self,
        takes: &[Take],
        uncounted: Uncounted,
        now: Timestamp,
        readings: &mut Vec<Reading>,
    ) -> Result<(), Denied> {
        if takes.is_empty() {
            return Ok(());
        }
        match (self.store.take(takes, now).await, uncounted) {
            (Ok(decisions), _) => self.read(takes, &decisions, readings),
            (Err(error), Uncounted::Refuse) => Err(error.into()),
            (Err(_), Uncounted::CountLocally) => self.take_locally(takes, now, readings),
        }
    }

    /// Takes one of each from what this gateway counts alone.
    pub fn take_locally(&self, takes: &[Take], now: Timestamp, readings: &mut Vec<Reading>) -> Result<(), Denied> {
        for take in takes {
            let decision = self.local.take(take, now);
            self.metrics.limit_decided(&take.limit, LimitOutcome::Local);
            note(take, decision, readings)?;
        }
        Ok(())
    }

    /// Turns decisions into readings, and the one that refuses into a refusal.
    pub fn read(&self, takes: &[Take], decisions: &[Decision], readings: &mut Vec<Reading>) -> Result<(), Denied> {
        let refused = decisions.iter().any(|decision| !decision.allowed);
        if !refused && decisions.len() != takes.len() {
            return Err(StoreError::Corrupt("it answered for another number of limits".to_owned()).into());
        }
        for (take, &decision) in takes.iter().zip(decisions) {
            let outcome = if decision.allowed { LimitOutcome::Allowed } else { LimitOutcome::Refused };
            self.metrics.limit_decided(&take.limit, outcome);
            note(take, decision, readings)?;
        }
        Ok(())
    }
}

/// Keeps what a limit said, and refuses if it did.
fn note(take: &Take, decision: Decision, readings: &mut Vec<Reading>) -> Result<(), Denied> {
    let limit = take.limit.clone();
    readings.push(Reading { limit: limit.clone(), quota: take.quota, decision });
    if decision.allowed { Ok(()) } else { Err(Denied::OverLimit { limit, wait: decision.wait }) }
}

fn takes(limits: &[Arc<Limit>], key: impl Fn(&Limit) -> Option<String>) -> Vec<Take> {
    let take = |limit: &Arc<Limit>| Some(Take { limit: limit.id.clone(), key: key(limit)?, quota: limit.quota });
    limits.iter().filter_map(take).collect()
}

/// An address as limits count it: IPv6 by its /64, which is what one subscriber has (RFC 6177).
pub fn address_prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The values of `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11 §3, §4).
///
/// GCRA in these terms: a quota `q` of the burst, refilled over a window of `w` seconds; `r` remain now,
/// and all are there again in `t` seconds.
pub fn headers(readings: &[Reading]) -> Option<(HeaderValue, HeaderValue)> {
    let (mut limits, mut policies) = (String::new(), String::new());
    for Reading { limit, quota, decision } in readings {
        let part = if limits.is_empty() { "" } else { ", " };
        let reset = decision.reset.as_millis().div_ceil(1000);
        let window = quota.window().as_millis().div_ceil(1000).max(1);
        let _ = write!(limits, "{part}\"{limit}\";r={};t={reset}", decision.remaining);
        let _ = write!(policies, "{part}\"{limit}\";q={};w={window}", quota.burst());
    }
    let value = |text: String| HeaderValue::from_str(&text).ok();
    if readings.is_empty() { None } else { value(limits).zip(value(policies)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_subscriber_is_one_key() {
        let prefix = |text: &str| address_prefix(text.parse().unwrap());
        assert_eq!(prefix("192.0.2.1"), "192.0.2.1");
        assert_eq!(prefix("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(prefix("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    }

    #[test]
    fn several_limits_stand_in_one_header() {
        let quota = Quota::new(100, Duration::from_mins(1), 20).unwrap();
        let (decision, _) = quota.take(None, Timestamp::from_secs(1));
        let reading = |name: &str| Reading { limit: LimitId::parse(name).unwrap(), quota, decision };
        let (limit, policy) = headers(&[reading("api"), reading("all")]).unwrap();
        assert_eq!(limit, r#""api";r=19;t=1, "all";r=19;t=1"#);
        assert_eq!(policy, r#""api";q=20;w=12, "all";q=20;w=12"#);
        assert_eq!(headers(&[]), None);
    }
}
