//! A gateway is given another configuration wholly or not at all, and ends without cutting anybody off.

use std::time::Duration;

use portcullis_tests::{Kind, Stack, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_is_at_work_for_the_next_request() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    assert_eq!(alice.get("/new/x").await.reason(), "no_route");
    let route = "\n[[route]]\nid = \"new\"\nmatch = { path = \"/new/*\" }\nupstream = \"recorder\"\npolicy = \"authenticated\"\n";
    stack.reload(|toml| toml + route).await.unwrap();
    assert_eq!(alice.get("/new/x").await.status, 200, "and nobody was logged out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_changes_nothing() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let wrong = stack.reload(|toml| toml.replace("policy = \"authenticated\"", "policy = \"autenticated\"")).await;
    assert!(wrong.unwrap_err().contains("did you mean"));
    let restart = stack
        .reload(|toml| toml.replace("[admin]\naddress = \"127.0.0.1:0\"", "[admin]\naddress = \"127.0.0.1:1\""))
        .await;
    assert_eq!(restart.unwrap_err(), "restart required: [admin] can't change while the gateway runs");
    let restart = stack.reload(|toml| toml + "\n[process]\nworkers = 7\n").await;
    assert_eq!(restart.unwrap_err(), "restart required: [process] can't change while the gateway runs");
    assert_eq!(alice.get("/echo/x").await.status, 200);
    let refused = stack.metric(r#"portcullis_config_reloads_total{outcome="refused"}"#).await;
    assert!((refused - 2.0).abs() < f64::EPSILON, "{refused}");
}

/// So that what is revoked elsewhere is remembered for as long, though nobody logs in here.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_told_how_long_tokens_live_at_the_start_and_before_a_reload_is_at_work() {
    let mut stack = Stack::builder(Kind::Redis).tokens("access_ttl = \"5m\"").start().await;
    let told = async |stack: &Stack, secs: u64| {
        let said = stack.redis.as_ref().unwrap().command(&["ZRANGE", "portcullis:{0}:lives", "0", "-1"]).await.unwrap();
        said.contains(&format!("\r\n{}\r\n", secs * 1_000_000))
    };
    eventually("it says so", || told(&stack, 310)).await;
    assert!(!told(&stack, 3610).await);
    stack.reload(|toml| toml.replace("\"5m\"", "\"1h\"")).await.unwrap();
    assert!(told(&stack, 3610).await, "with the leeway of either side");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_ends_before_the_gateway_does() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let idle = alice.clone();
    assert_eq!(idle.get("/echo/x").await.status, 200, "a connection is kept");
    // It is answered only when the upstream is given up, after a second.
    let slow = tokio::spawn(async move { alice.get("/echo/stall").await.status });
    eventually("it is at the upstream", || async { stack.recorder.seen().len() == 2 }).await;
    let admin = stack.admin();
    let ending = stack.shut_down();
    eventually("it says that it is not ready", || async { admin.get("/readyz").await.status == 503 }).await;
    assert_eq!(slow.await.unwrap(), 504, "it was answered");
    let ended = tokio::time::timeout(Duration::from_secs(4), ending).await;
    assert!(ended.expect("it does not wait for idle connections").unwrap(), "all requests ended");
}
