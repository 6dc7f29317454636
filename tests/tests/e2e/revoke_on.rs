//! What an upstream does ends sessions: whoever changes their password knows, once they are told that it was
//! done, that nobody else is signed in any more.

use std::time::{Duration, Instant};

use portcullis_tests::{Answer, Client, Kind, Stack, Visitor, eventually, on_both_stores};
use reqwest::Method;
use serde_json::json;

const REVOKING: &str = r#"
[sessions]
revoke_on = [
    { route = "password", sessions = "others" },
    { route = "users_me", sessions = "all" },
    { route = "disable", sessions = "all", user = "{id}" },
    { route = "echo_available", sessions = "others" },
    { route = "echo_optional", sessions = "all" },
]

[[route]]
id = "password"
match = { path = "/auth/password", methods = ["PUT"] }
upstream = "backend"
rewrite = "/users/me/password"
policy = "authenticated"

[[route]]
id = "disable"
match = { path = "/disable/{id}/*" }
upstream = "recorder"
policy = "authenticated"
"#;

async fn start(kind: Kind) -> Stack {
    Stack::builder(kind).extra(REVOKING).impatient().start().await
}

async fn change_password(client: &Client, current: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": "a wholly new one" });
    client.send(client.request(Method::PUT, "/auth/password").json(&body)).await
}

async fn signed_in(client: &Client) -> bool {
    client.get("/auth/me").await.status == 200
}

async fn subject(client: &Client) -> String {
    client.get("/auth/me").await.json()["sub"].as_str().unwrap().to_owned()
}

on_both_stores! {
    async fn a_new_password_signs_out_the_other_devices_at_once_and_keeps_this_one(kind: Kind) {
        let stack = start(kind).await;
        let mut phone = stack.login("alice").await;
        let (mut laptop, bob) = (stack.login_again("alice").await, stack.login("bob").await);
        assert_eq!(change_password(&phone, "not the password").await.status, 403);
        assert!(signed_in(&laptop).await, "a refused change ends nothing");

        let changed = change_password(&phone, Client::PASSWORD).await;
        assert!((200..300).contains(&changed.status), "{} {}", changed.status, changed.body);
        assert_eq!(laptop.get("/posts").await.reason(), "token_revoked");
        let told = laptop.refresh().await;
        assert_eq!(told.problem(), "401 refresh_ended: This session has ended");
        assert!(told.detail().contains("change of password"), "{}", told.detail());
        assert!(signed_in(&phone).await && signed_in(&bob).await);
        assert_eq!(phone.refresh().await.status, 200);
        let at_once = stack.metric(r#"portcullis_route_revocations_total{outcome="at_once"}"#).await;
        assert!((at_once - 1.0).abs() < f64::EPSILON, "{at_once}");
        assert!((stack.metric(r#"portcullis_sessions_ended_total{scope="route"}"#).await - 1.0).abs() < f64::EPSILON);
    }

    async fn a_deleted_account_is_signed_in_nowhere_and_reading_it_ends_nothing(kind: Kind) {
        let stack = start(kind).await;
        let (phone, laptop) = (stack.login("alice").await, stack.login_again("alice").await);
        assert_eq!(phone.get("/users/me").await.status, 200);
        assert!(signed_in(&phone).await && signed_in(&laptop).await, "a safe method changes nothing");
        assert!((200..300).contains(&phone.delete("/users/me").await.status));
        assert!(!signed_in(&phone).await && !signed_in(&laptop).await);
    }

    async fn a_user_is_named_by_the_path_and_only_a_success_counts(kind: Kind) {
        let stack = start(kind).await;
        let (alice, admin) = (stack.login("alice").await, stack.login("admin").await);
        let id = subject(&alice).await;
        for status in [304, 403, 500] {
            let path = format!("/disable/{id}/status/{status}");
            assert_eq!(admin.post(&path, &json!({})).await.status, status);
            assert!(signed_in(&alice).await, "{status}");
        }
        assert_eq!(admin.post("/disable/nobody-we-know/x", &json!({})).await.status, 200);
        assert!(signed_in(&alice).await && signed_in(&admin).await);
        assert_eq!(admin.post(&format!("/disable/{id}/x"), &json!({})).await.status, 200);
        assert!(!signed_in(&alice).await && signed_in(&admin).await);
        assert_eq!(stack.anonymous().post("/optional/x", &json!({})).await.status, 200, "nobody, so nobody's");
        assert!(signed_in(&admin).await);
    }
}

/// Does something whose success is to sign out others, while the store can't be asked.
async fn succeed_without_store(stack: &Stack, phone: &Client) {
    stack.redis.as_ref().unwrap().stall();
    let began = Instant::now();
    let answer = phone.post("/available/x", &json!({})).await;
    assert_eq!(answer.status, 200, "what was done is told: {}", answer.body);
    assert!(began.elapsed() < Duration::from_secs(3), "soon: {:?}", began.elapsed());
    assert!((stack.metric("portcullis_route_revocations_waiting").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_could_not_be_ended_end_when_the_store_is_back() {
    let stack = start(Kind::Redis).await;
    let (phone, laptop) = (stack.login("alice").await, stack.login_again("alice").await);
    succeed_without_store(&stack, &phone).await;
    stack.redis.as_ref().unwrap().resume();
    eventually("signed out", || async { laptop.get("/auth/me").await.reason() == "token_revoked" }).await;
    eventually("counted", || async {
        stack.metric(r#"portcullis_route_revocations_total{outcome="later"}"#).await > 0.5
            && stack.metric("portcullis_route_revocations_waiting").await < 0.5
    })
    .await;
    assert!(signed_in(&phone).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_what_was_not_ended_yet() {
    let mut stack = start(Kind::Redis).await;
    let (phone, laptop) = (stack.login("alice").await, stack.login_again("alice").await);
    succeed_without_store(&stack, &phone).await;
    let ending = stack.shut_down();
    stack.redis.as_ref().unwrap().resume();
    assert!(ending.await.unwrap(), "it is done in time");
    let elsewhere = stack.another_gateway().await;
    assert!(!signed_in(&elsewhere.with_access(&laptop.access_token())).await);
    assert!(signed_in(&elsewhere.with_access(&phone.access_token())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_ever() {
    let mut stack = start(Kind::Redis).await;
    let phone = stack.login("alice").await;
    succeed_without_store(&stack, &phone).await;
    let began = Instant::now();
    assert!(!stack.shut_down().await.unwrap(), "it says that something was not done");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_a_session_that_ended_itself_are_taken_back() {
    let stack = Stack::builder(Kind::Embedded).extra(REVOKING).extra("[cookies]\ndeliver = \"both\"\n").start().await;
    let mut alice = Visitor::new(&stack.anonymous());
    alice.login("alice").await;
    assert_eq!(stack.anonymous().register("bob").await.status, 201);
    let removed = alice.own(Method::DELETE, "/users/me");
    assert_eq!(alice.send(removed).await.status, 204);
    assert!(alice.jar.is_empty(), "{:?}", alice.jar.keys());

    let bob = stack.login_again("bob").await;
    let program = bob.request(Method::DELETE, "/users/me").header("cookie", "theme=dark");
    let answer = bob.send(program).await;
    assert!(!answer.headers.contains_key("set-cookie"), "cookies of others are nobody's business: {answer:?}");
}
