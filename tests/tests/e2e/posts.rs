//! The whole main job: register, log in, write and read posts as oneself, renew, log out; on embedded
//! stores, and on a real Redis and a real PostgreSQL.

use portcullis_tests::{Kind, Stack};
use reqwest::Method;
use serde_json::json;

async fn the_main_job(stack: Stack) {
    let nobody = stack.anonymous();
    assert_eq!(nobody.post("/posts", &json!({ "title": "a", "content": "b" })).await.reason(), "no_credential");
    let registered = nobody.register("alice").await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    assert_eq!(nobody.register("alice").await.status, 409);
    let mut alice = stack.login_again("alice").await;
    let bob = stack.login("bob").await;

    let written = alice.post("/posts", &json!({ "title": "First", "content": "Hello" })).await;
    assert_eq!(written.status, 201, "{}", written.body);
    assert_eq!(written.json()["author"]["username"], "alice");
    let post = format!("/posts/{}", written.json()["id"].as_str().unwrap());
    assert_eq!(nobody.get(&post).await.json()["title"], "First", "everybody reads");
    assert_eq!(bob.delete(&post).await.status, 403, "only the owner writes");
    let changed =
        alice.send(alice.request(Method::PUT, &post).json(&json!({ "title": "Second", "content": "Hello" }))).await;
    assert_eq!((changed.status, changed.json()["title"].as_str()), (200, Some("Second")), "{}", changed.body);
    for page in 0..5 {
        alice.post("/posts", &json!({ "title": format!("Post {page}"), "content": "…" })).await;
    }
    let first = nobody.get("/posts?limit=4").await.json();
    let next = first["next"].as_str().unwrap();
    let second = nobody.get(&format!("/posts?limit=4&after={next}")).await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (4, 2));

    let old = alice.access_token();
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(alice.logout("this").await.status, 204);
    assert_eq!(alice.with_access(&old).get("/users/me").await.reason(), "token_revoked");
    assert_eq!(bob.get("/users/me").await.json()["username"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_on_embedded_stores() {
    the_main_job(Stack::start(Kind::Embedded).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_on_redis_and_postgresql() {
    the_main_job(Stack::builder(Kind::Redis).on_postgres().start().await).await;
}
