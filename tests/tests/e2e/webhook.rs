//! Whoever must know that a refresh token was used twice is told: by a signed event, again if that fails, and without
//! anybody's request waiting for it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis_tests::{Client, Kind, Recorded, Recorder, Stack, eventually, on_both_stores};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "mI1v7Qe0pXzT4uJ9sYkR2bGhWnL6cDfA8oEiVtBxKqM=";

/// A gateway that tells `receiver`, at `path`, with these keys of `[webhook]` too.
async fn start(kind: Kind, receiver: &Recorder, path: &str, more: &str) -> Stack {
    let url = format!("http://{}{path}", receiver.address());
    let section = format!("[webhook]\nurl = \"{url}\"\nsecret = {{ file = \"webhook-secret\" }}\n{more}\n");
    Stack::builder(kind).file("webhook-secret", &format!("whsec_{KEY}\n")).extra(&section).start().await
}

/// Logs in and presents a refresh token that was spent long ago, as `agent`: the session and its user.
async fn reuse(stack: &Stack, agent: &str) -> (String, String) {
    let mut alice = stack.login("alice").await;
    let me = alice.get("/auth/me").await.json();
    let stolen = alice.refresh_token();
    for _ in 0..2 {
        assert_eq!(alice.refresh().await.status, 200);
    }
    let thief = stack.anonymous();
    let request = thief.request(Method::POST, "/auth/refresh").header("user-agent", agent);
    let refused = thief.send(request.json(&json!({ "refresh_token": stolen }))).await;
    assert_eq!(refused.reason(), "refresh_reused", "{}", refused.body);
    let text = |name: &str| me[name].as_str().unwrap().to_owned();
    (text("sid"), text("sub"))
}

/// What a receiver does that follows the specification, with another library than ours.
fn signature_holds(request: &Recorded) -> bool {
    let header = |name: &str| request.header(name).unwrap();
    let body = std::str::from_utf8(&request.body).unwrap();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let key = EncodingKey::from_secret(&STANDARD.decode(KEY).unwrap());
    let expected = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    let sent = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    URL_SAFE_NO_PAD.decode(expected).unwrap() == sent
}

async fn count(stack: &Stack, outcome: &str) -> f64 {
    stack.metric(&format!(r#"portcullis_webhook_events_total{{event="session.reused",outcome="{outcome}"}}"#)).await
}

async fn counted(stack: &Stack, outcome: &str) {
    eventually(outcome, || async { count(stack, outcome).await > 0.5 }).await;
}

on_both_stores! {
    async fn reuse_is_told_by_a_signed_event(kind: Kind) {
        let receiver = Recorder::start().await;
        let stack = start(kind, &receiver, "/hooks?key=1", "").await;
        let agent = format!("thief\u{e9}/1.0 {}", "x".repeat(400));
        let (session, user) = reuse(&stack, &agent).await;
        counted(&stack, "delivered").await;
        assert_eq!(receiver.seen().len(), 1);
        let told = receiver.last();
        assert_eq!(told.target(), "POST /hooks?key=1");
        assert_eq!(told.header("host"), Some(receiver.address().to_string().as_str()));
        assert_eq!(told.header("content-type"), Some("application/json"));
        assert!(signature_holds(&told), "{}", told.head);
        let late = stack.clock.now().as_secs() - told.header("webhook-timestamp").unwrap().parse::<i64>().unwrap();
        assert!((0..60).contains(&late), "{late}");

        let event: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(event["id"], told.header("webhook-id").unwrap());
        assert_eq!(event["type"], "session.reused");
        assert!(event["occurred_at"].as_str().unwrap().ends_with('Z'), "{event}");
        let data = &event["data"];
        assert_eq!((&data["subject"], &data["session"]), (&json!(user), &json!(session)));
        assert_eq!(data["opened_from"]["address"], "127.0.0.1");
        let agent = data["presented_from"]["user_agent"].as_str().unwrap();
        assert!(agent.len() <= 256 && agent.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{agent}");
        assert!(!event.to_string().contains("token"), "no token, and no hash of one: {event}");
        let reused = stack.metric("portcullis_refresh_reuse_total").await;
        assert!((reused - 1.0).abs() < f64::EPSILON, "{reused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_refused_for_now_comes_again_under_its_name() {
    let receiver = Recorder::start().await;
    let stack = start(Kind::Embedded, &receiver, "/hooks", "").await;
    receiver.say("POST /hooks", 500, "not now");
    reuse(&stack, "thief").await;
    counted(&stack, "failed").await;
    receiver.say("POST /hooks", 204, "");
    stack.clock.advance(Duration::from_mins(1));
    counted(&stack, "delivered").await;
    let [first, second] = &receiver.seen()[..] else { panic!("two attempts") };
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"), "so that the receiver knows it");
    assert_eq!(first.body, second.body);
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"), "each attempt is signed anew");
    assert!(signature_holds(first) && signature_holds(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_stalls_keeps_no_request_waiting_and_gets_it_again() {
    let receiver = Recorder::start().await;
    let mut stack = start(Kind::Embedded, &receiver, "/stall", "timeout = \"3s\"").await;
    let began = Instant::now();
    for name in ["one", "two", "three"] {
        reuse(&stack, name).await;
    }
    assert!(began.elapsed() < Duration::from_secs(9), "nobody waited, three times: {:?}", began.elapsed());
    eventually("all are under way", || async { receiver.seen().len() == 3 }).await;
    stack.reload(|toml| toml.replace("/stall", "/hooks")).await.unwrap();
    eventually("a reload mends it", || async { count(&stack, "delivered").await > 2.5 }).await;
    let ids = |path: &str| {
        let seen = receiver.seen().into_iter().filter(|one| one.target() == path);
        let mut ids: Vec<_> = seen.map(|one| one.header("webhook-id").unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids("POST /hooks"), ids("POST /stall"), "each of them, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded() {
    let receiver = Recorder::start().await;
    let stack = start(Kind::Embedded, &receiver, "/status/503", "attempts = 2").await;
    reuse(&stack, "thief").await;
    counted(&stack, "given_up").await;
    assert_eq!(receiver.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_work_is_tried_once() {
    for status in [302, 400, 401, 404, 410] {
        let receiver = Recorder::start().await;
        let stack = start(Kind::Embedded, &receiver, &format!("/status/{status}"), "").await;
        reuse(&stack, "thief").await;
        counted(&stack, "given_up").await;
        assert_eq!(receiver.seen().len(), 1, "{status}");
        assert!(count(&stack, "failed").await < 0.5, "{status}");
    }
    for status in [408, 429] {
        let receiver = Recorder::start().await;
        let stack = start(Kind::Embedded, &receiver, &format!("/status/{status}"), "").await;
        reuse(&stack, "thief").await;
        counted(&stack, "failed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_its_way_is_delivered_before_the_gateway_ends() {
    let receiver = Recorder::start().await;
    let mut stack = start(Kind::Embedded, &receiver, "/hooks", "").await;
    reuse(&stack, "thief").await;
    assert!(stack.shut_down().await.unwrap());
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_section_nobody_is_told_and_the_log_and_the_count_say_it() {
    let stand = crate::process::Stand::start("").await;
    let mut alice = stand.client();
    alice.register("alice").await;
    alice.keep(&alice.try_login("alice", Client::PASSWORD).await);
    let stolen = alice.refresh_token();
    for _ in 0..2 {
        assert_eq!(alice.refresh().await.status, 200);
    }
    let request = alice.signed_out().request(Method::POST, "/auth/refresh").header("user-agent", "thief/1.0");
    alice.send(request.json(&json!({ "refresh_token": stolen }))).await;
    let logs = stand.stop().await;
    let line = logs.lines().find(|line| line.contains("a refresh token was used twice")).expect("it is in the log");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["target"], "auth");
    assert_eq!((&line["opened_from"], &line["client"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    assert_eq!(line["user_agent"], "thief/1.0");
    assert!(line["subject"].is_string() && line["session"].is_string() && line["opened_with"].is_string(), "{line}");
}
