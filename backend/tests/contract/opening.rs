//! The database as a whole: opening, closing, and who sees what when.

use std::sync::{Arc, Barrier};

use portcullis_backend::DatabaseUrl;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::{add, open, write};

pub(crate) async fn a_write_is_seen_by_the_next_read(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    for number in 0..200 {
        let post = write(&store, &alice, &format!("post {number}")).await;
        assert_eq!(store.post(&post.id).await.unwrap(), Some(post));
    }
}

pub(crate) async fn what_was_written_is_there_after_a_restart(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let post = write(&store, &alice, "one").await;
    store.close().await;
    let store = open(&url).await;
    assert_eq!(store.user(&alice.id).await.unwrap(), Some(alice));
    assert_eq!(store.post(&post.id).await.unwrap(), Some(post));
}

pub(crate) async fn several_may_open_a_new_database_at_once(url: DatabaseUrl) {
    let (together, mut opening) = (Arc::new(Barrier::new(8)), JoinSet::new());
    for number in 0..8 {
        let (url, together) = (url.clone(), Arc::clone(&together));
        // Threads that share nothing, as if they were processes.
        opening.spawn_blocking(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            together.wait();
            runtime.block_on(async { add(&open(&url).await, &format!("user{number}")).await })
        });
    }
    assert_eq!(opening.join_all().await.len(), 8);
}

pub(crate) async fn a_closed_store_says_that_it_is_unavailable(url: DatabaseUrl) {
    let store = open(&url).await;
    assert!(store.ping().await.is_ok());
    store.close().await;
    let why = store.ping().await.expect_err("it is closed").to_string();
    assert_eq!(why, "the database is unavailable: it was closed");
}
