//! Gateways for which tokens live for different times: what is revoked is remembered for the longest.

use portcullis::store::Memory;
use portcullis::store::feed::Revocation;

use super::feed::{agree, here};
use super::*;
use crate::fixture::follower;

/// Four times as long as [`MEMORY`].
const LONG: Memory = Memory { access_life: Duration::from_hours(1) };

const LAST: Duration = Duration::from_secs(3599);

/// Opens a session where tokens live long.
async fn opened_elsewhere(store: &Shared, user: &str) -> Session {
    let asked = session(&**store, &subject(user), NOW);
    let Opening::Opened { session, .. } = store.open(asked, None, LONG).await.unwrap() else { panic!("it opens") };
    session
}

pub(crate) async fn what_is_revoked_is_remembered_for_the_longest_that_tokens_live_anywhere(store: Shared) {
    let (alice, carol) = (subject("alice"), subject("carol"));
    let mut sessions = Vec::new();
    for user in ["alice", "alice", "alice", "bob", "carol", "dave"] {
        sessions.push(opened_elsewhere(&store, user).await);
    }
    let checks: Vec<_> = sessions.iter().map(check_of).collect();
    store.end(&alice, Ending::This(sessions[0].id), LOGOUT, MEMORY, NOW).await.unwrap();
    store.revoke(&alice, checks[1].jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    for generation in [0, 1, 2, 0] {
        store.rotate(&token(sessions[2].id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    }
    let one = Some(Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest });
    opening(&*store, session(&*store, &subject("bob"), NOW), one).await;
    store.end(&carol, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    let ended_there_alone = Revocation::Session { sid: sessions[5].id, until: NOW.after(MEMORY.access_life) };
    store.restore(here(&store), &[ended_there_alone], MEMORY, NOW).await.unwrap();
    let how = ["a logout", "a token", "reuse", "eviction", "a logout everywhere", "restored"];
    for (check, how) in checks.iter().zip(how) {
        assert!(!stands(&store, check, LAST).await, "{how}");
        assert!(agree(&store, &follower(&store), check, LAST).await, "{how}: who begins to follow knows it, too");
    }
    assert!(stands(&store, &checks[0], LONG.access_life).await, "but no longer");
}

/// Its token is issued anew, by the terms of whoever answers.
pub(crate) async fn a_renewal_that_is_answered_again_where_tokens_live_long_counts(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    let again = store.rotate(&token(session.id, 0), None, &LIFETIMES, LONG, NOW).await.unwrap();
    assert!(matches!(again, Rotation::Replayed(_)), "{again:?}");
    store.end(&session.subject, Ending::This(session.id), LOGOUT, MEMORY, NOW).await.unwrap();
    assert!(!stands(&store, &check_of(&session), LAST).await);
}

pub(crate) async fn a_life_counts_until_the_last_token_of_its_time_has_ended(store: Shared) {
    let said = async |memory, now| store.remember(memory, now).await.unwrap();
    assert_eq!(said(MEMORY, NOW).await, MEMORY);
    assert_eq!(said(LONG, NOW).await, LONG);
    let end = NOW.after(LONG.access_life).after(Memory::SAID);
    for now in [NOW, end.before(secs(1))] {
        assert_eq!(said(MEMORY, now).await, LONG, "whoever asks");
    }
    let session = opened(&*store, &subject("alice"), end).await;
    store.end(&session.subject, Ending::This(session.id), LOGOUT, MEMORY, end).await.unwrap();
    let over = end.after(MEMORY.access_life);
    let check = check_of(&session);
    assert_eq!(store.check(&check, over.before(secs(1))).await.unwrap(), Standing::Revoked);
    assert!(matches!(store.check(&check, over).await.unwrap(), Standing::Good(_)), "as before it was said");
    assert_eq!(said(MEMORY, end).await, MEMORY);
}
