//! Posts: authors, owners, text, pages.

use std::collections::BTreeSet;

use portcullis_backend::DatabaseUrl;
use portcullis_backend::clock::Timestamp;
use portcullis_backend::ids::{PostId, UserId};
use portcullis_backend::post::{Content, Cursor, Draft, Limit, Listing, Post, Title};
use portcullis_backend::store::{Store, Written};
use portcullis_backend::user::{Change, UserChange};

use crate::{LATER, NOW, add, draft, name, open, write};

pub(crate) async fn a_post_shows_its_authors_present_name(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let post = write(&store, &alice, "one").await;
    assert_eq!((&post.author.id, post.author.username.as_str()), (&alice.id, "alice"));

    let change = UserChange { username: Some(name("alicia")), email: Change::Keep };
    store.change_user(&alice.id, &change, LATER).await.unwrap();
    assert_eq!(store.post(&post.id).await.unwrap().unwrap().author.username, "alicia");
    let Written::Done(changed) = store.change_post(&post.id, &alice.id, &draft("two"), LATER).await.unwrap() else {
        panic!("it is hers");
    };
    assert_eq!(changed.author.username, "alicia");
    assert_eq!(store.posts(&listing(9, None)).await.unwrap().0[0].author.username, "alicia");
}

pub(crate) async fn only_who_exists_can_write(url: DatabaseUrl) {
    let store = open(&url).await;
    assert_eq!(store.add_post(&UserId::new(), &draft("one"), NOW).await.unwrap(), None);
    assert_eq!(store.posts(&listing(9, None)).await.unwrap(), (vec![], None));
}

pub(crate) async fn only_the_author_changes_or_removes_a_post(url: DatabaseUrl) {
    let store = open(&url).await;
    let (alice, bob) = (add(&store, "alice").await, add(&store, "bob").await);
    let post = write(&store, &alice, "hers").await;
    let missing = PostId::new();

    assert_eq!(store.change_post(&post.id, &bob.id, &draft("his"), LATER).await.unwrap(), Written::NotOwner);
    assert_eq!(store.remove_post(&post.id, &bob.id).await.unwrap(), Written::NotOwner);
    assert_eq!(store.post(&post.id).await.unwrap(), Some(post.clone()));
    assert_eq!(store.change_post(&missing, &alice.id, &draft("x"), LATER).await.unwrap(), Written::Missing);
    assert_eq!(store.remove_post(&missing, &alice.id).await.unwrap(), Written::Missing);

    let Written::Done(changed) = store.change_post(&post.id, &alice.id, &draft("two"), LATER).await.unwrap() else {
        panic!("it is hers");
    };
    assert_eq!((changed.title.as_str(), changed.created_at, changed.updated_at), ("two", NOW, LATER));
    assert_eq!(store.post(&post.id).await.unwrap(), Some(changed));
    assert_eq!(store.remove_post(&post.id, &alice.id).await.unwrap(), Written::Done(()));
    assert_eq!(store.post(&post.id).await.unwrap(), None);
}

pub(crate) async fn text_comes_back_as_it_went(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    for text in ["'; DROP TABLE users; --", "\"$1\" \\ %_?", "Zoë 🔑 漢字 \u{202e}rtl", &"é".repeat(200)] {
        let content = format!("{text}\r\n\tand more\u{7}");
        let title = Title::parse(text.to_owned()).unwrap();
        let draft = Draft { title, content: Content::parse(content.clone()).unwrap() };
        let post = store.add_post(&alice.id, &draft, NOW).await.unwrap().expect("she exists");
        let read = store.post(&post.id).await.unwrap().expect("just written");
        assert_eq!((read.title.as_str(), read.content), (text, content));
    }
}

pub(crate) async fn pages_are_newest_first_and_end(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    for second in [3, 1, 4, 0, 2] {
        let moment = Timestamp::from_millis(second * 1000);
        store.add_post(&alice.id, &draft(&format!("post {second}")), moment).await.unwrap();
    }
    let titles = |posts: &[Post]| posts.iter().map(|post| post.title.clone()).collect::<Vec<_>>();

    let (first, next) = store.posts(&listing(3, None)).await.unwrap();
    assert_eq!(titles(&first), ["post 4", "post 3", "post 2"]);
    let (second, next) = store.posts(&listing(3, next)).await.unwrap();
    assert_eq!((titles(&second), next), (vec!["post 1".to_owned(), "post 0".to_owned()], None));
    let (all, next) = store.posts(&listing(5, None)).await.unwrap();
    assert_eq!((all.len(), next), (5, None), "a page that is just full is the last one");
}

pub(crate) async fn pages_of_one_moment_neither_repeat_nor_skip(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    let mut written = BTreeSet::new();
    for number in 0..23 {
        written.insert(write(&store, &alice, &format!("post {number}")).await.id.as_str().to_owned());
    }
    for limit in [1, 2, 7, 22, 23, 24] {
        let read: Vec<String> =
            pages(&store, limit).await.into_iter().map(|post| post.id.as_str().to_owned()).collect();
        assert_eq!(read.len(), written.len(), "pages of {limit}");
        assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), written, "pages of {limit}");
    }
}

pub(crate) async fn what_is_written_meanwhile_does_not_shift_the_pages(url: DatabaseUrl) {
    let store = open(&url).await;
    let alice = add(&store, "alice").await;
    for number in 0..4 {
        write(&store, &alice, &format!("post {number}")).await;
    }
    let (first, next) = store.posts(&listing(2, None)).await.unwrap();
    store.add_post(&alice.id, &draft("newer"), LATER).await.unwrap();
    store.remove_post(&first[1].id, &alice.id).await.unwrap();
    let (second, next) = store.posts(&listing(2, next)).await.unwrap();
    assert_eq!((second.len(), next), (2, None));
    assert!(second.iter().all(|post| !first.contains(post) && post.title.as_str() != "newer"));
}

pub(crate) async fn an_authors_posts_can_be_listed_alone(url: DatabaseUrl) {
    let store = open(&url).await;
    let (alice, bob) = (add(&store, "alice").await, add(&store, "bob").await);
    for _ in 0..3 {
        write(&store, &alice, "hers").await;
        write(&store, &bob, "his").await;
    }
    let by = |author: &UserId, after| Listing { author: Some(author.clone()), ..listing(2, after) };
    let (first, next) = store.posts(&by(&alice.id, None)).await.unwrap();
    let (second, last) = store.posts(&by(&alice.id, next)).await.unwrap();
    assert_eq!((first.len(), second.len(), last), (2, 1, None));
    assert!(first.iter().chain(&second).all(|post| post.author.id == alice.id));
    assert_eq!(store.posts(&by(&UserId::new(), None)).await.unwrap(), (vec![], None));
}

async fn pages(store: &Store, limit: u8) -> Vec<Post> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (posts, next) = store.posts(&listing(limit, after)).await.unwrap();
        assert!(posts.len() <= usize::from(limit));
        all.extend(posts);
        match next {
            Some(_) => after = next,
            None => return all,
        }
    }
}

fn listing(limit: u8, after: Option<Cursor>) -> Listing {
    Listing { limit: Limit::parse(&limit.to_string()).unwrap(), after, author: None }
}
