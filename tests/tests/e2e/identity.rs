//! Identity can't be forged: what was checked is exactly what is sent, and every alias of a managed header
//! is dropped, on public routes too.

use portcullis_tests::{Kind, Stack, raw};
use reqwest::Method;

const ALIASES: [&str; 12] = [
    "X-User-Id",
    "x_user_id",
    "X-User_Id",
    "X.User.Id",
    "XUserId",
    "X-User-Roles",
    "x_user_roles",
    "X-Session-Id",
    "X-Request-Id",
    "X-Forwarded-User-Id",
    "X-Real-IP",
    "Forwarded",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_alias_of_a_managed_header_is_dropped() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    for path in ["/public/x", "/optional/x", "/echo/x"] {
        let client = if path.starts_with("/echo") { alice.clone() } else { stack.anonymous() };
        let mut request = client.request(Method::GET, path);
        for alias in ALIASES {
            request = request.header(alias, "forged");
        }
        assert_eq!(client.send(request).await.status, 200, "{path}");
        let seen = stack.recorder.last();
        assert!(!seen.head.contains("forged"), "{path}:\n{}", seen.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_only_looks_like_framing_is_dropped() {
    let stack = Stack::start(Kind::Embedded).await;
    let request = b"GET /public/x HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent_Length: 5\r\nConnection: close\r\n\r\n";
    assert!(raw(stack.address(), request).await.starts_with("HTTP/1.1 200"));
    let names = stack.recorder.last().names();
    assert!(!names.iter().any(|name| name.contains('_')), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_header_that_names_what_it_may_not_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let answer = raw(stack.address(), b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("malformed_request"), "{answer}");
    let metrics = stack.admin().get("/metrics").await.body;
    assert!(!metrics.contains("portcullis_upstream_failures_total{"), "it is no fault of the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_who_is_calling_and_not_how() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let me = alice.get("/auth/me").await.json();
    let answer = alice.get("/echo/x").await;
    let seen = stack.recorder.last();
    assert_eq!(seen.header("x-user-id"), me["sub"].as_str());
    assert_eq!(seen.header("x-user-roles"), Some("user"));
    assert_eq!(seen.header("x-session-id"), me["sid"].as_str());
    assert_eq!(seen.header("x-request-id"), Some(answer.header("x-request-id")));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some(stack.address().to_string().as_str()));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));

    alice.get("/token/x").await;
    let token = format!("Bearer {}", alice.access_token());
    assert_eq!(stack.recorder.last().header("authorization"), Some(token.as_str()), "where the route says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_route_never_names_a_user_and_an_optional_one_only_a_real_one() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    alice.get("/public/x").await;
    let seen = stack.recorder.last();
    assert_eq!((seen.header("x-user-id"), seen.header("authorization")), (None, None));
    alice.get("/optional/x").await;
    assert!(stack.recorder.last().header("x-user-id").is_some());
    stack.anonymous().get("/optional/x").await;
    assert_eq!(stack.recorder.last().header("x-user-id"), None);
    assert_eq!(alice.with_access("bad").get("/optional/x").await.reason(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_is_believed_about_the_client() {
    let forwarded = |client: portcullis_tests::Client| {
        let request = client.request(Method::GET, "/public/x");
        request.header("X-Forwarded-For", "198.51.100.7, 203.0.113.9").header("X-Forwarded-Proto", "https")
    };
    let stack = Stack::start(Kind::Embedded).await;
    stack.anonymous().send(forwarded(stack.anonymous())).await;
    let seen = stack.recorder.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));

    let mut stack = stack;
    stack.reload(|toml| format!("trusted_proxies = [\"127.0.0.0/8\"]\n{toml}")).await.unwrap();
    stack.anonymous().send(forwarded(stack.anonymous())).await;
    let seen = stack.recorder.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("198.51.100.7, 203.0.113.9, 127.0.0.1"));
    assert_eq!(seen.header("x-real-ip"), Some("203.0.113.9"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}
