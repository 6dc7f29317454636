//! Shares of limits that gateways lease.

use std::time::Duration;

use portcullis::limit::Quota;
use portcullis::store::{Check, Counted, Leasable, Standing, Take};

use super::{Shared, opened};
use crate::fixture::{NOW, check_of, leasable, secs, subject, take};

pub(crate) async fn a_lease_takes_as_many_as_are_there(store: Shared) {
    let all = leasable("api", "192.0.2.1", 5);
    let some = store.lease(&all, 3, NOW).await.unwrap();
    assert_eq!((some.granted, some.remaining, some.wait, some.reset), (3, 2, Duration::ZERO, secs(3)));
    let rest = store.lease(&all, 3, NOW).await.unwrap();
    assert_eq!((rest.granted, rest.remaining, rest.wait, rest.reset), (2, 0, secs(1), secs(5)));
    assert_eq!(store.lease(&all, 3, NOW).await.unwrap().granted, 0);
    assert_eq!(store.lease(&all, 9, NOW.after(secs(2))).await.unwrap().granted, 2, "what was refilled");
    assert_eq!(store.lease(&leasable("api", "192.0.2.2", 5), 9, NOW).await.unwrap().granted, 5, "each has its own");
}

pub(crate) async fn what_is_given_back_is_there_for_others(store: Shared) {
    let all = leasable("api", "192.0.2.1", 5);
    store.lease(&all, 5, NOW).await.unwrap();
    store.give_back(&all, 3).await.unwrap();
    assert_eq!(store.lease(&all, 9, NOW).await.unwrap().granted, 3);
    store.give_back(&all, 5).await.unwrap();
    store.give_back(&all, 5).await.unwrap();
    assert_eq!(store.lease(&all, 99, NOW).await.unwrap().granted, 5, "never more than the burst");
    store.give_back(&leasable("api", "192.0.2.9", 5), 3).await.unwrap();
    let fresh = store.lease(&leasable("api", "192.0.2.9", 5), 99, NOW).await.unwrap();
    assert_eq!(fresh.granted, 5, "nothing is owed to who leased nothing");
}

pub(crate) async fn leases_and_takes_go_on_from_one_count(store: Shared) {
    let key = "192.0.2.1";
    store.lease(&leasable("api", key, 5), 4, NOW).await.unwrap();
    let taken = store.take(&[take("api", key, 5)], NOW).await.unwrap();
    assert_eq!((taken[0].allowed, taken[0].remaining), (true, 0));

    let session = opened(&*store, &subject("alice"), NOW).await;
    let mine = Leasable { whom: Counted::User(subject("alice")), ..leasable("api", key, 5) };
    store.lease(&mine, 4, NOW).await.unwrap();
    let check = Check { takes: &[take("api", "alice", 5)], ..check_of(&session) };
    let Standing::Good(decisions) = store.check(&check, NOW).await.unwrap() else { panic!("it stands") };
    assert_eq!((decisions[0].allowed, decisions[0].remaining), (true, 0));
    let shared = store.take(&[take("api", "alice", 5)], NOW).await.unwrap();
    assert_eq!(shared[0].remaining, 4, "limits by user count apart");
}

pub(crate) async fn a_gateway_whose_clock_is_behind_refills_nothing(store: Shared) {
    let all = leasable("api", "192.0.2.1", 5);
    let ahead = NOW.after(secs(4));
    assert_eq!(store.lease(&all, 9, ahead).await.unwrap().granted, 5);
    for now in [NOW, ahead, NOW, ahead] {
        assert_eq!(store.lease(&all, 9, now).await.unwrap().granted, 0);
    }
}

/// Whose window is longer leaves a moment that another would take for that of a clock which stepped back.
pub(crate) async fn gateways_whose_quotas_differ_refill_nothing_for_each_other(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let quotas = [(100, 100), (200, 20)].map(|(count, burst)| Quota::new(count, secs(60), burst).unwrap());
    let takes = quotas.map(|quota| Take { quota, ..take("api", "alice", 1) });
    let (mut counted, mut by_user, mut leased) = ([0, 0], [0, 0], [0, 0]);
    for _ in 0..110 {
        for (at, take) in takes.iter().enumerate() {
            let one = std::slice::from_ref(take);
            counted[at] += u32::from(store.take(one, NOW).await.unwrap()[0].allowed);
            let check = Check { takes: one, ..check_of(&session) };
            let Standing::Good(decisions) = store.check(&check, NOW).await.unwrap() else { panic!("it stands") };
            by_user[at] += u32::from(decisions[0].allowed);
            let Take { limit, quota, .. } = take.clone();
            let of = Leasable { limit, whom: Counted::Other("192.0.2.1".to_owned()), quota };
            leased[at] += store.lease(&of, 3, NOW).await.unwrap().granted;
            store.give_back(&of, 1).await.unwrap();
            leased[at] -= u32::from(leased[at] > 0);
        }
    }
    assert_eq!((counted, by_user), ([100, 20], [100, 20]), "each its own burst, once");
    assert!(leased.iter().zip([100, 20]).all(|(leased, burst)| *leased <= burst), "{leased:?}");
}
