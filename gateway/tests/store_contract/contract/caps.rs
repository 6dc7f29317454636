//! What every store promises of users who may have so many sessions and no more.

use portcullis::session::{Cap, WhenFull};

use super::*;

fn cap(most: u32, when_full: WhenFull) -> Cap {
    Cap { most: most.try_into().unwrap(), when_full }
}

pub(crate) async fn a_login_too_many_evicts_the_session_unused_longest(store: Shared) {
    let (alice, cap) = (subject("alice"), Some(cap(3, WhenFull::EvictOldest)));
    let first = opened(&*store, &alice, NOW).await;
    let second = opened(&*store, &alice, NOW.after(secs(1))).await;
    let third = opened(&*store, &alice, NOW.after(secs(2))).await;
    let bobs = opened(&*store, &subject("bob"), NOW).await;
    let used = NOW.after(secs(10));
    store.rotate(&token(first.id, 0), None, &LIFETIMES, MEMORY, used).await.unwrap();

    let now = NOW.after(secs(20));
    let asked = session(&*store, &alice, now);
    let opening = opening(&*store, asked.clone(), cap).await;
    assert_eq!(opening, Opening::Opened { session: asked.clone(), evicted: 1 });
    let left: Vec<_> = store.sessions(&alice, now).await.unwrap().iter().map(|session| session.id).collect();
    assert_eq!(left, [first.id, third.id, asked.id], "the second was used least lately");
    assert!(!stands(&store, &check_of(&second), secs(20)).await);
    assert!(stands(&store, &check_of(&first), secs(20)).await && stands(&store, &check_of(&bobs), secs(20)).await);
    let told = store.rotate(&token(second.id, 0), None, &LIFETIMES, MEMORY, now).await.unwrap();
    assert_eq!(told, Rotation::Ended(Cause::Evicted));
}

pub(crate) async fn a_cap_that_was_lowered_holds_from_the_next_login_on(store: Shared) {
    let alice = subject("alice");
    for seconds in 0..5 {
        opened(&*store, &alice, NOW.after(secs(seconds))).await;
    }
    let asked = session(&*store, &alice, NOW.after(secs(9)));
    let opening = opening(&*store, asked.clone(), Some(cap(1, WhenFull::EvictOldest))).await;
    assert_eq!(opening, Opening::Opened { session: asked.clone(), evicted: 5 });
    assert_eq!(store.sessions(&alice, NOW.after(secs(9))).await.unwrap(), [asked]);
}

pub(crate) async fn a_login_too_many_is_refused_where_new_ones_are(store: Shared) {
    let (alice, cap) = (subject("alice"), Some(cap(1, WhenFull::RefuseNew)));
    let first = opened(&*store, &alice, NOW).await;
    assert_eq!(opening(&*store, session(&*store, &alice, NOW), cap).await, Opening::Full);
    assert_eq!(store.sessions(&alice, NOW).await.unwrap(), std::slice::from_ref(&first), "nothing changes");
    assert!(stands(&store, &check_of(&first), secs(0)).await);
    let later = session(&*store, &alice, first.expires_at);
    let opening = opening(&*store, later.clone(), cap).await;
    assert_eq!(opening, Opening::Opened { session: later, evicted: 0 }, "one that has expired does not count");
}

pub(crate) async fn a_hundred_logins_at_once_leave_as_many_sessions_as_may_be(store: Shared) {
    for when_full in [WhenFull::EvictOldest, WhenFull::RefuseNew] {
        let alice = subject(&format!("alice-{when_full:?}"));
        let logins: Vec<_> = (0..100)
            .map(|_| {
                let (store, asked) = (Arc::clone(&store), session(&*store, &alice, NOW));
                tokio::spawn(async move { opening(&*store, asked, Some(cap(3, when_full))).await })
            })
            .collect();
        let (mut opened, mut evictions, mut full) = (0, 0, 0);
        for login in logins {
            match login.await.unwrap() {
                Opening::Opened { evicted, .. } => (opened, evictions) = (opened + 1, evictions + evicted),
                Opening::Full => full += 1,
                Opening::Disabled => panic!("nobody is"),
            }
        }
        assert_eq!(store.sessions(&alice, NOW).await.unwrap().len(), 3);
        let expected = if when_full == WhenFull::EvictOldest { (100, 97, 0) } else { (3, 0, 97) };
        assert_eq!((opened, evictions, full), expected);
    }
}
