//! What every store promises of sessions that are ended: it says why, and for how long.

use super::*;

/// What becomes of the token of `session` after `later`.
async fn told(store: &Shared, session: &Session, later: Duration) -> Rotation {
    store.rotate(&token(session.id, session.generation), None, &LIFETIMES, MEMORY, NOW.after(later)).await.unwrap()
}

pub(crate) async fn a_session_that_was_ended_says_why_until_it_had_ended_by_itself(store: Shared) {
    let alice = subject("alice");
    let last = LIFETIMES.idle.checked_sub(Duration::from_micros(1)).unwrap();
    for cause in Cause::ALL {
        let sessions = [opened(&*store, &alice, NOW).await, opened(&*store, &alice, NOW).await];
        store.end(&alice, Ending::Others(sessions[1].id), cause, MEMORY, NOW).await.unwrap();
        store.end(&alice, Ending::This(sessions[1].id), cause, MEMORY, NOW).await.unwrap();
        let everywhere = opened(&*store, &alice, NOW).await;
        store.end(&alice, Ending::All, cause, MEMORY, NOW).await.unwrap();
        assert_eq!(store.user(&alice).await.unwrap().cause, Some(cause));
        for session in [&sessions[0], &sessions[1], &everywhere] {
            for later in [secs(0), MEMORY.access_life, last] {
                assert_eq!(told(&store, session, later).await, Rotation::Ended(cause), "{later:?}");
            }
            assert_eq!(told(&store, session, LIFETIMES.idle).await, EXPIRED, "a token too old anyway");
        }
    }
    let never = session(&*store, &alice, NOW);
    assert_eq!(told(&store, &never, secs(0)).await, EXPIRED);
}

pub(crate) async fn a_reused_token_is_told_apart_from_its_echoes(store: Shared) {
    let session = at_generation_five(&store, &LIFETIMES).await;
    let thief = store.rotate(&token(session.id, 2), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(thief, Rotation::Reused(session.clone()), "once, so that it is reported once");
    for generation in [5, 4, 2] {
        let echo = store.rotate(&token(session.id, generation), None, &LIFETIMES, MEMORY, NOW.after(secs(1800))).await;
        assert_eq!(echo.unwrap(), Rotation::Ended(Cause::Reused));
    }
}
