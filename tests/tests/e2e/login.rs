//! Login by upstream: the gateway has no user table, takes JSON and forms, slows guessing down, and locks
//! nobody out for ever.

use std::time::Duration;

use portcullis_tests::{Client, Kind, Stack, on_both_stores, raw};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_login_upstream_is_told_which_request_it_is_and_from_where() {
    let mut stack = Stack::start(Kind::Embedded).await;
    stack.reload(|toml| toml.replacen("upstream = \"backend\"", "upstream = \"recorder\"", 1)).await.unwrap();
    let client = stack.anonymous();
    let body = json!({ "username": "alice", "password": "secret sauce", "tenant": 7 });
    let request = client.request(Method::POST, "/auth/login").header("X-Forwarded-For", "192.0.2.1").json(&body);
    let answer = client.send(request).await;
    assert_eq!(answer.problem(), "502 login_unusable: Sign-in is broken", "it names nobody");
    let seen = stack.recorder.last();
    assert_eq!(seen.target(), "POST /users/authenticate");
    assert_eq!(seen.header("x-request-id"), Some(answer.header("x-request-id")));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&seen.body).unwrap(), body, "what was sent is sent on");
}

on_both_stores! {
    async fn json_and_forms_log_in(kind: Kind) {
        let stack = Stack::start(kind).await;
        assert_eq!(stack.anonymous().register("alice").await.status, 201);
        let answer = stack.anonymous().try_login("alice", Client::PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        // Up to a twentieth shorter, so that clients that came together don't come back together.
        assert!((854..=900).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
        assert_eq!(body["refresh_expires_in"], 7 * 86400);
        let form = [("username", "alice"), ("password", Client::PASSWORD)];
        let answer = stack.anonymous().send(stack.anonymous().request(Method::POST, "/auth/login").form(&form)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    async fn an_unknown_user_and_a_wrong_password_look_alike(kind: Kind) {
        let stack = Stack::start(kind).await;
        stack.anonymous().register("alice").await;
        let mut wrong = stack.anonymous().try_login("alice", "wrong password").await;
        let mut unknown = stack.anonymous().try_login("nobody", "wrong password").await;
        assert_eq!(wrong.problem(), "401 bad_credentials: Wrong name or password");
        for answer in [&mut wrong, &mut unknown] {
            let mut body = answer.json();
            body["instance"] = json!("-");
            answer.body = body.to_string();
            answer.headers.remove("x-request-id");
            answer.headers.remove("date");
            answer.headers.remove("ratelimit");
        }
        assert_eq!((wrong.body, wrong.headers), (unknown.body, unknown.headers));
    }

    async fn bodies_that_can_be_read_in_two_ways_are_refused(kind: Kind) {
        let stack = Stack::start(kind).await;
        let post = |media_type: &'static str, body: String| {
            let client = stack.anonymous();
            async move {
                let request = client.request(Method::POST, "/auth/login").header("Content-Type", media_type).body(body);
                client.send(request).await.reason()
            }
        };
        assert_eq!(post("application/json", r#"{"username":"a","username":"b"}"#.to_owned()).await, "bad_body");
        assert_eq!(post("application/json", r#"{"password":"a"}"#.to_owned()).await, "bad_body");
        assert_eq!(post("text/plain", "username=a".to_owned()).await, "unsupported_media_type");
        assert_eq!(post("application/json", "x".repeat(17 * 1024)).await, "body_too_large");
        let undeclared = format!(
            "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4400\r\n{}\r\n0\r\n\r\n",
            "x".repeat(0x4400)
        );
        assert!(raw(stack.address(), undeclared.as_bytes()).await.contains("body_too_large"), "declared or not");
    }

    async fn guessing_gets_slower_and_nobody_is_locked_out(kind: Kind) {
        let stack = Stack::start(kind).await;
        stack.anonymous().register("alice").await;
        let mut delays = Vec::new();
        for _ in 0..14 {
            let answer = stack.anonymous().try_login("alice", "wrong password").await;
            let wait = match answer.reason().as_str() {
                "bad_credentials" => 0,
                "login_delayed" => answer.header("retry-after").parse().unwrap(),
                other => panic!("{other}"),
            };
            delays.push(wait);
            stack.clock.advance(Duration::from_secs(wait));
        }
        let waits: Vec<u64> = delays.into_iter().filter(|wait| *wait > 0).collect();
        assert!(waits.len() > 2 && waits.is_sorted_by(|a, b| a < b), "each is longer: {waits:?}");
        let right = stack.anonymous().try_login("alice", Client::PASSWORD).await;
        let wait: u64 = if right.status == 200 { 0 } else { right.header("retry-after").parse().unwrap() };
        stack.clock.advance(Duration::from_secs(wait));
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.status, 200);
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.status, 200, "all is forgiven");
    }

    async fn logins_are_limited_by_account_before_the_password_is_checked(kind: Kind) {
        let mut stack = Stack::builder(kind).login_limits(2, 1000).start().await;
        stack.anonymous().register("alice").await;
        for _ in 0..2 {
            assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.status, 200);
        }
        let limited = stack.anonymous().try_login("ALICE", Client::PASSWORD).await;
        assert_eq!(limited.problem(), "429 over_limit: Slow down");
        assert!((40..=60).contains(&limited.header("retry-after").parse().unwrap()), "{limited:?}");
        assert_eq!(stack.anonymous().try_login("bob", "whatever password").await.reason(), "bad_credentials");
        stack.clock.advance(Duration::from_mins(1));
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.status, 200);
        stack.stop_backend().await;
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.reason(), "over_limit", "nobody is asked");
    }

    async fn logins_are_limited_by_address(kind: Kind) {
        let stack = Stack::builder(kind).login_limits(1000, 2).start().await;
        for name in ["a", "b"] {
            assert_eq!(stack.anonymous().try_login(name, "whatever password").await.reason(), "bad_credentials");
        }
        assert_eq!(stack.anonymous().try_login("c", "whatever password").await.reason(), "over_limit");
    }

    async fn a_login_upstream_that_is_gone_is_not_a_wrong_password(kind: Kind) {
        let mut stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        stack.stop_backend().await;
        let answer = stack.anonymous().try_login("alice", Client::PASSWORD).await;
        assert_eq!(answer.problem(), "503 login_unavailable: Sign-in is unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(alice.refresh().await.status, 200, "refresh works");
        assert_eq!(alice.get("/echo/x").await.status, 200, "what is signed in stays so");
        assert_eq!(alice.logout("this").await.status, 204, "logout works");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_that_were_issued_together_do_not_expire_together() {
    let stack = Stack::start(Kind::Embedded).await;
    stack.login("alice").await;
    let mut lives = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let answer = stack.anonymous().try_login("alice", Client::PASSWORD).await;
        lives.insert(answer.json()["expires_in"].as_u64().unwrap());
    }
    assert!(lives.len() > 1 && lives.iter().all(|life| (854..=900).contains(life)), "{lives:?}");
}
