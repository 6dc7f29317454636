//! Administration over HTTP: whoever has the admin token sees and ends any session and disables users, and
//! nobody else does; what was done is written down.

use std::collections::BTreeSet;

use portcullis_tests::{Answer, Client, Kind, Stack, on_both_stores};
use reqwest::Method;
use serde_json::json;

const TOKEN: &str = "Zk3vR8qLw1XbT6yHn0PcJ5sUd9GfMa2e";

async fn start(kind: Kind) -> Stack {
    Stack::builder(kind).file("admin-token", TOKEN).admin("token = { file = \"admin-token\" }").start().await
}

fn office(stack: &Stack) -> Client {
    stack.admin().with_access(TOKEN)
}

async fn post(client: &Client, path: &str) -> Answer {
    client.send(client.request(Method::POST, path)).await
}

/// The session and the user of a client.
async fn names(client: &Client) -> (String, String) {
    let me = client.get("/auth/me").await.json();
    (me["sid"].as_str().unwrap().to_owned(), me["sub"].as_str().unwrap().to_owned())
}

on_both_stores! {
    async fn only_the_admin_token_administers(kind: Kind) {
        let stack = start(kind).await;
        let alice = stack.login("alice").await;
        let (sid, user) = names(&alice).await;
        let path = format!("/admin/v1/sessions/{sid}");
        let nobody = stack.admin();
        let missing = nobody.delete(&path).await;
        assert_eq!(missing.problem(), "401 admin_token_missing: Send the admin token");
        assert_eq!(missing.header("www-authenticate"), "Bearer");
        assert_eq!(missing.header("content-type"), "application/problem+json");
        for wrong in ["wrong", &TOKEN[1..], &format!("{TOKEN}x"), &alice.access_token()] {
            let refused = nobody.with_access(wrong).delete(&path).await;
            assert_eq!(refused.problem(), "401 admin_token_invalid: Not the admin token", "{wrong}");
            assert_eq!(refused.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        }
        for query in ["token", "access_token", "admin_token"] {
            let refused = nobody.delete(&format!("{path}?{query}={TOKEN}")).await;
            assert_eq!(refused.reason(), "admin_token_missing", "a URL ends up in logs: {query}");
        }
        assert_eq!(post(&nobody, &format!("/admin/v1/users/{user}/disable")).await.status, 401);
        assert_eq!(nobody.get("/admin/v1/nothing").await.status, 401, "strangers do not learn what there is");
        assert_eq!(alice.get("/users/me").await.status, 200, "nothing was done");
        assert_eq!(office(&stack).delete(&path).await.status, 204);
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(nobody.get(path).await.status, 200, "{path} needs no token");
        }
        assert_eq!(stack.anonymous().with_access(TOKEN).get(&path).await.reason(), "no_route", "not on the front door");
    }

    async fn sessions_are_listed_and_inspected(kind: Kind) {
        let stack = start(kind).await;
        let mut phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        stack.login("bob").await;
        phone.refresh().await;
        let (sid, user) = names(&phone).await;
        let list = office(&stack).get(&format!("/admin/v1/users/{user}/sessions")).await.json();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{list}");
        assert_eq!(items[1]["sid"], names(&laptop).await.0);
        let one = office(&stack).get(&format!("/admin/v1/sessions/{sid}")).await.json();
        assert_eq!(one, items[0]);
        assert_eq!((&one["subject"], &one["generation"], &one["address"]), (&json!(user), &json!(1), &json!("127.0.0.1")));
        let keys: BTreeSet<_> = one.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["address", "created_at", "expires_at", "generation", "last_used_at", "roles", "scopes", "sid", "subject", "user_agent"];
        assert_eq!(keys, BTreeSet::from(expected), "and no hash of a token");
        let state = office(&stack).get(&format!("/admin/v1/users/{user}")).await.json();
        assert_eq!(state, json!({ "subject": user, "disabled": false, "epoch": 0, "sessions": 2 }));
        let unknown = office(&stack).get("/admin/v1/users/a%2Fb%40c").await.json();
        assert_eq!(unknown, json!({ "subject": "a/b@c", "disabled": false, "epoch": 0, "sessions": 0 }));
    }

    async fn ending_one_session_leaves_the_others(kind: Kind) {
        let stack = start(kind).await;
        let mut phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        let (sid, _) = names(&phone).await;
        let path = format!("/admin/v1/sessions/{sid}");
        assert_eq!(office(&stack).delete(&path).await.status, 204);
        assert_eq!(phone.get("/users/me").await.reason(), "token_revoked");
        let renewal = phone.refresh().await;
        assert_eq!(renewal.reason(), "refresh_ended");
        assert!(renewal.body.contains("You were signed out for your safety"), "{}", renewal.body);
        assert_eq!(laptop.get("/users/me").await.status, 200);
        assert_eq!(office(&stack).delete(&path).await.problem(), "404 no_such_session: No such session");
        assert_eq!(office(&stack).get(&path).await.reason(), "no_such_session");
    }

    async fn ending_all_sessions_of_a_user_voids_every_token(kind: Kind) {
        let stack = start(kind).await;
        let phone = stack.login("alice").await;
        let laptop = stack.login_again("alice").await;
        let bob = stack.login("bob").await;
        let (_, user) = names(&phone).await;
        let ended = office(&stack).delete(&format!("/admin/v1/users/{user}/sessions")).await;
        assert_eq!((ended.status, ended.json()), (200, json!({ "ended": 2 })));
        for client in [&phone, &laptop] {
            assert_eq!(client.get("/users/me").await.reason(), "token_revoked");
        }
        assert_eq!(bob.get("/users/me").await.status, 200, "of this user only");
        assert!(office(&stack).get(&format!("/admin/v1/users/{user}")).await.json()["epoch"].as_u64().unwrap() > 0);
        assert_eq!(stack.login_again("alice").await.get("/users/me").await.status, 200, "and a new login works");
    }

    async fn a_disabled_user_is_out_until_enabled_and_old_tokens_stay_dead(kind: Kind) {
        let mut stack = start(kind).await;
        let mut alice = stack.login("alice").await;
        let (_, user) = names(&alice).await;
        let elsewhere = stack.another_gateway().await;
        assert_eq!(elsewhere.with_access(&alice.access_token()).get("/users/me").await.status, 200);

        let disabled = post(&office(&stack), &format!("/admin/v1/users/{user}/disable")).await;
        assert_eq!((&disabled.json()["disabled"], &disabled.json()["sessions"]), (&json!(true), &json!(0)));
        for client in [&alice, &elsewhere.with_access(&alice.access_token())] {
            assert_eq!(client.get("/users/me").await.reason(), "token_revoked", "at once, on every gateway");
        }
        let renewal = alice.refresh().await;
        assert_eq!(renewal.reason(), "refresh_ended");
        assert!(renewal.body.contains("The account was disabled"), "{}", renewal.body);
        assert_eq!(stack.anonymous().try_login("alice", Client::PASSWORD).await.reason(), "user_disabled");

        let enabled = post(&office(&stack), &format!("/admin/v1/users/{user}/enable")).await;
        assert_eq!(enabled.json()["disabled"], false);
        assert_eq!(alice.get("/users/me").await.reason(), "token_revoked", "old tokens stay dead");
        assert_eq!(alice.refresh().await.reason(), "refresh_ended");
        assert_eq!(stack.login_again("alice").await.get("/users/me").await.status, 200);
    }

    async fn what_it_can_not_do_it_refuses_as_problems(kind: Kind) {
        let stack = start(kind).await;
        let office = office(&stack);
        for (path, reason) in [
            ("/admin/v1/users/a%20b", "bad_id"),
            ("/admin/v1/users/a%zz", "bad_id"),
            ("/admin/v1/sessions/garbage", "bad_id"),
            ("/admin/v1/nothing", "no_route"),
            ("/admin/v1/", "no_route"),
            ("/admin/v2/users/alice", "no_route"),
        ] {
            assert_eq!(office.get(path).await.reason(), reason, "{path}");
        }
        let wrong = post(&office, "/admin/v1/users/alice/sessions").await;
        assert_eq!((wrong.reason().as_str(), wrong.header("allow")), ("method_not_allowed", "GET, DELETE"));
        let counted = stack.metric(r#"portcullis_admin_calls_total{action="show_user",outcome="bad_id"}"#).await;
        assert!((counted - 2.0).abs() < f64::EPSILON, "{counted}");
    }

    async fn wrong_tokens_are_limited(kind: Kind) {
        let stack = start(kind).await;
        for _ in 0..10 {
            assert_eq!(stack.admin().with_access("wrong").get("/admin/v1/users/a").await.status, 401);
        }
        let limited = office(&stack).get("/admin/v1/users/a").await;
        assert_eq!((limited.reason().as_str(), limited.header("retry-after")), ("over_limit", "6"));
        stack.clock.advance(std::time::Duration::from_secs(6));
        assert_eq!(office(&stack).get("/admin/v1/users/a").await.status, 200);
    }

    async fn a_reload_changes_the_token(kind: Kind) {
        let mut stack = start(kind).await;
        let next = TOKEN.chars().rev().collect::<String>();
        std::fs::write(stack.folder().join("admin-token"), &next).unwrap();
        stack.reload(|toml| toml).await.unwrap();
        assert_eq!(office(&stack).get("/admin/v1/users/a").await.reason(), "admin_token_invalid");
        assert_eq!(stack.admin().with_access(&next).get("/admin/v1/users/a").await.status, 200);
        stack.reload(|toml| toml.replace("token = { file = \"admin-token\" }", "")).await.unwrap();
        let off = stack.admin().with_access(&next).get("/admin/v1/users/a").await;
        assert_eq!(off.problem(), "404 admin_api_off: The admin API is not served");
        assert!(off.body.contains("Write [admin] token = "), "{}", off.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_nothing_is_known_and_nothing_done() {
    let mut stack = start(Kind::Redis).await;
    let alice = stack.login("alice").await;
    let (sid, user) = names(&alice).await;
    stack.redis.as_ref().unwrap().stall();
    let unknown = office(&stack).delete(&format!("/admin/v1/sessions/{sid}")).await;
    assert_eq!((unknown.status, unknown.reason().as_str()), (503, "store_unavailable"));
    assert!(!unknown.header("retry-after").is_empty());
    assert_eq!(post(&office(&stack), &format!("/admin/v1/users/{user}/disable")).await.status, 503);
    stack.redis.as_mut().unwrap().resume();
    portcullis_tests::eventually("the store answers", || async { alice.get("/users/me").await.status == 200 }).await;
    assert_eq!(office(&stack).get(&format!("/admin/v1/users/{user}")).await.json()["disabled"], false);
}
