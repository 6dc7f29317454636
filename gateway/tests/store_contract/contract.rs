//! What every store promises: each function is one claim.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis::ids::{Jti, SessionId};
use portcullis::limit::Backoff;
use portcullis::policy::Grants;
use portcullis::secret::Secret;
use portcullis::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, TokenHash, UserState, WhenFull};
use portcullis::store::{Check, Ending, KeyPurpose, MOST_AT_ONCE, Opening, Stand, Standing, Store, StoredKey};

use crate::fixture::{
    EXPIRED, LIFETIMES, LOGOUT, MEMORY, NOW, check_of, opened, opening, secs, session, subject, take, token,
};

mod caps;
mod endings;
mod feed;
mod leases;
mod lives;

pub(crate) use caps::*;
pub(crate) use endings::*;
pub(crate) use feed::*;
pub(crate) use leases::*;
pub(crate) use lives::*;

type Shared = Arc<dyn Store>;

fn name(rotation: &Rotation) -> &'static str {
    match rotation {
        Rotation::Rotated(_) => "rotated",
        Rotation::Replayed(_) => "replayed",
        Rotation::Reused(_) => "reused",
        Rotation::Ended(cause) => cause.name(),
    }
}

async fn stands(store: &Shared, check: &Check<'_>, later: Duration) -> bool {
    store.check(check, NOW.after(later)).await.unwrap() != Standing::Revoked
}

pub(crate) async fn a_session_is_kept_as_it_was_opened(store: Shared) {
    let asked = session(&*store, &subject("alice"), NOW);
    let kept = asked.clone();
    assert_eq!(opening(&*store, asked, None).await, Opening::Opened { session: kept.clone(), evicted: 0 });
    assert_eq!(store.session(kept.id, NOW).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.sessions(&kept.subject, NOW).await.unwrap(), [kept]);
}

pub(crate) async fn a_session_ends_by_itself(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let (last, end) = (session.expires_at.before(Duration::from_micros(1)), session.expires_at);
    assert!(store.session(session.id, last).await.unwrap().is_some());
    assert!(store.session(session.id, end).await.unwrap().is_none());
    assert!(store.sessions(&session.subject, end).await.unwrap().is_empty());
    assert_eq!(store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, end).await.unwrap(), EXPIRED);
}

pub(crate) async fn sessions_are_listed_oldest_first_and_only_while_they_live(store: Shared) {
    let alice = subject("alice");
    let mut expected = Vec::new();
    for minutes in [0, 20, 40] {
        expected.push(opened(&*store, &alice, NOW.after(secs(60 * minutes))).await);
    }
    opened(&*store, &subject("bob"), NOW).await;
    assert_eq!(store.sessions(&alice, NOW.after(secs(3000))).await.unwrap(), expected);
    assert_eq!(store.sessions(&alice, NOW.after(secs(3600))).await.unwrap(), expected[1..], "the first has ended");
    assert_eq!(store.sessions(&subject("carol"), NOW).await.unwrap(), []);
}

/// Brings a fresh session to generation 5, at `NOW`.
async fn at_generation_five(store: &Shared, retry: &Lifetimes) -> Session {
    let mut session = opened(&**store, &subject("alice"), NOW).await;
    for generation in 0..5 {
        match store.rotate(&token(session.id, generation), None, retry, MEMORY, NOW).await.unwrap() {
            Rotation::Rotated(next) => session = next,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(session.generation, 5);
    session
}

pub(crate) async fn the_rotation_table_holds(store: Shared) {
    let strict = Lifetimes { retry_window: Duration::ZERO, ..LIFETIMES };
    let cases = [
        ("the current token is spent", 5, LIFETIMES, secs(1), "rotated"),
        ("its predecessor gets the same answer again", 4, LIFETIMES, secs(29), "replayed"),
        ("but not after the retry window", 4, LIFETIMES, secs(30), "reused"),
        ("and never if the window is zero", 4, strict, secs(0), "reused"),
        ("one older than the predecessor is reuse at once", 3, LIFETIMES, secs(0), "reused"),
        ("one ahead of a store that lost writes goes on", 7, LIFETIMES, secs(0), "rotated"),
        ("an idle session has ended", 5, LIFETIMES, secs(3600), "expired"),
    ];
    for (case, generation, lifetimes, later, expected) in cases {
        let session = at_generation_five(&store, &LIFETIMES).await;
        let rotation = store.rotate(&token(session.id, generation), None, &lifetimes, MEMORY, NOW.after(later)).await;
        assert_eq!(name(&rotation.unwrap()), expected, "{case}");
    }
    let session = at_generation_five(&store, &LIFETIMES).await;
    let forged = Presented { hash: TokenHash([9; 32]), ..token(session.id, 5) };
    assert_eq!(name(&store.rotate(&forged, None, &LIFETIMES, MEMORY, NOW).await.unwrap()), "reused", "another hash");
    let shorter = Lifetimes { absolute: secs(60), ..LIFETIMES };
    let session = at_generation_five(&store, &LIFETIMES).await;
    let late = store.rotate(&token(session.id, 5), None, &shorter, MEMORY, NOW.after(secs(60))).await.unwrap();
    assert_eq!(name(&late), "expired", "past the absolute end");
    assert_eq!(store.session(session.id, NOW).await.unwrap(), None, "what has ended is deleted");
}

pub(crate) async fn a_rotation_moves_the_session_on(store: Shared) {
    let before = opened(&*store, &subject("alice"), NOW).await;
    let later = NOW.after(secs(600));
    let expected = Session {
        generation: 1,
        token_hash: token(before.id, 1).hash,
        rotated_at: later,
        expires_at: later.after(LIFETIMES.idle),
        ..before.clone()
    };
    let rotation = store.rotate(&token(before.id, 0), None, &LIFETIMES, MEMORY, later).await.unwrap();
    assert_eq!(rotation, Rotation::Rotated(expected.clone()));
    assert_eq!(store.session(before.id, later).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.sessions(&before.subject, later).await.unwrap(), std::slice::from_ref(&expected));
    let again = store.rotate(&token(before.id, 0), None, &LIFETIMES, MEMORY, later.after(secs(1))).await.unwrap();
    assert_eq!(again, Rotation::Replayed(expected), "nothing changes");
}

pub(crate) async fn a_rotation_takes_over_new_grants_and_a_replay_does_not(store: Shared) {
    let before = opened(&*store, &subject("alice"), NOW).await;
    let (fewer, more) = (Grants::default(), before.grants.clone());
    let rotated = store.rotate(&token(before.id, 0), Some(&fewer), &LIFETIMES, MEMORY, NOW).await.unwrap();
    let Rotation::Rotated(session) = rotated else { panic!("{rotated:?}") };
    assert_eq!(session.grants, fewer);
    let replayed = store.rotate(&token(before.id, 0), Some(&more), &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(replayed, Rotation::Replayed(session.clone()), "nothing changes");
    assert_eq!(store.session(before.id, NOW).await.unwrap(), Some(session));
    let kept = store.rotate(&token(before.id, 1), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(&kept, Rotation::Rotated(session) if session.grants == fewer), "{kept:?}");
    let given_back = store.rotate(&token(before.id, 2), Some(&more), &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(&given_back, Rotation::Rotated(session) if session.grants == more), "{given_back:?}");
}

pub(crate) async fn rotating_for_ever_does_not_outlive_the_absolute_end(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let end = NOW.after(LIFETIMES.absolute);
    let mut last = session.expires_at;
    for half_hours in 1..6 {
        let now = NOW.after(secs(1800) * half_hours);
        match store.rotate(&token(session.id, half_hours - 1), None, &LIFETIMES, MEMORY, now).await.unwrap() {
            Rotation::Rotated(next) => last = next.expires_at,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, end);
    assert_eq!(store.sessions(&session.subject, end).await.unwrap(), []);
    assert_eq!(store.rotate(&token(session.id, 5), None, &LIFETIMES, MEMORY, end).await.unwrap(), EXPIRED);
}

pub(crate) async fn reuse_ends_the_session_and_its_access_tokens(store: Shared) {
    let session = at_generation_five(&store, &LIFETIMES).await;
    let other = opened(&*store, &session.subject, NOW).await;
    let rotation = store.rotate(&token(session.id, 2), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(rotation, Rotation::Reused(session.clone()));
    assert!(!stands(&store, &check_of(&session), secs(0)).await);
    assert!(stands(&store, &check_of(&other), secs(0)).await, "other sessions go on");
    assert_eq!(store.sessions(&session.subject, NOW).await.unwrap(), [other]);
    let owner = store.rotate(&token(session.id, 5), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(owner, Rotation::Ended(Cause::Reused), "nobody keeps it");
}

pub(crate) async fn a_thousand_rotations_of_one_token_have_one_winner(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (store, presented) = (Arc::clone(&store), token(session.id, 0));
            tokio::spawn(async move { store.rotate(&presented, None, &LIFETIMES, MEMORY, NOW).await.unwrap() })
        })
        .collect();
    let (mut rotated, mut replayed, mut hashes) = (0, 0, BTreeSet::new());
    for task in tasks {
        match task.await.unwrap() {
            Rotation::Rotated(session) => {
                rotated += 1;
                hashes.insert(session.token_hash.0);
            }
            Rotation::Replayed(session) => {
                replayed += 1;
                hashes.insert(session.token_hash.0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((rotated, replayed), (1, 999));
    assert_eq!(hashes, BTreeSet::from([token(session.id, 1).hash.0]), "all have the same successor");
}

pub(crate) async fn ending_one_session_leaves_the_others(store: Shared) {
    let alice = subject("alice");
    let (one, other) = (opened(&*store, &alice, NOW).await, opened(&*store, &alice, NOW).await);
    assert_eq!(store.end(&alice, Ending::This(one.id), LOGOUT, MEMORY, NOW).await.unwrap(), 1);
    assert_eq!(store.session(one.id, NOW).await.unwrap(), None);
    assert!(!stands(&store, &check_of(&one), secs(0)).await);
    assert!(stands(&store, &check_of(&other), secs(0)).await);
    assert_eq!(store.sessions(&alice, NOW).await.unwrap(), [other]);
    assert_eq!(store.end(&alice, Ending::This(one.id), LOGOUT, MEMORY, NOW).await.unwrap(), 0, "it has ended already");
}

pub(crate) async fn ending_the_others_leaves_this_one(store: Shared) {
    let alice = subject("alice");
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(opened(&*store, &alice, NOW).await);
    }
    assert_eq!(store.end(&alice, Ending::Others(sessions[2].id), LOGOUT, MEMORY, NOW).await.unwrap(), 3);
    for (index, session) in sessions.iter().enumerate() {
        assert_eq!(stands(&store, &check_of(session), secs(0)).await, index == 2, "session {index}");
    }
    assert_eq!(store.sessions(&alice, NOW).await.unwrap(), [sessions[2].clone()]);
    assert_eq!(store.user(&alice).await.unwrap().epoch, 0);
}

/// What [`NOW`] makes the epoch of a user whose sessions were all ended then.
pub(crate) const EPOCH: u64 = 1_800_000_000_000_000;

pub(crate) async fn ending_all_raises_the_epoch(store: Shared) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let (one, theirs) = (opened(&*store, &alice, NOW).await, opened(&*store, &bob, NOW).await);
    assert_eq!(store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(), 1);
    assert_eq!(store.user(&alice).await.unwrap(), UserState { epoch: EPOCH, disabled: false, cause: Some(LOGOUT) });
    assert_eq!(store.rotate(&token(one.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap(), Rotation::Ended(LOGOUT));
    let of_no_session_we_know = Check { sid: theirs.id, ..check_of(&one) };
    assert!(!stands(&store, &of_no_session_we_know, secs(0)).await, "a token of an older epoch falls by that alone");
    assert!(stands(&store, &check_of(&theirs), secs(0)).await);

    let next = opened(&*store, &alice, NOW).await;
    assert_eq!(next.epoch, EPOCH, "a login after it is of the new epoch");
    assert!(stands(&store, &check_of(&next), secs(0)).await);
    assert_eq!(store.end(&bob, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(), 1);
    assert_eq!(store.end(&bob, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(), 0);
    assert_eq!(store.user(&bob).await.unwrap().epoch, EPOCH + 1, "raised even if there was no session");
}

pub(crate) async fn a_session_of_somebody_else_is_never_touched(store: Shared) {
    let (alice, bob) = (subject("alice"), subject("bob"));
    let (hers, his) = (opened(&*store, &alice, NOW).await, opened(&*store, &bob, NOW).await);
    assert_eq!(store.end(&alice, Ending::This(his.id), LOGOUT, MEMORY, NOW).await.unwrap(), 0);
    assert_eq!(store.end(&alice, Ending::Others(his.id), LOGOUT, MEMORY, NOW).await.unwrap(), 1, "hers");
    assert_eq!(store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap(), 0);
    assert!(stands(&store, &check_of(&his), secs(0)).await);
    assert_eq!(store.session(his.id, NOW).await.unwrap(), Some(his));
    assert_eq!(store.session(hers.id, NOW).await.unwrap(), None);
}

pub(crate) async fn a_revoked_token_falls_alone(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let (one, other) = (check_of(&session), check_of(&session));
    store.revoke(&session.subject, one.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    assert!(!stands(&store, &one, secs(0)).await);
    assert!(stands(&store, &other, secs(0)).await);
    assert!(store.session(session.id, NOW).await.unwrap().is_some());
}

pub(crate) async fn a_revocation_is_over_when_it_says(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let check = check_of(&session);
    store.revoke(&session.subject, check.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    store.revoke(&session.subject, check.jti, NOW.after(secs(30)), MEMORY, NOW).await.unwrap();
    assert!(!stands(&store, &check, secs(59)).await, "the later end stands");
    assert!(stands(&store, &check, secs(60)).await);
    store.end(&session.subject, Ending::This(session.id), LOGOUT, MEMORY, NOW).await.unwrap();
    let (last, over) = (MEMORY.access_life.checked_sub(Duration::from_micros(1)).unwrap(), MEMORY.access_life);
    assert!(!stands(&store, &check, last).await);
    assert!(stands(&store, &check, over).await);
}

pub(crate) async fn a_disabled_user_neither_logs_in_nor_renews_nor_passes(store: Shared) {
    let alice = subject("alice");
    let before = opened(&*store, &alice, NOW).await;
    store.set_disabled(&alice, true, MEMORY, NOW).await.unwrap();
    let disabled = UserState { epoch: EPOCH, disabled: true, cause: Some(Cause::Disabled) };
    assert_eq!(store.user(&alice).await.unwrap(), disabled);
    assert_eq!(opening(&*store, session(&*store, &alice, NOW), None).await, Opening::Disabled);
    let refused = store.rotate(&token(before.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(refused, Rotation::Ended(Cause::Disabled));
    let future = Check { epoch: EPOCH + 9, jti: Jti::random(), ..check_of(&before) };
    assert!(!stands(&store, &future, secs(3600)).await, "whatever the token says");

    store.set_disabled(&alice, false, MEMORY, NOW).await.unwrap();
    assert_eq!(store.user(&alice).await.unwrap(), UserState { disabled: false, ..disabled });
    let after = opened(&*store, &alice, NOW).await;
    assert!(stands(&store, &check_of(&after), secs(0)).await);
    assert!(!stands(&store, &check_of(&before), secs(0)).await, "what was ended stays ended");
}

pub(crate) async fn a_user_never_seen_is_in_the_default_state(store: Shared) {
    let carol = subject("carol");
    store.set_disabled(&carol, false, MEMORY, NOW).await.unwrap();
    assert_eq!(store.user(&carol).await.unwrap(), UserState::default());
    let others = Ending::Others(session(&*store, &carol, NOW).id);
    assert_eq!(store.end(&carol, others, LOGOUT, MEMORY, NOW).await.unwrap(), 0);
}

fn stand_of<'a>(check: &Check<'a>) -> Stand<'a> {
    let Check { subject, sid, jti, epoch, takes: _ } = *check;
    Stand { subject, sid, jti, epoch }
}

pub(crate) async fn many_tokens_are_asked_of_at_once(store: Shared) {
    assert_eq!(store.standing(&[], NOW).await.unwrap(), Vec::<bool>::new());
    let subjects: Vec<_> = (0..MOST_AT_ONCE).map(|number| subject(&format!("user-{number}"))).collect();
    let fresh = |subject| Session { subject, ..session(&*store, &subjects[0], NOW) };
    let sessions: Vec<_> = subjects
        .iter()
        .cloned()
        .map(|subject| Session { id: SessionId::random(store.partition(&subject)), ..fresh(subject) })
        .collect();
    let ended = [0, 250, MOST_AT_ONCE - 1];
    for at in ended {
        store.open(sessions[at].clone(), None, MEMORY).await.unwrap();
        store.end(&subjects[at], Ending::This(sessions[at].id), LOGOUT, MEMORY, NOW).await.unwrap();
    }
    let checks: Vec<_> = sessions.iter().map(check_of).collect();
    let stands: Vec<_> = checks.iter().map(stand_of).collect();
    let standing = store.standing(&stands, NOW).await.unwrap();
    let fallen: Vec<_> = (0..MOST_AT_ONCE).filter(|at| !standing[*at]).collect();
    assert_eq!((standing.len(), fallen), (MOST_AT_ONCE, ended.to_vec()));
}

pub(crate) async fn asking_of_many_says_what_asking_of_each_says(store: Shared) {
    let names = ["alice", "bob", "carol", "dave", "erin"].map(subject);
    let [alice, bob, carol, dave, erin] = &names;
    let mut sessions = Vec::new();
    for name in &names {
        sessions.push(opened(&*store, name, NOW).await);
    }
    let mut checks: Vec<_> = sessions.iter().map(check_of).collect();
    checks.push(check_of(&sessions[2])); // Carol's other token
    store.end(alice, Ending::This(sessions[0].id), LOGOUT, MEMORY, NOW).await.unwrap();
    store.end(bob, Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    store.revoke(carol, checks[2].jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    store.set_disabled(dave, true, MEMORY, NOW).await.unwrap();
    store.end(erin, Ending::Others(sessions[4].id), LOGOUT, MEMORY, NOW).await.unwrap();
    // Of the epoch after the logout, but of a disabled user; and Bob's, though no session of his is blacklisted.
    checks.push(Check { epoch: EPOCH + 9, ..check_of(&sessions[3]) });
    checks.push(Check { sid: sessions[4].id, ..check_of(&sessions[1]) });
    for later in [0, 60, 15 * 60] {
        let stands_of_all: Vec<_> = checks.iter().map(stand_of).collect();
        let together = store.standing(&stands_of_all, NOW.after(secs(later))).await.unwrap();
        let mut alone = Vec::new();
        for check in &checks {
            alone.push(stands(&store, check, secs(later)).await);
        }
        assert_eq!(together, alone, "after {later} s");
        let expected = [later == 900, false, later > 0, false, true, true, false, false];
        assert_eq!(together, expected, "after {later} s");
    }
}

pub(crate) async fn user_limits_are_taken_only_by_tokens_that_stand(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let takes = [take("api", "alice", 2)];
    let good = Check { takes: &takes, ..check_of(&session) };
    let revoked = Check { takes: &takes, ..check_of(&session) };
    store.revoke(&session.subject, revoked.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    for _ in 0..5 {
        assert_eq!(store.check(&revoked, NOW).await.unwrap(), Standing::Revoked);
    }
    let mut allowed = Vec::new();
    for _ in 0..3 {
        let Standing::Good(decisions) = store.check(&good, NOW).await.unwrap() else { panic!("it stands") };
        allowed.push((decisions[0].allowed, decisions[0].remaining, decisions[0].wait));
    }
    assert_eq!(allowed, [(true, 1, secs(0)), (true, 0, secs(0)), (false, 0, secs(1))]);
}

pub(crate) async fn limits_are_taken_in_order_until_one_refuses(store: Shared) {
    let takes = [take("wide", "a", 3), take("narrow", "a", 1), take("last", "a", 3)];
    let first = store.take(&takes, NOW).await.unwrap();
    assert_eq!(first.iter().map(|decision| decision.remaining).collect::<Vec<_>>(), [2, 0, 2]);
    let second = store.take(&takes, NOW).await.unwrap();
    assert_eq!(second.iter().map(|decision| decision.allowed).collect::<Vec<_>>(), [true, false]);
    let last = store.take(&takes[2..], NOW).await.unwrap();
    assert_eq!(last[0].remaining, 1, "what comes after a refusal is not taken");
    let wait = second[1].wait;
    assert!(store.take(&takes[1..2], NOW.after(wait)).await.unwrap()[0].allowed, "who waits as told is served");
    assert!(store.take(&[take("wide", "b", 3)], NOW).await.unwrap()[0].remaining == 2, "each key counts for itself");
    assert_eq!(store.take(&[], NOW).await.unwrap(), []);
}

pub(crate) async fn limits_by_user_count_apart(store: Shared) {
    let session = opened(&*store, &subject("alice"), NOW).await;
    let takes = [take("api", "alice", 1)];
    assert!(store.take(&takes, NOW).await.unwrap()[0].allowed);
    let Standing::Good(decisions) = store.check(&Check { takes: &takes, ..check_of(&session) }, NOW).await.unwrap()
    else {
        panic!("it stands")
    };
    assert!(decisions[0].allowed);
}

pub(crate) async fn failed_logins_wait_longer_and_are_forgotten(store: Shared) {
    let backoff = Backoff { free: 2, first: secs(1), longest: secs(5), forget: secs(60) };
    assert_eq!(store.login_delay("alice", NOW).await.unwrap(), secs(0));
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(store.login_failed("alice", &backoff, NOW).await.unwrap().as_secs());
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 5]);
    assert_eq!(store.login_delay("alice", NOW.after(secs(2))).await.unwrap(), secs(3));
    assert_eq!(store.login_delay("alice", NOW.after(secs(5))).await.unwrap(), secs(0));
    assert_eq!(store.login_delay("bob", NOW).await.unwrap(), secs(0));
    let almost = NOW.after(secs(59));
    assert_eq!(store.login_failed("alice", &backoff, almost).await.unwrap(), secs(5), "not forgotten yet");
    let forgotten = almost.after(secs(60));
    assert_eq!(store.login_failed("alice", &backoff, forgotten).await.unwrap(), secs(0));

    for _ in 0..3 {
        store.login_failed("bob", &backoff, NOW).await.unwrap();
    }
    store.login_succeeded("bob").await.unwrap();
    assert_eq!(store.login_delay("bob", NOW).await.unwrap(), secs(0));
    assert_eq!(store.login_failed("bob", &backoff, NOW).await.unwrap(), secs(0), "the first failure again");
    store.login_succeeded("nobody").await.unwrap();
}

pub(crate) async fn a_clock_that_steps_back_locks_nobody_out(store: Shared) {
    let backoff = Backoff { free: 0, first: secs(5), longest: secs(5), forget: secs(60) };
    let ahead = NOW.after(secs(86_400));
    store.login_failed("alice", &backoff, ahead).await.unwrap();
    assert_eq!(store.login_delay("alice", NOW).await.unwrap(), secs(5));
    let takes = [take("api", "alice", 1)];
    store.take(&takes, ahead).await.unwrap();
    let refused = store.take(&takes, NOW).await.unwrap()[0];
    assert_eq!(refused.wait, secs(1));
    assert!(store.take(&takes, NOW.after(secs(1))).await.unwrap()[0].allowed);
}

fn key(purpose: KeyPurpose, name: &str, secs: i64) -> StoredKey {
    StoredKey {
        purpose,
        name: name.to_owned(),
        algorithm: "ES256".to_owned(),
        material: Secret::new([0, 255, 10, 13, 32].repeat(9)),
        created_at: portcullis::clock::Timestamp::from_secs(secs),
    }
}

pub(crate) async fn keys_are_listed_newest_first_and_never_replaced(store: Shared) {
    let (old, new) = (key(KeyPurpose::Signing, "old", 1), key(KeyPurpose::Signing, "new", 2));
    let refresh = key(KeyPurpose::Refresh, "old", 3);
    for one in [&old, &new, &refresh] {
        store.add_key(one).await.unwrap();
    }
    store.add_key(&key(KeyPurpose::Signing, "old", 9)).await.unwrap();
    assert_eq!(store.keys(KeyPurpose::Signing).await.unwrap(), [new.clone(), old.clone()]);
    assert_eq!(store.keys(KeyPurpose::Refresh).await.unwrap(), [refresh]);
    let found = store.found_keys(&key(KeyPurpose::Signing, "another", 9)).await.unwrap();
    assert_eq!(found, [new, old], "there was one already");
}

pub(crate) async fn twenty_gateways_that_start_at_once_agree_on_one_key(store: Shared) {
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let store = Arc::clone(&store);
            let mine = key(KeyPurpose::Signing, &format!("key-{index}"), index);
            tokio::spawn(async move { store.found_keys(&mine).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert_eq!(answers[0].len(), 1);
    assert!(answers.iter().all(|keys| *keys == answers[0]));
    assert_eq!(store.keys(KeyPurpose::Signing).await.unwrap(), answers[0]);
}

pub(crate) async fn a_ping_is_answered(store: Shared) {
    assert!(store.ping().await.unwrap() < secs(5));
}
