//! Logout is real: one write revokes a token, a session or all of a user's sessions, on every gateway.

use std::time::Duration;

use portcullis_tests::{Client, Kind, Stack, on_both_stores};
use reqwest::Method;
use serde_json::json;

async fn signed_in(client: &Client) -> bool {
    match client.get("/users/me").await.status {
        200 => true,
        401 => false,
        other => panic!("neither signed in nor out: {other}"),
    }
}

on_both_stores! {
    async fn logging_out_ends_this_session_and_no_other(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        assert_eq!(phone.logout("this").await.status, 204);
        assert_eq!(phone.get("/users/me").await.problem(), "401 token_revoked: The access token was revoked");
        let told = phone.refresh().await;
        assert_eq!(told.problem(), "401 refresh_ended: This session has ended");
        assert_eq!(told.detail(), "You signed out, on this device or from another one. Sign in again.");
        assert!(signed_in(&laptop).await);
    }

    async fn logging_out_others_keeps_this_session(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        let bob = stack.login("bob").await;
        assert_eq!(phone.logout("others").await.status, 204);
        assert!(signed_in(&phone).await);
        assert!(!signed_in(&laptop).await);
        assert!(signed_in(&bob).await, "others of the same user");
        assert_eq!(phone.refresh().await.status, 200);
    }

    async fn logging_out_everywhere_voids_every_token_of_the_user(kind: Kind) {
        let mut stack = Stack::start(kind).await;
        let phone = stack.login("alice").await;
        let mut laptop = stack.login_again("alice").await;
        let bob = stack.login("bob").await;
        assert_eq!(phone.logout("all").await.status, 204);
        assert!(!signed_in(&phone).await);
        assert!(!signed_in(&laptop).await);
        assert_eq!(laptop.refresh().await.reason(), "refresh_ended");
        assert!(signed_in(&bob).await);
        stack.restart().await;
        assert!(!signed_in(&stack.anonymous().with_access(&phone.access_token())).await, "after a restart too");
        assert!(signed_in(&stack.login_again("alice").await).await, "and a new login works");
    }

    async fn a_logout_outlives_tokens_that_live_longer_on_another_gateway(kind: Kind) {
        let mut stack = Stack::builder(kind).tokens("access_ttl = \"5m\"").start().await;
        let mut elsewhere = stack.another_gateway_with(|toml| toml.replace("\"5m\"", "\"1h\"")).await;
        for scope in ["this", "all"] {
            let bob = stack.login("bob").await;
            let renewed = elsewhere.refresh_with(&bob.refresh_token()).await;
            elsewhere.keep(&renewed);
            stack.clock.advance(Duration::from_secs(1));
            assert!(signed_in(&elsewhere).await);
            assert_eq!(bob.with_access(&elsewhere.access_token()).logout(scope).await.status, 204);
            stack.clock.advance(Duration::from_mins(50));
            assert_eq!(elsewhere.get("/users/me").await.reason(), "token_revoked", "{scope}");
            stack.clock.advance(Duration::from_mins(11)); // with the leeway
            assert_eq!(elsewhere.get("/users/me").await.reason(), "token_expired", "{scope}");
        }
    }

    async fn a_refresh_token_can_log_out_when_the_access_token_is_gone(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut alice = stack.login("alice").await;
        let body = json!({ "refresh_token": alice.refresh_token() });
        assert_eq!(alice.signed_out().post("/auth/logout", &body).await.status, 204);
        assert!(!signed_in(&alice).await);
        assert_eq!(alice.refresh().await.reason(), "refresh_ended");
        assert_eq!(alice.signed_out().post("/auth/logout", &body).await.status, 204, "ending what has ended is no error");
        let bob = stack.login("bob").await;
        let body = json!({ "refresh_token": bob.refresh_token() });
        assert_eq!(bob.with_access("expired").post("/auth/logout", &body).await.status, 204, "whatever else is attached");
        assert!(!signed_in(&bob).await);
        assert_eq!(stack.anonymous().logout("this").await.reason(), "no_credential");
        assert_eq!(alice.with_access("x").logout("this").await.reason(), "token_invalid");
    }

    async fn an_old_refresh_token_ends_its_own_session_at_most(kind: Kind) {
        let stack = Stack::start(kind).await;
        let mut phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        let found = json!({ "refresh_token": phone.refresh_token() });
        assert_eq!(phone.refresh().await.status, 200);
        stack.clock.advance(std::time::Duration::from_mins(1));
        let logout = |scope: &str| format!("/auth/logout?scope={scope}");
        for scope in ["others", "all"] {
            assert_eq!(stack.anonymous().post(&logout(scope), &found).await.reason(), "refresh_invalid", "{scope}");
        }
        assert!(signed_in(&phone).await && signed_in(&laptop).await);
        assert_eq!(stack.anonymous().post(&logout("this"), &found).await.status, 204);
        assert!(!signed_in(&phone).await && signed_in(&laptop).await);
    }

    async fn logout_takes_one_scope_that_it_knows(kind: Kind) {
        let stack = Stack::start(kind).await;
        let alice = stack.login("alice").await;
        for scope in ["everything", "", "this&scope=all"] {
            assert_eq!(alice.logout(scope).await.reason(), "bad_body", "{scope}");
        }
        assert_eq!(alice.delete("/auth/logout").await.status, 204);
    }

    async fn sessions_are_listed_and_ended_one_by_one(kind: Kind) {
        let stack = Stack::start(kind).await;
        let phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        let bob = stack.login("bob").await;
        let list = phone.get("/auth/sessions").await.json();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{list}");
        assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
        assert_eq!(items[0]["address"], "127.0.0.1");

        let laptops = laptop.get("/auth/me").await.json()["sid"].as_str().unwrap().to_owned();
        assert_eq!(bob.delete(&format!("/auth/sessions/{laptops}")).await.reason(), "no_such_session");
        assert!(signed_in(&laptop).await, "nobody ends a stranger's session");
        assert_eq!(phone.delete(&format!("/auth/sessions/{laptops}")).await.status, 204);
        assert!(!signed_in(&laptop).await);
        assert!(signed_in(&phone).await);
        assert_eq!(phone.delete("/auth/sessions/garbage").await.reason(), "no_such_session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_though_the_store_lost_the_session() {
    let stack = Stack::start(Kind::Redis).await;
    stack.login("alice").await.logout("all").await;
    for scope in ["all", "this"] {
        let alice = stack.login_again("alice").await;
        stack.redis.as_ref().unwrap().flush().await;
        assert!(signed_in(&alice).await, "an access token needs no session");
        assert_eq!(alice.logout(scope).await.status, 204);
        assert!(!signed_in(&alice).await, "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_on_every_gateway() {
    let mut stack = Stack::start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let elsewhere = stack.another_gateway().await.with_access(&alice.access_token());
    assert!(signed_in(&elsewhere).await);
    assert_eq!(alice.logout("this").await.status, 204);
    assert!(!signed_in(&elsewhere).await);
    let unknown = alice.request(Method::GET, "/auth/logout");
    assert_eq!(alice.send(unknown).await.reason(), "method_not_allowed");
}
