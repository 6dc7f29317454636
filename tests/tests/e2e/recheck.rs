//! What users may do is asked for again when their sessions are renewed: new roles are in the next token, and
//! who is gone does not renew. An upstream that does not answer signs nobody out.

use portcullis_tests::{Client, Kind, Stack, on_both_stores};
use serde_json::json;

/// A stack whose recorder is the directory of users, which knows of one.
async fn stack(kind: Kind, terms: &str) -> Stack {
    let mut stack = Stack::start(kind).await;
    let terms = format!(
        "[login.recheck]\npath = \"/people/{{subject}}\"\ndisabled = \"/disabled\"\n{terms}\n[limits.login_account]"
    );
    let login = |toml: String| {
        let toml = toml.replace(
            "upstream = \"backend\"\npath = \"/users/authenticate\"",
            "upstream = \"recorder\"\npath = \"/login\"",
        );
        toml.replace("[limits.login_account]", &terms)
    };
    stack.reload(login).await.unwrap();
    stack.recorder.say("POST /login", 200, &json!({ "id": "u/1", "roles": ["user"] }).to_string());
    stack.recorder.say("GET /people/u%2F1", 200, &json!({ "roles": ["user"] }).to_string());
    stack
}

async fn login(stack: &Stack) -> Client {
    stack.login_again("alice").await
}

on_both_stores! {
    async fn new_roles_are_in_the_next_token(kind: Kind) {
        let stack = stack(kind, "").await;
        let mut alice = login(&stack).await;
        assert_eq!(alice.get("/admins/x").await.status, 403);
        stack.recorder.say("GET /people/u%2F1", 200, &json!({ "roles": ["user", "admin"] }).to_string());
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/admins/x").await.status, 200);
        stack.recorder.say("GET /people/u%2F1", 200, "{}");
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/admins/x").await.status, 403, "what is not said is not granted");
    }

    async fn who_is_gone_or_disabled_is_signed_out_everywhere(kind: Kind) {
        for (name, status, body) in [("gone", 404, "{}"), ("disabled", 200, r#"{"disabled":true}"#)] {
            let stack = stack(kind, "").await;
            let (mut alice, other) = (login(&stack).await, login(&stack).await);
            stack.recorder.say("GET /people/u%2F1", status, body);
            assert_eq!(alice.refresh().await.problem(), "401 refresh_ended: This session has ended", "{name}");
            assert_eq!(other.get("/echo/x").await.reason(), "token_revoked", "{name}: at once, and everywhere");
            stack.recorder.say("GET /people/u%2F1", 200, "{}");
            assert_eq!(alice.refresh().await.status, 401, "{name}: for good");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_does_not_answer_signs_nobody_out() {
    for (name, answer) in [("fails", 500), ("mistakes us for a stranger", 401), ("forbids us", 403)] {
        let stack = stack(Kind::Embedded, "").await;
        let mut alice = login(&stack).await;
        stack.recorder.say("GET /people/u%2F1", answer, "{}");
        assert_eq!(alice.refresh().await.status, 200, "it {name}");
        assert_eq!(stack.recorder.seen().last().unwrap().header("x-user-id"), Some("u/1"), "it was asked");
        stack.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(alice.get("/echo/x").await.status, 200);
        assert_eq!(stack.recorder.last().header("x-user-roles"), Some("user"), "it {name}: what was granted before");
    }
    for (name, body) in [
        ("not JSON", "user".to_owned()),
        ("too long", format!(r#"{{"roles":["user"],"bio":"{}"}}"#, "x".repeat(70_000))),
        ("neither disabled nor not", r#"{"disabled":"true"}"#.to_owned()),
    ] {
        let stack = stack(Kind::Embedded, "").await;
        let mut alice = login(&stack).await;
        stack.recorder.say("GET /people/u%2F1", 200, &body);
        assert_eq!(alice.refresh().await.reason(), "login_unusable", "{name}: not taken for good");
    }
    let stack = stack(Kind::Embedded, "unavailable = \"refuse\"").await;
    let mut alice = login(&stack).await;
    stack.recorder.say("GET /people/u%2F1", 500, "{}");
    assert_eq!(alice.refresh().await.reason(), "login_unavailable");
    stack.recorder.say("GET /people/u%2F1", 200, "{}");
    assert_eq!(alice.refresh().await.status, 200, "the token was not spent");
}
