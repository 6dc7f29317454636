//! What the embedded store promises beyond the contract: it survives restarts and callers that go away, and
//! shares its file with other processes, but with nobody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::ids::Jti;
use portcullis::secret::Secret;
use portcullis::session::{Cause, Rotation};
use portcullis::store::embedded::EmbeddedStore;
use portcullis::store::{Check, Ending, KeyPurpose, Standing, Store, StoreError, StoredKey};
use sqlx::{Connection as _, SqliteConnection};

use crate::contract::EPOCH;
use crate::fixture::{LIFETIMES, LOGOUT, MEMORY, NOW, check_of, opened, secs, subject, take, token};

async fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path).await.unwrap()
}

/// Looks into the file past the store.
async fn look_into(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

fn key(name: &str) -> StoredKey {
    StoredKey {
        purpose: KeyPurpose::Signing,
        name: name.to_owned(),
        algorithm: "ES256".to_owned(),
        material: Secret::new([7; 32]),
        created_at: NOW,
    }
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (alice, takes) = (subject("alice"), [take("api", "alice", 1)]);
    let store = open(&path).await;
    let session = opened(&store, &alice, NOW).await;
    let revoked = check_of(&session);
    store.revoke(&alice, revoked.jti, NOW.after(secs(60)), MEMORY, NOW).await.unwrap();
    store.end(&subject("bob"), Ending::All, LOGOUT, MEMORY, NOW).await.unwrap();
    store.take(&takes, NOW).await.unwrap();
    store.add_key(&key("one")).await.unwrap();
    drop(store);

    let store = open(&path).await;
    assert_eq!(store.check(&revoked, NOW).await.unwrap(), Standing::Revoked);
    assert_eq!(store.user(&subject("bob")).await.unwrap().epoch, EPOCH);
    assert!(!store.take(&takes, NOW).await.unwrap()[0].allowed);
    assert_eq!(store.keys(KeyPurpose::Signing).await.unwrap(), [key("one")]);
    assert_eq!(store.session(session.id, NOW).await.unwrap(), Some(session.clone()));
    let rotation = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert!(matches!(rotation, Rotation::Rotated(_)));
}

#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/here/state.db");
    let store = open(&path).await;
    store.add_key(&key("one")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_open_one_file_at_once_agree() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let opening: Vec<_> = (0..8)
            .map(|index| {
                let path = path.clone();
                tokio::spawn(async move {
                    let store = open(&path).await;
                    let keys = store.found_keys(&key(&format!("key-{index}"))).await.unwrap();
                    (store, keys)
                })
            })
            .collect();
        let mut found = Vec::new();
        for task in opening {
            found.push(task.await.unwrap());
        }
        assert!(found.iter().all(|(_, keys)| keys.len() == 1 && *keys == found[0].1), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_opens_the_file_waits_for_one_that_is_doing_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let turn = std::fs::File::open(folder.path()).unwrap();
    turn.lock().unwrap();
    let mut opening = tokio::spawn({
        let path = path.clone();
        async move { open(&path).await }
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut opening).await;
    assert!(early.is_err() && !path.exists(), "it must wait for its turn");
    turn.unlock().unwrap();
    opening.await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_share_one_file_rotate_a_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let stores = [open(&path).await, open(&path).await, open(&path).await];
    let session = opened(&stores[0], &subject("alice"), NOW).await;
    let rotations: Vec<_> = (0..150)
        .map(|index| {
            let (store, presented) = (stores[index % 3].clone(), token(session.id, 0));
            tokio::spawn(async move { store.rotate(&presented, None, &LIFETIMES, MEMORY, NOW).await.unwrap() })
        })
        .collect();
    let mut rotated = 0;
    for task in rotations {
        match task.await.unwrap() {
            Rotation::Rotated(_) => rotated += 1,
            Rotation::Replayed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rotated, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("state.db")).await);
    for round in 0..60_usize {
        let alice = subject(&format!("alice-{round}"));
        for _ in 0..3 {
            opened(&*store, &alice, NOW).await;
        }
        let ending = {
            let (store, alice) = (Arc::clone(&store), alice.clone());
            tokio::spawn(async move { store.end(&alice, Ending::All, LOGOUT, MEMORY, NOW).await })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        ending.abort();
        let _ = ending.await;
        store.ping().await.unwrap(); // comes after whatever was begun
        let (left, epoch) = (store.sessions(&alice, NOW).await.unwrap().len(), store.user(&alice).await.unwrap().epoch);
        assert!(matches!((left, epoch), (3, 0) | (0, EPOCH)), "round {round}: {left} sessions left at epoch {epoch}");
    }
}

#[tokio::test]
async fn a_file_that_somebody_else_holds_is_unavailable_in_time_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    let mut other = look_into(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let started = Instant::now();
    let rotation = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await;
    assert!(matches!(rotation, Err(StoreError::Unavailable(_))), "{rotation:?}");
    assert!(started.elapsed() < secs(3));
    assert!(store.session(session.id, NOW).await.unwrap().is_some(), "reading goes on");

    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.session(session.id, NOW).await.unwrap(), Some(session), "nothing was done meanwhile");
}

#[tokio::test]
async fn what_is_long_over_is_swept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let alice = subject("alice");
    let takes = [take("api", "alice", 5)];
    for index in 0..20_u64 {
        let now = NOW.after(secs(index * 1800));
        let session = opened(&store, &alice, now).await;
        store.check(&Check { takes: &takes, ..check_of(&session) }, now).await.unwrap();
        store.revoke(&alice, Jti::random(), now.after(secs(60)), MEMORY, now).await.unwrap();
        let ended = opened(&store, &subject("bob"), now).await;
        store.rotate(&token(ended.id, 0), None, &LIFETIMES, MEMORY, ended.expires_at).await.unwrap();
    }
    let (later, before) = (NOW.after(Duration::from_hours(10)), count(&path).await);
    let live = store.sessions(&alice, later).await.unwrap();
    for _ in 0..128 {
        store.take(&[take("other", "alice", 5)], later).await.unwrap();
    }
    let after = count(&path).await;
    assert_eq!(before, (20, 20, 20));
    assert!(after.0 <= 5 && after.1 <= 5 && after.2 <= 5, "{after:?} rows are left");
    assert_eq!(store.sessions(&alice, later).await.unwrap(), live);
}

/// Sessions, entries of the blacklist, and what is remembered of sessions that ended.
async fn count(path: &Path) -> (i64, i64, i64) {
    let mut connection = look_into(path).await;
    let sessions = sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&mut connection).await.unwrap();
    let blacklist = sqlx::query_scalar("SELECT count(*) FROM revocations").fetch_one(&mut connection).await.unwrap();
    let ended = sqlx::query_scalar("SELECT count(*) FROM ended").fetch_one(&mut connection).await.unwrap();
    (sessions, blacklist, ended)
}

#[tokio::test]
async fn a_session_of_an_older_epoch_falls_with_it_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    let raised = "INSERT INTO users (subject, epoch, disabled, cause) VALUES ('alice', 9, 0, 'revoked')";
    sqlx::raw_sql(raised).execute(&mut look_into(&path).await).await.unwrap();
    for _ in 0..2 {
        let rotation = store.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
        assert_eq!(rotation, Rotation::Ended(Cause::Revoked), "asked again, the same");
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut first = SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    sqlx::raw_sql(include_str!("../../migrations/0001_state.sql")).execute(&mut first).await.unwrap();
    let rest = "INSERT INTO users VALUES ('alice', 9, 0); PRAGMA user_version = 1";
    sqlx::raw_sql(rest).execute(&mut first).await.unwrap();
    first.close().await.unwrap();

    let store = open(&path).await;
    let alice = subject("alice");
    let user = store.user(&alice).await.unwrap();
    assert_eq!((user.epoch, user.cause), (9, None), "what it held is still there");
    let session = opened(&store, &alice, NOW).await;
    store.end(&alice, Ending::This(session.id), LOGOUT, MEMORY, NOW).await.unwrap();
    drop(store);
    let rotation = open(&path).await.rotate(&token(session.id, 0), None, &LIFETIMES, MEMORY, NOW).await.unwrap();
    assert_eq!(rotation, Rotation::Ended(LOGOUT));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(open(&path).await);
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut look_into(&path).await).await.unwrap();
    let error = EmbeddedStore::open(&path).await.unwrap_err().to_string();
    assert!(error.contains("newer"), "{error}");
}

#[tokio::test]
async fn a_row_that_somebody_else_wrote_is_corrupt_and_never_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path).await;
    let session = opened(&store, &subject("alice"), NOW).await;
    let mut connection = look_into(&path).await;
    for sql in [
        "UPDATE sessions SET roles = 'a,b'",
        "UPDATE sessions SET roles = '', generation = -1",
        "UPDATE sessions SET generation = 0, token_hash = x'00'",
    ] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        let read = store.session(session.id, NOW).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{sql}: {read:?}");
    }
}
