//! Posts: reading, writing, owning, and turning pages.

use std::collections::BTreeSet;

use http::Method;
use portcullis_backend::clock::Timestamp;
use portcullis_backend::ids::UserId;
use portcullis_backend::post::{Content, Draft, Title};
use serde_json::{Value, json};

use crate::service::{Answer, Service};

const NO_POST: &str = "/posts/01890000-0000-7000-8000-000000000000";

#[tokio::test]
async fn a_post_is_written_read_changed_and_removed() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let written = write(&service, &id, "One").await;
    assert_eq!(written.status, 201);
    let path = format!("/posts/{}", written.text("/id"));
    assert_eq!(written.header("location"), path);
    let created_at = written.text("/created_at");
    let expected = json!({
        "id": written.text("/id"), "title": "One", "content": "Text",
        "author": {"id": id, "username": "alice"}, "created_at": created_at, "updated_at": created_at,
    });
    assert_eq!(written.body, expected);
    assert_eq!(service.get(&path).await.body, expected, "anyone the gateway lets through may read it");

    let change = json!({"title": "Two", "content": "More\ntext"});
    let changed = service.by(&id, Method::PUT, &path, Some(change)).await;
    assert_eq!(changed.status, 200);
    assert_eq!((&changed.body["title"], &changed.body["created_at"]), (&json!("Two"), &json!(created_at)));
    assert!(changed.text("/updated_at") >= created_at);
    assert_eq!(service.get(&path).await.body, changed.body);

    let removed = service.by(&id, Method::DELETE, &path, None).await;
    assert_eq!((removed.status.as_u16(), removed.body), (204, Value::Null));
    service.get(&path).await.assert_refused(404, "not_found");
}

#[tokio::test]
async fn only_its_author_changes_or_removes_a_post() {
    let service = Service::start().await;
    let (alice, bob) = (service.register("alice").await, service.register("bob").await);
    let written = write(&service, &alice, "Hers").await;
    let path = format!("/posts/{}", written.text("/id"));
    let his = || Some(json!({"title": "His", "content": "now"}));
    for body in [his(), None] {
        let method = if body.is_some() { Method::PUT } else { Method::DELETE };
        service.by(&bob, method.clone(), &path, body.clone()).await.assert_refused(403, "not_owner");
        service.by("nobody-known", method.clone(), &path, body.clone()).await.assert_refused(403, "not_owner");
        service.by(&bob, method.clone(), NO_POST, body.clone()).await.assert_refused(404, "not_found");
        service.by(&bob, method.clone(), "/posts/1", body.clone()).await.assert_refused(404, "not_found");
        let anonymous = service.request(method, &path);
        let anonymous = if let Some(body) = &body { anonymous.json(body) } else { anonymous };
        Answer::to(anonymous).await.assert_refused(401, "no_identity");
    }
    assert_eq!(service.get(&path).await.body, written.body);
}

#[tokio::test]
async fn only_users_write() {
    let service = Service::start().await;
    let draft = json!({"title": "One", "content": "Text"});
    service.post("/posts", draft.clone()).await.assert_refused(401, "no_identity");
    service.by("nobody-known", Method::POST, "/posts", Some(draft)).await.assert_refused(401, "unknown_user");
    assert_eq!(service.get("/posts").await.body, json!({"items": [], "next": null}));
}

#[tokio::test]
async fn a_post_is_told_all_that_is_wrong_with_it() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let path = format!("/posts/{}", write(&service, &id, "One").await.text("/id"));
    let cases = [
        (json!({}), vec!["title", "content"]),
        (json!({"title": "", "content": " "}), vec!["title", "content"]),
        (json!({"title": "x".repeat(201), "content": "x".repeat(20_001)}), vec!["title", "content"]),
        (json!({"title": "a\nb", "content": "nul\0"}), vec!["title", "content"]),
        (json!({"title": "One", "content": "Text", "author": "bob"}), vec!["author"]),
    ];
    for (body, fields) in cases {
        let written = service.by(&id, Method::POST, "/posts", Some(body.clone())).await;
        assert_eq!(written.refused_fields(), fields, "{body}");
        assert_eq!(service.by(&id, Method::PUT, &path, Some(body)).await.refused_fields(), fields);
    }
    let longest = json!({"title": "ü".repeat(200), "content": "漢".repeat(20_000)});
    assert_eq!(service.by(&id, Method::POST, "/posts", Some(longest)).await.status, 201);
}

#[tokio::test]
async fn pages_of_posts_of_one_moment_neither_repeat_nor_skip() {
    let service = Service::start().await;
    let id = service.register("alice").await;
    let written = write_at_one_moment(&service, &id, 25).await;

    let (mut read, mut sizes, mut path) = (Vec::new(), Vec::new(), "/posts?limit=10".to_owned());
    loop {
        let page = service.get(&path).await;
        assert_eq!(page.status, 200);
        let items = page.body["items"].as_array().expect("a list");
        sizes.push(items.len());
        read.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/posts?limit=10&after={next}");
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(read.iter().cloned().collect::<BTreeSet<_>>(), written);
}

#[tokio::test]
async fn a_list_is_newest_first_of_twenty_or_of_one_author() {
    let service = Service::start().await;
    let (alice, bob) = (service.register("alice").await, service.register("bob").await);
    write_at_one_moment(&service, &alice, 20).await;
    let newest = write(&service, &bob, "His").await;

    let page = service.get("/posts").await;
    assert_eq!(page.body["items"].as_array().map(Vec::len), Some(20));
    assert_eq!(page.body["items"][0], newest.body);
    assert!(page.body["next"].is_string());
    let his = service.get(&format!("/posts?author={bob}&limit=100")).await;
    assert_eq!(his.body, json!({"items": [newest.body], "next": null}));
    assert_eq!(service.get("/posts?author=nobody-known").await.body["items"], json!([]));
}

#[tokio::test]
async fn a_list_is_told_all_that_is_wrong_with_it() {
    let service = Service::start().await;
    let cases = [
        ("limit=0", vec!["limit"]),
        ("limit=101", vec!["limit"]),
        ("limit=", vec!["limit"]),
        ("limit=ten&after=x&author=%20", vec!["limit", "after", "author"]),
        ("limit=1&limit=2", vec!["limit"]),
        ("offset=20", vec!["offset"]),
    ];
    for (query, fields) in cases {
        assert_eq!(service.get(&format!("/posts?{query}")).await.refused_fields(), fields, "{query}");
    }
}

async fn write(service: &Service, author: &str, title: &str) -> Answer {
    service.by(author, Method::POST, "/posts", Some(json!({"title": title, "content": "Text"}))).await
}

/// Writes posts that differ in nothing but their ids; answers those.
async fn write_at_one_moment(service: &Service, author: &str, count: usize) -> BTreeSet<String> {
    let (store, author) = (service.store().await, UserId::parse(author).expect("an id"));
    let title = Title::parse("One".to_owned()).expect("a title");
    let draft = Draft { title, content: Content::parse("Text".to_owned()).expect("a text") };
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        let post = store.add_post(&author, &draft, Timestamp::from_millis(1_700_000_000_000)).await;
        ids.insert(post.expect("it answers").expect("the author exists").id.as_str().to_owned());
    }
    ids
}
