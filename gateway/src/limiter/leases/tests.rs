//! Shares on a real store: room for keys, and what becomes of requests while the store is gone.

use std::thread;

use futures_util::FutureExt as _;
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::timeout;

use super::*;
use crate::ids::{RouteId, Subject};
use crate::limit::{Accuracy, LimitBy};
use crate::store::embedded::EmbeddedStore;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// Shares of so many keys, and the folder of their store.
async fn leases(keys: usize) -> (Arc<Leases>, Arc<Metrics>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("state.db")).await.unwrap();
    let metrics = Arc::new(Metrics::new());
    (Arc::new(Leases::with_room(keys, Arc::new(store), Arc::clone(&metrics))), metrics, folder)
}

/// One an hour.
fn limit(burst: u32) -> Limit {
    let quota = Quota::new(1, Duration::from_hours(1), burst).unwrap();
    Limit { id: LimitId::parse("l").unwrap(), quota, by: LimitBy::User, accuracy: Accuracy::Leased }
}

async fn admits(leases: &Arc<Leases>, limit: &Limit, user: &str, now: Timestamp) -> bool {
    let user = Subject::parse(user).unwrap();
    leases.take(limit, Whom::User(&user), now).await.unwrap().allowed
}

fn keys(leases: &Leases) -> usize {
    leases.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
}

#[tokio::test]
async fn a_flood_of_keys_is_bounded_and_each_is_still_limited() {
    let (leases, ..) = leases(SHARDS).await;
    let limit = limit(2);
    for user in 0..300 {
        for expected in [true, true, false] {
            assert_eq!(admits(&leases, &limit, &user.to_string(), NOW).await, expected, "{user}");
        }
    }
    assert!(keys(&leases) <= SHARDS, "{}", keys(&leases));
    for user in 0..300 {
        assert!(!admits(&leases, &limit, &user.to_string(), NOW).await, "whether there was room or not");
    }
}

#[tokio::test]
async fn what_nobody_asks_for_is_forgotten() {
    let (leases, ..) = leases(MAX_KEYS).await;
    for user in 0..50 {
        assert!(admits(&leases, &limit(9), &user.to_string(), NOW).await);
    }
    leases.tidy(NOW.after(Duration::from_secs(1))).await;
    assert_eq!(keys(&leases), 50, "perhaps they are asked for again");
    leases.tidy(NOW.after(IDLE)).await;
    assert_eq!(keys(&leases), 0);
}

#[tokio::test]
async fn what_is_left_passes_while_the_store_is_gone_and_nobody_waits_for_it() {
    let (leases, metrics, folder) = leases(MAX_KEYS).await;
    let (limit, user) = (limit(800), Subject::parse("alice").unwrap());
    for _ in 0..40 {
        assert!(admits(&leases, &limit, "alice", NOW).await);
    }
    let path = folder.path().join("state.db");
    let mut file = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::raw_sql("ALTER TABLE limits RENAME TO gone").execute(&mut file).await.unwrap();

    let take = async |now| leases.take(&limit, Whom::User(&user), now).await;
    let unanswered = || metrics.render().contains(r#"portcullis_limit_leases_total{limit="l",outcome="unanswered"} 1"#);
    let mut left = 0;
    while let Some(decision) = take(NOW).await {
        assert!(decision.allowed);
        left += 1;
    }
    assert!(left > 0, "what is leased is good whatever becomes of the store");
    assert!(unanswered());
    for _ in 0..9 {
        assert_eq!(take(NOW).await, None);
    }
    assert!(unanswered(), "it is not asked again at once");

    sqlx::raw_sql("ALTER TABLE gone RENAME TO limits").execute(&mut file).await.unwrap();
    assert!(take(NOW.after(PAUSE)).await.is_some_and(|decision| decision.allowed), "but soon");
}

#[tokio::test]
async fn who_waits_is_answered_though_the_worker_that_asked_first_has_ended() {
    let (leases, _, _folder) = leases(MAX_KEYS).await;
    let first = Arc::clone(&leases);
    let worker = thread::spawn(move || {
        let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let asked = async { first.take(&limit(9), Whom::Route(&RouteId::parse("r").unwrap()), NOW).now_or_never() };
        worker.block_on(asked)
    });
    assert_eq!(worker.join().unwrap(), None, "it waits for the store");
    let route = RouteId::parse("r").unwrap();
    let second = timeout(Duration::from_secs(10), leases.take(&limit(9), Whom::Route(&route), NOW)).await;
    assert_eq!(second.unwrap().map(|decision| decision.allowed), Some(true));
}

#[tokio::test]
async fn what_was_leased_under_another_quota_is_not_handed_out() {
    let (leases, ..) = leases(MAX_KEYS).await;
    let of = |burst, period| Limit { quota: Quota::new(1000, period, burst).unwrap(), ..limit(1) };
    let (wide, narrow) = (of(1000, Duration::from_secs(1)), of(3, Duration::from_hours(1000)));
    for _ in 0..200 {
        assert!(admits(&leases, &wide, "alice", NOW).await);
    }
    let mut passed = 0;
    while admits(&leases, &narrow, "alice", NOW).await {
        passed += 1;
    }
    assert!(passed <= 3, "{passed}");
    assert!(admits(&leases, &wide, "alice", NOW).await, "nor lost: it is of another count");
}

/// Has the store answer nobody until what it returns is rolled back.
async fn held(folder: &tempfile::TempDir) -> SqliteConnection {
    let path = folder.path().join("state.db");
    let mut file = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut file).await.unwrap();
    file
}

/// Takes one for Alice, and waits until the store was asked for it.
async fn waiting(leases: &Arc<Leases>, limit: &Limit) -> tokio::task::JoinHandle<Option<Decision>> {
    let (shares, limit) = (Arc::clone(leases), limit.clone());
    let before = wait_for(leases);
    let alice = Subject::parse("alice").unwrap();
    let take = tokio::spawn(async move { shares.take(&limit, Whom::User(&alice), NOW).await });
    while wait_for(leases) == before {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await; // The task that asks is next on this thread.
    take
}

fn wait_for(leases: &Leases) -> usize {
    let shards = leases.shards.iter();
    shards.map(|shard| shard.lock().unwrap().iter().map(|holding| holding.waiting.len()).sum::<usize>()).sum()
}

#[tokio::test]
async fn who_waits_for_an_answer_is_not_forgotten() {
    let (leases, _, folder) = leases(MAX_KEYS).await;
    let mut file = held(&folder).await;
    let take = waiting(&leases, &limit(9)).await;
    leases.tidy(NOW.after(IDLE)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut file).await.unwrap();
    assert!(take.await.unwrap().is_some_and(|decision| decision.allowed), "the store has said so");
}

#[tokio::test]
async fn who_goes_away_leaves_its_cell_to_one_other() {
    let (leases, _, folder) = leases(MAX_KEYS).await;
    let (limit, mut file) = (limit(1), held(&folder).await);
    let gone = waiting(&leases, &limit).await;
    let next = waiting(&leases, &limit).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    sqlx::raw_sql("ROLLBACK").execute(&mut file).await.unwrap();
    assert!(next.await.unwrap().is_some_and(|decision| decision.allowed));
    assert!(!admits(&leases, &limit, "alice", NOW).await, "and to no more");
}
