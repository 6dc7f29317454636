//! Who may administer: whoever sends the admin token. It is compared in constant time, and an address that sent
//! too many wrong ones has to wait before any more is looked at. What is remembered of addresses is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;

use crate::auth::credential;
use crate::clock::Timestamp;
use crate::ids::LimitId;
use crate::limit::Quota;
use crate::problem::Denied;
use crate::secret::Secret;

/// How many wrong tokens one address may send at once.
const FREE_FAILURES: u32 = 10;
/// How many more it may send each minute.
const FAILURES_PER_MINUTE: u32 = 10;
/// How many addresses are remembered; further ones share one entry.
const MAX_ADDRESSES: usize = 1024;
const OTHERS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Lets those in who send the token.
pub(super) struct Guard {
    quota: Quota,
    failures: Mutex<HashMap<IpAddr, Timestamp>>,
}

impl Default for Guard {
    fn default() -> Self {
        let quota = Quota::new(FAILURES_PER_MINUTE, Duration::from_mins(1), FREE_FAILURES);
        Self { quota: quota.expect("some a minute can be counted"), failures: Mutex::default() }
    }
}

impl Guard {
    /// Whether a request with these headers from `client` brings `token`.
    pub(super) fn admit(
        &self,
        token: &Secret,
        headers: &HeaderMap,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<(), Denied> {
        // Held all along, so that many at once get no more tries than one after another.
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let client = client.to_canonical();
        let known = failures.contains_key(&client) || failures.len() < MAX_ADDRESSES;
        let key = if known { client } else { OTHERS };
        let (decision, arrival) = self.quota.take(failures.get(&key).copied(), now);
        if !decision.allowed {
            let limit = LimitId::parse("admin.failures").expect("a plain name");
            return Err(Denied::OverLimit { limit, wait: decision.wait });
        }
        let outcome = check(token, headers);
        if matches!(outcome, Err(Denied::BadAdminToken)) {
            failures.retain(|_, arrival| *arrival > now);
            failures.insert(key, arrival);
        }
        outcome
    }
}

fn check(token: &Secret, headers: &HeaderMap) -> Result<(), Denied> {
    let sent = credential::bearer(headers)?.ok_or(Denied::NoAdminToken)?;
    // Digests are of one length, so that the length of the token does not show either.
    let (ours, theirs) = (digest(&SHA256, token.expose()), digest(&SHA256, sent.as_bytes()));
    verify_slices_are_equal(ours.as_ref(), theirs.as_ref()).map_err(|_| Denied::BadAdminToken)
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn sends(guard: &Guard, token: &str, client: IpAddr, now: Timestamp) -> Option<&'static str> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        guard.admit(&Secret::new("right"), &headers, client, now).err().map(|denied| denied.reason())
    }

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn after_too_many_wrong_tokens_the_right_one_has_to_wait_too() {
        let guard = Guard::default();
        for _ in 0..FREE_FAILURES {
            assert_eq!(sends(&guard, "right", address(1), NOW), None, "the right one costs nothing");
            assert_eq!(sends(&guard, "wrong", address(1), NOW), Some("admin_token_invalid"));
        }
        assert_eq!(sends(&guard, "right", address(1), NOW), Some("over_limit"));
        assert_eq!(sends(&guard, "right", address(2), NOW), None, "other addresses are not concerned");
        let mapped: IpAddr = "::ffff:0.0.0.1".parse().unwrap();
        assert_eq!(sends(&guard, "right", mapped, NOW), Some("over_limit"), "one address has one name");
        assert_eq!(sends(&guard, "right", address(1), NOW.after(Duration::from_secs(6))), None);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_still_limited() {
        let guard = Guard::default();
        for number in 1..10_000 {
            sends(&guard, "wrong", address(number), NOW);
        }
        assert_eq!(guard.failures.lock().unwrap().len(), MAX_ADDRESSES + 1);
        assert_eq!(sends(&guard, "right", address(10_000), NOW), Some("over_limit"), "those beyond share one entry");
        let later = NOW.after(Duration::from_mins(2));
        sends(&guard, "wrong", address(1), later);
        assert_eq!(guard.failures.lock().unwrap().len(), 1, "what means nothing any more is forgotten");
    }
}
