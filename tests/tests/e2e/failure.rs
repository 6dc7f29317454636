//! Failure is defined: for each check, what happens while Redis or an upstream is gone, and that all is
//! well again when it is back, without a restart.

use std::time::{Duration, Instant};

use portcullis_tests::{Kind, Stack, eventually};
use serde_json::{Value, json};

use crate::process::Stand;

async fn ready(stack: &Stack) -> bool {
    stack.admin().get("/readyz").await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_while_redis_is_gone_and_all_is_well_when_it_is_back() {
    let mut stack = Stack::builder(Kind::Redis).impatient().start().await;
    let mut alice = stack.login("alice").await;
    stack.redis.as_mut().unwrap().stop();

    let began = Instant::now();
    let answer = alice.get("/echo/x").await;
    assert_eq!(answer.problem(), "503 store_unavailable: Try again shortly");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(began.elapsed() < Duration::from_secs(2), "the client is told soon: {:?}", began.elapsed());
    assert_eq!(alice.refresh().await.reason(), "store_unavailable", "unknown, never invalid");
    assert_eq!(alice.logout("this").await.problem(), "503 store_unavailable: Try again shortly", "nothing was changed");
    assert_eq!(stack.anonymous().try_login("alice", "x").await.reason(), "store_unavailable");
    assert_eq!(stack.anonymous().get("/public/x").await.status, 200, "what needs no store goes on");
    assert_eq!(alice.get("/available/x").await.status, 200, "where the route says so, the signature is enough");
    assert_eq!(alice.with_access("x").get("/available/x").await.reason(), "token_invalid", "but it must be good");
    eventually("not ready", || async { !ready(&stack).await }).await;
    assert!(stack.metric("portcullis_store_up").await < 0.5);

    stack.redis.as_mut().unwrap().restart().await; // Empty: the sessions are gone, but not the gateway.
    eventually("ready again", || async { ready(&stack).await }).await;
    let mut alice = stack.login_again("alice").await;
    assert_eq!(alice.get("/echo/x").await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_counted_locally_while_redis_is_gone() {
    let mut stack = Stack::builder(Kind::Redis).impatient().start().await;
    stack.redis.as_mut().unwrap().stop();
    for expected in [200, 200, 200, 429] {
        assert_eq!(stack.anonymous().get("/limited_by_address/x").await.status, expected);
    }
    assert!(stack.metric(r#"portcullis_limit_decisions_total{limit="by_address",outcome="local"}"#).await > 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_while_redis_stalls_is_not_executed_later() {
    let stack = Stack::start(Kind::Redis).await;
    let mut alice = stack.login("alice").await;
    assert_eq!(alice.refresh().await.status, 200, "Redis knows the script, so that it could execute it");
    let redis = stack.redis.as_ref().unwrap();
    redis.stall();
    assert_eq!(alice.refresh().await.reason(), "store_unavailable");
    redis.resume();
    eventually("ready again", || async { ready(&stack).await }).await;
    // Had the stalled rotation been executed, this would be a replay of its answer.
    assert_eq!(alice.refresh().await.status, 200);
    assert!(stack.metric(r#"portcullis_session_rotations_total{outcome="replayed"}"#).await < 0.5);
    assert!(stack.metric(r#"portcullis_session_rotations_total{outcome="unknown"}"#).await > 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_never_swapped_when_clients_leave_while_redis_stalls() {
    let stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let bob = stack.login("bob").await;
    let names = [(&alice, "alice"), (&bob, "bob")];
    stack.redis.as_ref().unwrap().stall();
    for (client, _) in names.iter().cycle().take(40) {
        let client = (*client).clone();
        let _ = tokio::time::timeout(Duration::from_millis(20), client.get("/users/me")).await;
    }
    stack.redis.as_ref().unwrap().resume();
    eventually("ready again", || async { ready(&stack).await }).await;
    for (client, name) in names.iter().cycle().take(40) {
        let me = client.get("/users/me").await.json();
        assert_eq!(me["username"], *name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let stack = Stack::start(Kind::Redis).await;
    stack.login("alice").await;
    stack.redis.as_ref().unwrap().flush().await;
    let alice = stack.login_again("alice").await;
    assert_eq!(alice.get("/users/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stalls_is_given_up_and_one_that_is_gone_is_a_503() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let stalled = alice.get("/echo/stall").await;
    assert_eq!(stalled.problem(), "504 upstream_timeout: The service took too long");
    stack.stop_backend().await;
    let first = alice.get("/users/me").await;
    assert_eq!((first.status, first.header("retry-after")), (503, "1"), "{}", first.body);
    let gone = || async { alice.get("/users/me").await.reason() == "no_server" };
    eventually("the pool is known to be down", gone).await;
    assert_eq!(alice.get("/echo/x").await.status, 200, "other pools are unaffected");
    assert!(ready(&stack).await, "and the gateway is ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_never_passed_for_a_whole_one() {
    let stack = Stack::start(Kind::Embedded).await;
    let client = stack.anonymous();
    let garbage = client.get("/public/garbage").await;
    assert_eq!(garbage.problem(), "502 upstream_broken: The service's answer was broken");
    let cut = client.try_send(client.request(reqwest::Method::GET, "/public/cut")).await;
    assert!(cut.is_none(), "the client sees that the body is not whole: {cut:?}");
    let broken = stack.metric(r#"portcullis_denied_total{reason="upstream_broken",route="echo_public"}"#).await;
    assert!((broken - 2.0).abs() < f64::EPSILON, "{broken}");
    let failures = stack.metric(r#"portcullis_upstream_failures_total{kind="broken",upstream="recorder"}"#).await;
    assert!((failures - 2.0).abs() < f64::EPSILON, "{failures}");
    assert_eq!(client.get("/public/x").await.status, 200, "and the next request is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_refused_is_told_with_its_server_and_its_reason() {
    let stand = Stand::start("").await;
    let target = "/public/status/101"; // Nobody asks for another protocol.
    assert_eq!(stand.client().get(target).await.problem(), "502 upstream_broken: The service's answer was broken");
    let logs = stand.stop().await;
    let lines: Vec<Value> = logs.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let access: Vec<_> = lines.iter().filter(|line| line["path"] == target).collect();
    assert_eq!(access.len(), 1, "{logs}");
    let line = access[0];
    assert_eq!((&line["status"], &line["reason"]), (&json!(502), &json!("upstream_broken")), "{line}");
    let failure = lines.iter().find(|line| line["kind"] == "UnaskedTunnel").expect("it is told what was wrong");
    assert_eq!((&failure["upstream"], &failure["server"]), (&json!("recorder"), &line["upstream"]), "{failure} {line}");
    assert!(line["upstream"].is_string(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_before_redis_is_well_when_redis_comes() {
    let mut stack = Stack::start(Kind::Redis).await;
    stack.redis.as_mut().unwrap().stop();
    let early = stack.another_gateway().await;
    let login = early.post("/auth/login", &json!({ "username": "a", "password": "b" })).await;
    assert_eq!(login.reason(), "store_unavailable");
    stack.redis.as_mut().unwrap().restart().await;
    early.register("alice").await;
    let well = || async { early.try_login("alice", portcullis_tests::Client::PASSWORD).await.status == 200 };
    eventually("login works", well).await;
}
