//! Gateways for which tokens live for different times, and whose clocks differ: what is revoked is remembered for as long
//! as any of them may accept a token of it.

use futures_util::future::join_all;
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

/// By so much a clock was ahead: more than what is over is kept.
const STEP: Duration = Duration::from_mins(14);

/// Ends all of `sessions` by a clock that is right again, each in another way, and asks of their tokens, which are from a
/// clock that was ahead, just before they are too old.
async fn end_each(store: &Shared, sessions: &[Session; 8]) {
    let followers = [follower(store), follower(store)];
    followers[0].follow(MEMORY, NOW).await.unwrap(); // it hears of what changes; the other one of what there is
    let [this, others, evicted, reused, everywhere, disabled, enabled, restored] = sessions;
    store.end(&this.subject, Ending::This(this.id), LOGOUT, MEMORY, NOW).await.unwrap();
    let stays = SessionId::random(here(store));
    store.end(&others.subject, Ending::Others(stays), LOGOUT, MEMORY, NOW).await.unwrap();
    let one = Some(Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest });
    opening(&**store, session(&**store, &evicted.subject, NOW), one).await;
    let forged = Presented { hash: TokenHash([9; 32]), ..token(reused.id, reused.generation) };
    let reuse = store.rotate(&forged, None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(reuse, Rotation::Reused(_)), "{reuse:?}");
    store.end(&everywhere.subject, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    for one in [disabled, enabled] {
        store.set_disabled(&one.subject, true, MEMORY, NOW).await.unwrap();
    }
    store.set_disabled(&enabled.subject, false, MEMORY, NOW).await.unwrap();
    let told = Revocation::Session { sid: restored.id, until: NOW.after(MEMORY.access_life) };
    store.restore(here(store), &[told], MEMORY, NOW).await.unwrap();

    let last = (STEP + MEMORY.access_life).checked_sub(secs(1)).unwrap();
    let how = ["this", "others", "evicted", "reused", "everywhere", "disabled", "enabled again", "restored"];
    for (session, how) in sessions.iter().zip(how) {
        let check = check_of(session);
        assert!(!stands(store, &check, last).await, "{how}");
        for follower in &followers {
            assert!(agree(store, follower, &check, last).await, "{how}: who follows knows it");
            follower.view().sweep(MEMORY.access_life, NOW.after(last));
            assert!(agree(store, follower, &check, last).await, "{how}: and does not forget it");
        }
    }
}

const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

pub(crate) async fn what_a_clock_that_is_behind_ends_is_remembered_for_the_tokens_from_ahead(store: Shared) {
    let opened = USERS.map(async |user| opened(&*store, &subject(user), NOW.after(STEP)).await);
    end_each(&store, &join_all(opened).await.try_into().unwrap()).await;
}

pub(crate) async fn a_token_from_before_the_clock_stepped_back_does_not_outlive_its_session(store: Shared) {
    let renewed = USERS.map(async |user| {
        let session = opened(&*store, &subject(user), NOW).await;
        let mut renewed = session.clone();
        for (generation, now) in [(0, NOW.after(STEP)), (1, NOW), (2, NOW)] {
            let rotation = store.rotate(&token(session.id, generation), None, &LIFETIMES, MEMORY, now).await.unwrap();
            let Rotation::Rotated(next) = rotation else { panic!("{rotation:?}") };
            renewed = next;
        }
        renewed
    });
    end_each(&store, &join_all(renewed).await.try_into().unwrap()).await;
}
