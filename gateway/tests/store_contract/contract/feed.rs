//! What every feed of revocations promises: who follows it knows what the store knows, and a store that lost some is
//! told again.

use portcullis::ids::Partition;
use portcullis::metrics::Metrics;
use portcullis::revocation::follower::Follower;
use portcullis::revocation::view::{Verdict, View};
use portcullis::session::{Cap, WhenFull};
use portcullis::store::Standing;
use portcullis::store::feed::{Changes, Cursor, Gap, MOST_IN_A_PAGE, Next, Revocation};
use portcullis::store::measured::{Measured, Witness as _};

use super::*;
use crate::fixture::follower;

/// Whether a view that `follower` has just brought up to date says of `check` what the store says.
pub(super) async fn agree(store: &Shared, follower: &Follower, check: &Check<'_>, later: Duration) -> bool {
    let now = NOW.after(later);
    follower.follow(MEMORY, now).await.unwrap();
    let Check { subject, sid, jti, epoch, takes: _ } = *check;
    let known = follower.view().verdict(&Stand { subject, sid, jti, epoch }, now);
    let stored = store.check(check, now).await.unwrap();
    known == if stored == Standing::Revoked { Verdict::Revoked } else { Verdict::Stands }
}

pub(super) fn here(store: &Shared) -> Partition {
    store.partition(&subject("alice"))
}

/// All that changed since `cursor`, which is moved on.
async fn changes(store: &Shared, cursor: &mut Cursor) -> Vec<Revocation> {
    let mut all = Vec::new();
    loop {
        match store.changes(here(store), cursor).await.unwrap() {
            Changes::Next { revocations, cursor: next, more } => {
                all.extend(revocations);
                *cursor = next;
                if !more {
                    return all;
                }
            }
            gap @ Changes::Gap(_) => panic!("{gap:?}"),
        }
    }
}

/// All there is, and from where changes are to be read on.
async fn snapshot(store: &Shared) -> (Vec<Revocation>, Cursor) {
    let (mut all, mut place) = (Vec::new(), None);
    loop {
        let page = store.snapshot(here(store), place.as_ref()).await.unwrap();
        all.extend(page.revocations);
        match page.next {
            Next::Page(next) => place = Some(next),
            Next::Changes(cursor) => return (all, cursor),
        }
    }
}

pub(crate) async fn who_follows_knows_what_the_store_knows(store: Shared) {
    let followed = follower(&store);
    let users = ["alice", "bob", "carol", "dave"].map(subject);
    let mut sessions = Vec::new();
    for user in &users {
        for _ in 0..3 {
            sessions.push(opened(&*store, user, NOW).await);
        }
    }
    let mut checks: Vec<_> = sessions.iter().map(check_of).collect();
    // Tokens of no session that is known fall, or stand, with their users alone; the last one is of a later epoch.
    for (user, epoch) in [(&users[2], 0), (&users[3], 0), (&users[3], EPOCH + 9)] {
        checks.push(Check { subject: user, sid: SessionId::random(here(&store)), epoch, ..check_of(&sessions[0]) });
    }
    let all_agree = async |follower: &Follower| {
        for check in &checks {
            assert!(agree(&store, follower, check, secs(1)).await, "{check:?}");
        }
    };
    all_agree(&followed).await;
    store.revoke(&users[0], checks[0].jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    store.end(&users[0], Ending::This(sessions[1].id), LOGOUT, MEMORY, NOW).await.unwrap();
    all_agree(&followed).await;
    for generation in [0, 1, 2, 0] {
        store.rotate(&token(sessions[3].id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    }
    store.end(&users[1], Ending::Others(sessions[4].id), LOGOUT, MEMORY, NOW).await.unwrap();
    all_agree(&followed).await;
    store.end(&users[2], Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    store.set_disabled(&users[3], true, MEMORY, NOW).await.unwrap();
    all_agree(&followed).await;
    all_agree(&follower(&store)).await; // one that begins with a snapshot
    store.set_disabled(&users[3], false, MEMORY, NOW).await.unwrap();
    let newer = opened(&*store, &users[3], NOW).await;
    assert!(agree(&store, &followed, &check_of(&newer), secs(1)).await, "a user who is enabled again passes again");
    assert!(agree(&store, &follower(&store), &check_of(&newer), secs(1)).await);
    all_agree(&followed).await;
    all_agree(&follower(&store)).await;
    let cap = Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest };
    opening(&*store, session(&*store, &users[0], NOW), Some(cap)).await;
    all_agree(&followed).await;
    all_agree(&follower(&store)).await;
}

pub(crate) async fn more_than_a_page_of_revocations_is_told_whole(store: Shared) {
    let alice = subject("alice");
    let (nothing, mut cursor) = snapshot(&store).await;
    assert_eq!(nothing, []);
    assert_eq!(changes(&store, &mut cursor).await, []);
    let mut jtis = Vec::new();
    for _ in 0..2 * MOST_IN_A_PAGE + 7 {
        jtis.push(Jti::random());
        store.revoke(&alice, jtis[jtis.len() - 1], NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    }
    let until = NOW.after(secs(60));
    let expected: Vec<_> = jtis.into_iter().map(|jti| Revocation::Token { jti, until }).collect();
    assert_eq!(changes(&store, &mut cursor).await, expected, "in order, each once");
    assert_eq!(changes(&store, &mut cursor).await, []);
    let (all, begun) = snapshot(&store).await;
    assert!(expected.iter().all(|one| all.contains(one)) && all.len() >= expected.len());
    assert_eq!(begun, cursor, "what a snapshot tells need not be told again");
}

pub(crate) async fn what_is_revoked_while_a_snapshot_is_taken_is_known(store: Shared) {
    let (alice, until) = (subject("alice"), NOW.after(secs(60)));
    for _ in 0..MOST_IN_A_PAGE + 100 {
        store.revoke(&alice, Jti::random(), until, MEMORY, NOW).await.unwrap();
    }
    let mut page = store.snapshot(here(&store), None).await.unwrap();
    // So many that some are of a part that was read already.
    let meanwhile: Vec<_> = (0..40).map(|_| Jti::random()).collect();
    for jti in &meanwhile {
        store.revoke(&alice, *jti, until, MEMORY, NOW).await.unwrap();
    }
    let (mut all, mut pages) = (Vec::new(), 1);
    let mut cursor = loop {
        all.append(&mut page.revocations);
        match page.next {
            Next::Page(place) => page = store.snapshot(here(&store), Some(&place)).await.unwrap(),
            Next::Changes(cursor) => break cursor,
        }
        pages += 1;
    };
    assert!(pages > 1);
    all.extend(changes(&store, &mut cursor).await);
    assert!(meanwhile.iter().all(|jti| all.contains(&Revocation::Token { jti: *jti, until })));
}

pub(crate) async fn a_store_that_is_behind_its_reader_says_so(store: Shared) {
    store.revoke(&subject("alice"), Jti::random(), NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    let (_, cursor) = snapshot(&store).await;
    let ahead = Cursor { last: (cursor.last.0 + 1, 0), ..cursor };
    assert_eq!(store.changes(here(&store), &ahead).await.unwrap(), Changes::Gap(Gap::Lost));
}

pub(crate) async fn a_store_is_told_what_it_lost_and_tells_everybody(store: Shared) {
    let (alice, bob, carol) = (subject("alice"), subject("bob"), subject("carol"));
    let came_back = opened(&*store, &alice, NOW).await;
    let untouched = opened(&*store, &alice, NOW).await;
    let (of_bob, of_carol) = (opened(&*store, &bob, NOW).await, opened(&*store, &carol, NOW).await);
    let (jti, until) = (Jti::random(), NOW.after(MEMORY.access_life));
    let epoch = u64::try_from(NOW.as_micros()).unwrap();
    let told = [
        Revocation::Token { jti, until },
        Revocation::Session { sid: came_back.id, until },
        Revocation::Session { sid: SessionId::random(here(&store)), until },
        Revocation::User { subject: bob.clone(), epoch, disabled: false },
        Revocation::User { subject: carol.clone(), epoch, disabled: true },
    ];
    let (_, mut cursor) = snapshot(&store).await;
    let known = store.restore(here(&store), &told, MEMORY, NOW).await.unwrap();
    assert_eq!(known, told[3..], "what is known of users then");
    assert_eq!(changes(&store, &mut cursor).await, told, "everybody is told");

    assert!(stands(&store, &check_of(&untouched), secs(1)).await);
    for lost in [&came_back, &of_bob, &of_carol] {
        assert!(!stands(&store, &check_of(lost), secs(1)).await, "{lost:?}");
    }
    assert!(!stands(&store, &Check { jti, ..check_of(&untouched) }, secs(1)).await);
    assert_eq!(store.session(came_back.id, NOW).await.unwrap(), None, "it can't be renewed either");
    assert_eq!(store.sessions(&alice, NOW).await.unwrap(), [untouched]);
    assert!(store.user(&carol).await.unwrap().disabled);
    assert_eq!(store.sessions(&bob, NOW).await.unwrap(), [], "what is void is not listed");
    let rotation = store.rotate(&token(of_bob.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(rotation, Rotation::Ended(Cause::Revoked));

    let again = store.restore(here(&store), &told, MEMORY, NOW).await.unwrap();
    assert_eq!(again, told[3..]);
    assert_eq!(changes(&store, &mut cursor).await, [], "what it knows is no news");
}

pub(crate) async fn what_the_store_knows_better_is_not_undone(store: Shared) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    store.set_disabled(&bob, true, MEMORY, NOW).await.unwrap();
    store.set_disabled(&bob, false, MEMORY, NOW).await.unwrap();
    let session = opened(&*store, &alice, NOW).await;
    let jti = Jti::random();
    store.revoke(&alice, jti, NOW.after(secs(600)), MEMORY, NOW).await.unwrap();
    let epoch = store.user(&alice).await.unwrap().epoch;
    let (_, mut cursor) = snapshot(&store).await;
    let told = [
        Revocation::Token { jti, until: NOW.after(secs(60)) },
        Revocation::User { subject: alice.clone(), epoch: epoch - 1, disabled: true },
        Revocation::User { subject: bob.clone(), epoch: store.user(&bob).await.unwrap().epoch, disabled: true },
    ];
    let known = store.restore(here(&store), &told, MEMORY, NOW).await.unwrap();
    let disabled: Vec<_> = known.iter().map(|one| matches!(one, Revocation::User { disabled: true, .. })).collect();
    assert_eq!(disabled, [false, false]);
    assert_eq!(changes(&store, &mut cursor).await, []);
    assert!(stands(&store, &check_of(&session), secs(1)).await);
    assert!(!stands(&store, &Check { jti, ..check_of(&session) }, secs(599)).await, "the later end stands");
}

pub(crate) async fn restoring_enables_nobody(store: Shared) {
    let bob = subject("bob");
    store.set_disabled(&bob, true, MEMORY, NOW).await.unwrap();
    let epoch = store.user(&bob).await.unwrap().epoch + 1;
    let told = [Revocation::User { subject: bob.clone(), epoch, disabled: false }];
    let known = store.restore(here(&store), &told, MEMORY, NOW).await.unwrap();
    assert_eq!(known, [Revocation::User { subject: bob.clone(), epoch, disabled: true }]);
    assert!(store.user(&bob).await.unwrap().disabled);
}

pub(crate) async fn a_view_merges_and_restores_what_only_it_knows(store: Shared) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let (of_alice, of_bob) = (opened(&*store, &alice, NOW).await, opened(&*store, &bob, NOW).await);
    // What a gateway was told before the store lost it.
    let first = follower(&store);
    let view: &View = first.view();
    view.apply(here(&store), &Revocation::Session { sid: of_alice.id, until: NOW.after(secs(600)) });
    let epoch = u64::try_from(NOW.as_micros()).unwrap();
    view.apply(here(&store), &Revocation::User { subject: bob, epoch, disabled: false });
    first.follow(MEMORY, NOW).await.unwrap();
    for session in [&of_alice, &of_bob] {
        assert!(!stands(&store, &check_of(session), secs(1)).await, "the store knows it again");
        assert!(agree(&store, &follower(&store), &check_of(session), secs(1)).await, "and whoever begins to follow");
    }
}

pub(crate) async fn a_store_that_is_reminded_of_a_user_lets_them_in_as_the_view_would(store: Shared) {
    let (alice, bob, carol) = (subject("alice"), subject("bob"), subject("carol"));
    // What a gateway was told before the store lost it.
    let remembering = follower(&store);
    let epoch = u64::try_from(NOW.as_micros()).unwrap();
    remembering.view().apply(here(&store), &Revocation::User { subject: alice.clone(), epoch, disabled: false });
    remembering.view().apply(here(&store), &Revocation::User { subject: bob.clone(), epoch, disabled: true });
    for user in [&alice, &bob, &carol] {
        remembering.remind(user, here(&store), MEMORY, NOW).await.unwrap();
    }
    let of_alice = opened(&*store, &alice, NOW).await;
    assert_eq!(of_alice.epoch, epoch);
    assert_eq!(remembering.view().verdict(&stand_of(&check_of(&of_alice)), NOW), Verdict::Unknown);
    assert!(!stands(&store, &Check { epoch: epoch - 1, ..check_of(&of_alice) }, secs(1)).await, "nothing of before");
    assert_eq!(store.open(session(&*store, &bob, NOW), None, MEMORY).await.unwrap(), Opening::Disabled);
    assert_eq!(opened(&*store, &carol, NOW).await.epoch, 0, "of whom nothing is known");

    let knowing = follower(&store);
    knowing.follow(MEMORY, NOW).await.unwrap();
    assert_eq!(knowing.view().verdict(&stand_of(&check_of(&of_alice)), NOW), Verdict::Stands, "everybody hears of it");
}

pub(crate) async fn a_user_who_was_enabled_meanwhile_is_not_kept_out(store: Shared) {
    let alice = subject("alice");
    store.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
    let epoch = store.user(&alice).await.unwrap().epoch;
    store.set_disabled(&alice, false, MEMORY, NOW).await.unwrap();
    let session = opened(&*store, &alice, NOW).await;
    let behind = follower(&store);
    behind.view().apply(here(&store), &Revocation::User { subject: alice, epoch, disabled: true });
    assert!(agree(&store, &behind, &check_of(&session), secs(1)).await);
    assert!(stands(&store, &check_of(&session), secs(1)).await);
}

pub(crate) async fn whatever_is_revoked_through_a_view_it_knows_before_the_answer(store: Shared) {
    let follower = Arc::new(follower(&store));
    let view = Arc::clone(follower.view());
    let gateway = Measured::new(Arc::clone(&store), Arc::new(Metrics::new()), Arc::<View>::clone(&view));
    let (running, users) = (Arc::clone(&follower), ["alice", "bob", "carol", "dave", "erin"].map(subject));
    let running = tokio::spawn(async move { running.run(|| (MEMORY, NOW)).await });
    let mut checks = Vec::new();
    for user in &users {
        checks.push(opened(&gateway, user, NOW).await);
    }
    for generation in [0, 1] {
        gateway.rotate(&token(checks[3].id, generation), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    }
    let checks: Vec<_> = checks.iter().map(check_of).collect();
    let cap = Cap { most: 1.try_into().unwrap(), when_full: WhenFull::EvictOldest };
    for (user, check) in users.iter().zip(&checks) {
        while !view.is_fresh() {
            view.catch_up().await;
        }
        assert_eq!(view.verdict(&stand_of(check), NOW), Verdict::Stands);
        match user.as_str() {
            "alice" => gateway.revoke(user, check.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap(),
            "bob" => drop(gateway.end(user, Ending::This(check.sid), LOGOUT, MEMORY, NOW).await.unwrap()),
            "carol" => gateway.set_disabled(user, true, MEMORY, NOW).await.unwrap(),
            "dave" => {
                drop(
                    gateway.rotate(&token(check.sid, 0), None, &LIFETIMES, MEMORY, NOW.after(secs(60))).await.unwrap(),
                );
            }
            _ => drop(gateway.open(session(&gateway, user, NOW), Some(cap), MEMORY).await.unwrap()),
        }
        // On a busy machine it may know that it does not know.
        assert_ne!(view.verdict(&stand_of(check), NOW), Verdict::Stands, "{user}");
    }
    running.abort();
}
