//! Users: names, changes, hashes, removal.

use std::sync::Arc;

use portcullis_backend::DatabaseUrl;
use portcullis_backend::ids::UserId;
use portcullis_backend::store::Changed;
use portcullis_backend::user::{Change, Email, UserChange};
use tokio::task::JoinSet;

use crate::{LATER, NOW, add, hash, name, new_user, open, write};

pub(crate) async fn a_user_is_found_by_id_and_by_name_in_any_case(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "Alice").await;
    assert_eq!((alice.username.as_str(), alice.email.as_deref()), ("Alice", Some("Alice@example.org")));
    assert_eq!(alice.roles, ["user"]);
    assert_eq!((alice.created_at, alice.updated_at), (NOW, NOW));

    assert_eq!(store.user(&alice.id).await.unwrap(), Some(alice.clone()));
    for spelling in ["Alice", "alice", "ALICE"] {
        assert!(store.has_username(&name(spelling)).await.unwrap());
        let known = store.credentials_of(&name(spelling)).await.unwrap().expect("she exists");
        assert_eq!((known.id, known.username), (alice.id.clone(), alice.username.clone()));
        assert_eq!((known.roles, known.password_hash), (alice.roles.clone(), hash("Alice")));
    }
    assert_eq!(store.credentials(&alice.id).await.unwrap().expect("she exists").password_hash, hash("Alice"));
    assert!(!store.has_username(&name("alic")).await.unwrap());
    assert!(store.credentials_of(&name("alice_")).await.unwrap().is_none());
    assert_eq!(store.user(&UserId::new()).await.unwrap(), None);
}

pub(crate) async fn a_name_belongs_to_one_user_in_any_case(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    assert_eq!(store.add_user(&new_user("ALICE"), LATER).await.unwrap(), None);
    assert_eq!(store.user(&alice.id).await.unwrap(), Some(alice));
}

pub(crate) async fn of_many_who_race_for_a_name_one_gets_it(url: DatabaseUrl) {
    let store = Arc::new(open(&url).await);
    let mut race = JoinSet::new();
    for _ in 0..16 {
        let store = Arc::clone(&store);
        race.spawn(async move { store.add_user(&new_user("alice"), NOW).await.unwrap().is_some() });
    }
    let won = race.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
}

pub(crate) async fn a_change_leaves_the_rest_as_it_was(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let other = Email::parse("other@example.org".to_owned()).unwrap();
    let steps = [
        (UserChange { username: Some(name("bob")), email: Change::Keep }, "bob", alice.email.as_deref()),
        (UserChange { username: None, email: Change::Clear }, "bob", None),
        (UserChange { username: None, email: Change::Set(other) }, "bob", Some("other@example.org")),
    ];
    for (change, username, email) in steps {
        let Changed::Done(user) = store.change_user(&alice.id, &change, LATER).await.unwrap() else {
            panic!("nothing stands against {change:?}");
        };
        assert_eq!((user.username.as_str(), user.email.as_deref()), (username, email), "{change:?}");
        assert_eq!((user.created_at, user.updated_at), (NOW, LATER));
        assert_eq!(store.user(&alice.id).await.unwrap(), Some(user));
    }
    assert!(!store.has_username(&name("alice")).await.unwrap(), "the old name is free again");
    assert_eq!(store.credentials(&alice.id).await.unwrap().unwrap().password_hash, hash("alice"));
}

pub(crate) async fn a_change_to_a_taken_name_changes_nothing(url: DatabaseUrl) {
    let store = open(&url).await;
    let (alice, _) = (add(&store, "alice").await, add(&store, "bob").await);
    let change = UserChange { username: Some(name("BOB")), email: Change::Clear };
    assert_eq!(store.change_user(&alice.id, &change, LATER).await.unwrap(), Changed::UsernameTaken);
    assert_eq!(store.user(&alice.id).await.unwrap(), Some(alice));
}

pub(crate) async fn a_user_may_respell_their_own_name(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let change = UserChange { username: Some(name("Alice")), email: Change::Keep };
    let changed = store.change_user(&alice.id, &change, LATER).await.unwrap();
    assert!(matches!(changed, Changed::Done(user) if user.username == "Alice"));
}

pub(crate) async fn a_renewed_hash_never_undoes_a_new_password(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let stored = async || store.credentials(&alice.id).await.unwrap().unwrap().password_hash;

    assert!(store.renew_hash(&alice.id, &hash("alice"), &hash("renewed")).await.unwrap());
    assert_eq!(stored().await, hash("renewed"));
    assert!(store.change_password(&alice.id, &hash("new"), LATER).await.unwrap());
    assert!(!store.renew_hash(&alice.id, &hash("renewed"), &hash("renewed again")).await.unwrap());
    assert_eq!(stored().await, hash("new"));
    assert_eq!(store.user(&alice.id).await.unwrap().unwrap().updated_at, LATER);
}

pub(crate) async fn a_removed_user_takes_their_posts_along(url: DatabaseUrl) {
    let store = open(&url).await;
    let (alice, bob) = (add(&store, "alice").await, add(&store, "bob").await);
    let (hers, his) = (write(&store, &alice, "hers").await, write(&store, &bob, "his").await);

    assert!(store.remove_user(&alice.id).await.unwrap());
    assert_eq!(store.user(&alice.id).await.unwrap(), None);
    assert_eq!(store.post(&hers.id).await.unwrap(), None);
    assert_eq!(store.post(&his.id).await.unwrap(), Some(his));
    assert_eq!(add(&store, "alice").await.username, "alice", "the name is free again");
}

pub(crate) async fn nobody_can_be_changed_who_does_not_exist(url: DatabaseUrl) {
    let store = open(&url).await;
    let nobody = UserId::new();
    let change = UserChange { username: Some(name("alice")), email: Change::Keep };
    assert_eq!(store.change_user(&nobody, &change, NOW).await.unwrap(), Changed::UnknownUser);
    assert!(!store.change_password(&nobody, &hash("x"), NOW).await.unwrap());
    assert!(!store.renew_hash(&nobody, &hash("x"), &hash("y")).await.unwrap());
    assert!(!store.remove_user(&nobody).await.unwrap());
}
