//! At most one round trip to Redis for what is known of a caller: blacklist, epoch and user limit are one
//! script.

use portcullis_tests::{Kind, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticated_and_limited_request_is_one_script() {
    let stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    assert_eq!(alice.get("/limited/x").await.status, 200, "scripts are loaded");
    let redis = stack.redis.as_ref().unwrap();
    redis.reset_counts().await;
    assert_eq!(alice.get("/limited/x").await.status, 200);
    assert_eq!(redis.calls("evalsha").await, 1);
    assert_eq!(redis.calls("eval").await, 0);
    assert_eq!(redis.calls("script|load").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_early_costs_no_round_trip() {
    let stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    alice.get("/limited/x").await;
    let redis = stack.redis.as_ref().unwrap();
    redis.reset_counts().await;
    assert_eq!(stack.anonymous().get("/limited/x").await.status, 401);
    assert_eq!(alice.with_access("garbage").get("/limited/x").await.status, 401);
    assert_eq!(stack.anonymous().refresh_with("garbage").await.status, 401);
    assert_eq!(alice.get("/public/x").await.status, 200);
    stack.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(alice.get("/limited/x").await.reason(), "token_expired");
    assert_eq!(redis.calls("evalsha").await, 0);
}
