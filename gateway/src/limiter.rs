//! Limits at work: what a request counts against, the store that counts or leases, and a local share for when
//! it can't. Decisions become `RateLimit` headers and refusals here; the arithmetic is `limit.rs`.
//! Nothing here decides what a limit's loss means for a login, which fails closed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use smallvec::SmallVec;
use tokio::time::timeout;

use crate::clock::Timestamp;
use crate::decimal;
use crate::ids::{LimitId, Subject};
use crate::limit::{Accuracy, Decision, Limit, LimitBy, Quota};
use crate::metrics::{LimitOutcome, Metrics};
use crate::problem::Denied;
use crate::routing::Route;
use crate::store::{Counted, Store, StoreError, Take};

mod leases;
mod local;
mod share;
mod whom;

use leases::Leases;
pub use local::LocalCounts;
pub use whom::{Subscriber, Whom};

/// What most fields of one or two limits fit into.
const USUAL_FIELD: usize = 64;

/// What a limit said of this request, for its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    limit: LimitId,
    quota: Quota,
    decision: Decision,
}

/// What limits said of a request: of few enough, mostly, to take no memory of their own.
pub type Readings = SmallVec<[Reading; 2]>;

/// What happens when the store can't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// This gateway counts alone until it can.
    CountLocally,
    /// The request is refused: what the limit guards must not be guessed at.
    Refuse,
}

/// How often [`Limiter::tidy`] is to be called.
pub const TIDY: Duration = Duration::from_millis(100);

/// How long giving back may take at the end.
const PARTING: Duration = Duration::from_secs(1);

/// Takes limits.
pub struct Limiter {
    store: Arc<dyn Store>,
    leases: Arc<Leases>,
    local: LocalCounts,
    metrics: Arc<Metrics>,
}

impl Limiter {
    /// Counts in `store`, and leases from it on the runtime that this is called on, which is to outlive all requests.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        let leases = Arc::new(Leases::new(Arc::clone(&store), Arc::clone(&metrics)));
        Self { store, leases, local: LocalCounts::default(), metrics }
    }

    /// Takes what `route` counts before the caller is known: by address, and all together. What is leased comes
    /// first, since it costs least.
    pub async fn take_by_sender(
        &self,
        route: &Route,
        client: IpAddr,
        uncounted: Uncounted,
        now: Timestamp,
        readings: &mut Readings,
    ) -> Result<(), Denied> {
        for limit in leased(&route.limits) {
            match limit.by {
                LimitBy::Address => self.take_leased(limit, Whom::Address(client.into()), now, readings).await?,
                LimitBy::Route => self.take_leased(limit, Whom::Route(&route.id), now, readings).await?,
                LimitBy::User | LimitBy::Account => {}
            }
        }
        let key = |limit: &Limit| match limit.by {
            LimitBy::Address => Some(address_prefix(client)),
            LimitBy::Route => Some(route.id.to_string()),
            LimitBy::User | LimitBy::Account => None,
        };
        self.take(&takes(&route.limits, key), uncounted, now, readings).await
    }

    /// Takes what is counted by user and leased.
    pub async fn take_leased_by_user(
        &self,
        limits: &[Arc<Limit>],
        subject: &Subject,
        now: Timestamp,
        readings: &mut Readings,
    ) -> Result<(), Denied> {
        for limit in leased(limits).filter(|limit| limit.by == LimitBy::User) {
            self.take_leased(limit, Whom::User(subject), now, readings).await?;
        }
        Ok(())
    }

    /// Takes one from this gateway's share, or counts alone while the store can't say how large that is.
    async fn take_leased(
        &self,
        limit: &Limit,
        whom: Whom<'_>,
        now: Timestamp,
        readings: &mut Readings,
    ) -> Result<(), Denied> {
        let (decision, outcome) = match self.leases.take(limit, whom, now).await {
            Some(decision) => (decision, LimitOutcome::of(&decision)),
            None => (self.local.take(&alone(limit, whom), now), LimitOutcome::Local),
        };
        self.metrics.limit_decided(&limit.id, outcome);
        note(&limit.id, limit.quota, decision, readings)
    }

    /// Gives back all that is leased, as far as there is time: nobody is to be limited here any more.
    pub async fn close(&self, now: Timestamp) {
        // What is left is lost to whom it was counted for, for as long as it takes to refill.
        let _ = timeout(PARTING, self.leases.tidy(now.after(share::LIFE))).await;
    }

    /// Gives back what was leased and is not needed. To be called every [`TIDY`].
    pub async fn tidy(&self, now: Timestamp) {
        self.leases.tidy(now).await;
    }

    /// Whether any of `limits` is counted by user.
    pub fn count_users(limits: &[Arc<Limit>]) -> bool {
        limits.iter().any(|limit| limit.by == LimitBy::User)
    }

    /// What is counted by user, one by one.
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
        readings: &mut Readings,
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
    pub fn take_locally(&self, takes: &[Take], now: Timestamp, readings: &mut Readings) -> Result<(), Denied> {
        for take in takes {
            let decision = self.local.take(take, now);
            self.metrics.limit_decided(&take.limit, LimitOutcome::Local);
            note(&take.limit, take.quota, decision, readings)?;
        }
        Ok(())
    }

    /// Turns decisions into readings, and the one that refuses into a refusal.
    pub fn read(&self, takes: &[Take], decisions: &[Decision], readings: &mut Readings) -> Result<(), Denied> {
        let refused = decisions.iter().any(|decision| !decision.allowed);
        if !refused && decisions.len() != takes.len() {
            return Err(StoreError::Corrupt("it answered for another number of limits".to_owned()).into());
        }
        for (take, &decision) in takes.iter().zip(decisions) {
            self.metrics.limit_decided(&take.limit, LimitOutcome::of(&decision));
            note(&take.limit, take.quota, decision, readings)?;
        }
        Ok(())
    }
}

/// Keeps what a limit said, and refuses if it did.
fn note(limit: &LimitId, quota: Quota, decision: Decision, readings: &mut Readings) -> Result<(), Denied> {
    readings.push(Reading { limit: limit.clone(), quota, decision });
    if decision.allowed { Ok(()) } else { Err(Denied::OverLimit { limit: limit.clone(), wait: decision.wait }) }
}

fn leased(limits: &[Arc<Limit>]) -> impl Iterator<Item = &Limit> {
    limits.iter().map(|limit| &**limit).filter(|limit| limit.accuracy == Accuracy::Leased)
}

/// What is counted one by one.
fn takes(limits: &[Arc<Limit>], key: impl Fn(&Limit) -> Option<String>) -> Vec<Take> {
    let take = |limit: &Arc<Limit>| Some(Take { limit: limit.id.clone(), key: key(limit)?, quota: limit.quota });
    limits.iter().filter(|limit| limit.accuracy == Accuracy::Exact).filter_map(take).collect()
}

fn alone(limit: &Limit, whom: Whom<'_>) -> Take {
    let key = match whom.counted() {
        Counted::User(subject) => subject.to_string(),
        Counted::Other(key) => key,
    };
    Take { limit: limit.id.clone(), key, quota: limit.quota }
}

/// An address as limits count it: IPv6 by its /64, which is what one subscriber has (RFC 6177).
pub fn address_prefix(address: IpAddr) -> String {
    Subscriber::from(address).to_string()
}

/// The values of `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11 §3, §4).
///
/// GCRA in these terms: a quota `q` of the burst, refilled over a window of `w` seconds; `r` remain now,
/// and all are there again in `t` seconds.
pub fn headers(readings: &[Reading]) -> Option<(HeaderValue, HeaderValue)> {
    if readings.is_empty() {
        return None;
    }
    let (mut limits, mut policies) = (Vec::with_capacity(USUAL_FIELD), Vec::with_capacity(USUAL_FIELD));
    for Reading { limit, quota, decision } in readings {
        let window = seconds(quota.window()).max(1);
        member(&mut limits, limit, [(b'r', u64::from(decision.remaining)), (b't', seconds(decision.reset))]);
        member(&mut policies, limit, [(b'q', u64::from(quota.burst())), (b'w', window)]);
    }
    let value = |text: Vec<u8>| HeaderValue::try_from(text).ok();
    value(limits).zip(value(policies))
}

/// Appends a member and its parameters to a list (RFC 9651 §3.1).
fn member(list: &mut Vec<u8>, limit: &LimitId, parameters: [(u8, u64); 2]) {
    list.extend_from_slice(if list.is_empty() { b"\"" } else { b", \"" });
    list.extend_from_slice(limit.as_str().as_bytes());
    list.push(b'"');
    for (name, value) in parameters {
        list.extend_from_slice(&[b';', name, b'=']);
        decimal::push(list, value);
    }
}

/// Seconds, of which one that has begun counts, but not less than a millisecond of it.
fn seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_millis() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
