//! Who may pass: default deny, and each policy lets through exactly those it names.

use portcullis_tests::{Forge, Kind, Stack};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_names_is_not_there() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    for path in ["/", "/users", "/users/authenticate", "/Posts", "/echo", "/nowhere"] {
        let answer = alice.get(path).await;
        let expected = if path == "/echo" { "" } else { "no_route" };
        assert_eq!(answer.reason(), expected, "{path} {}", answer.body);
    }
    let login_upstream = alice.post("/users/authenticate", &json!({})).await;
    assert_eq!(login_upstream.reason(), "no_route", "credentials are checked by the gateway only");
    let answer = alice.send(alice.request(Method::PATCH, "/users/me")).await;
    assert_eq!(answer.problem(), "405 method_not_allowed: Method not allowed");
    assert_eq!(answer.header("allow"), "DELETE, GET, PUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_lets_through_whom_it_names() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let mut claims = Forge::claims_of(&alice.access_token());
    claims["roles"] = json!(["admin"]);
    claims["scope"] = json!("posts:read posts:write");
    let mighty = alice.with_access(&stack.forge.sign(&stack.forge.header(), &claims));
    let anonymous = stack.anonymous();
    for (path, nobody, user, all) in [
        ("/public/x", "", "", ""),
        ("/optional/x", "", "", ""),
        ("/echo/x", "no_credential", "", ""),
        ("/admins/x", "no_credential", "missing_role", ""),
        ("/scoped/x", "no_credential", "missing_scope", ""),
    ] {
        assert_eq!(anonymous.get(path).await.reason(), nobody, "nobody at {path}");
        assert_eq!(alice.get(path).await.reason(), user, "a user at {path}");
        assert_eq!(mighty.get(path).await.reason(), all, "an admin at {path}");
    }
    let scoped = alice.get("/scoped/x").await;
    assert_eq!(scoped.header("www-authenticate"), r#"Bearer error="insufficient_scope", scope="posts:write""#);
    assert_eq!(anonymous.get("/echo/x").await.header("www-authenticate"), "Bearer", "RFC 6750 §3.1: no error code");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_path_decides_and_is_forwarded() {
    let stack = Stack::start(Kind::Embedded).await;
    let get = |target: &'static str| {
        let address = stack.address();
        async move {
            portcullis_tests::raw(
                address,
                format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .await
        }
    };
    for (target, status, seen) in [
        ("/public/a/../b", "200", "GET /public/b"),
        ("/public//a", "200", "GET /public/a"),
        ("/public/%61?q=%2e%2e", "200", "GET /public/a?q=%2e%2e"),
        ("http://a/public/c", "200", "GET /public/c"),
    ] {
        assert!(get(target).await.starts_with(&format!("HTTP/1.1 {status}")), "{target}");
        assert_eq!(stack.recorder.last().target(), seen);
    }
    let forwarded = stack.recorder.seen().len();
    for target in ["/public/../echo/x", "/public/%2e%2e/echo/x", "//echo/x", "/%65cho/x"] {
        assert!(get(target).await.starts_with("HTTP/1.1 401"), "{target} is the protected route");
    }
    for target in ["/public/..%2fecho/x", "/public/%5c../x", "/public/%00", "/public;/x", "/public/%252e", "/.."] {
        assert!(get(target).await.starts_with("HTTP/1.1 400"), "{target}");
    }
    assert_eq!(stack.recorder.seen().len(), forwarded, "nothing of it was forwarded");
}
