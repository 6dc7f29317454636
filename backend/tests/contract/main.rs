//! What the store promises, the same on SQLite and PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a claim whose ground falls away has failed")]

mod opening;
#[path = "../support/postgres.rs"]
mod postgres;
mod posts;
mod users;

use portcullis_backend::DatabaseUrl;
use portcullis_backend::clock::Timestamp;
use portcullis_backend::hashing::StoredHash;
use portcullis_backend::post::{Content, Draft, Post, Title};
use portcullis_backend::store::{NewUser, Store};
use portcullis_backend::user::{Email, User, Username};
use postgres::Postgres;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);
const LATER: Timestamp = Timestamp::from_millis(1_700_000_000_124);

/// Runs each claim on a database of its own: one test each on SQLite, all of them in one test on a single
/// PostgreSQL server.
macro_rules! contract {
    ($($about:ident::$claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $claim() {
                    let folder = tempfile::tempdir().expect("a temporary folder");
                    super::$about::$claim(super::DatabaseUrl::Sqlite(folder.path().join("x.db"))).await;
                }
            )*
        }

        #[tokio::test]
        async fn every_claim_holds_on_postgres_too() {
            let server = Postgres::start();
            let mut broken = Vec::new();
            $(
                let url = DatabaseUrl::parse(&server.create(stringify!($claim))).expect("a URL");
                if tokio::spawn($about::$claim(url)).await.is_err() {
                    broken.push(stringify!($claim));
                }
            )*
            assert!(broken.is_empty(), "on PostgreSQL it does not hold that {broken:#?}");
        }
    };
}

contract!(
    users::a_user_is_found_by_id_and_by_name_in_any_case,
    users::a_name_belongs_to_one_user_in_any_case,
    users::of_many_who_race_for_a_name_one_gets_it,
    users::a_change_leaves_the_rest_as_it_was,
    users::a_change_to_a_taken_name_changes_nothing,
    users::a_user_may_respell_their_own_name,
    users::a_renewed_hash_never_undoes_a_new_password,
    users::a_removed_user_takes_their_posts_along,
    users::nobody_can_be_changed_who_does_not_exist,
    posts::a_post_shows_its_authors_present_name,
    posts::only_who_exists_can_write,
    posts::only_the_author_changes_or_removes_a_post,
    posts::text_comes_back_as_it_went,
    posts::pages_are_newest_first_and_end,
    posts::pages_of_one_moment_neither_repeat_nor_skip,
    posts::what_is_written_meanwhile_does_not_shift_the_pages,
    posts::an_authors_posts_can_be_listed_alone,
    opening::a_write_is_seen_by_the_next_read,
    opening::what_was_written_is_there_after_a_restart,
    opening::several_may_open_a_new_database_at_once,
    opening::a_closed_store_says_that_it_is_unavailable,
);

async fn open(url: &DatabaseUrl) -> Store {
    Store::open(url).await.expect("the database can be opened")
}

async fn add(store: &Store, username: &str) -> User {
    store.add_user(&new_user(username), NOW).await.unwrap().expect("the name is free")
}

async fn write(store: &Store, author: &User, title: &str) -> Post {
    store.add_post(&author.id, &draft(title), NOW).await.unwrap().expect("the author exists")
}

fn new_user(username: &str) -> NewUser {
    let email = Email::parse(format!("{username}@example.org")).unwrap();
    NewUser { username: name(username), email: Some(email), password_hash: hash(username) }
}

fn name(text: &str) -> Username {
    Username::parse(text.to_owned()).unwrap()
}

/// The store does not look into hashes, so any text will do.
fn hash(text: &str) -> StoredHash {
    StoredHash::new(format!("hash of {text}"))
}

fn draft(title: &str) -> Draft {
    Draft { title: Title::parse(title.to_owned()).unwrap(), content: Content::parse("text".to_owned()).unwrap() }
}
