//! Refusals look alike: problem+json with a stable type, the request's name, and the headers that the
//! status calls for.

use portcullis_tests::{Kind, Stack, raw};

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_problem_with_the_requests_name() {
    let stack = Stack::start(Kind::Embedded).await;
    let answer = stack.anonymous().get("/echo/x").await;
    let mut body = answer.json();
    assert_eq!(body["instance"], answer.header("x-request-id"));
    body["instance"] = "-".into();
    body.sort_all_objects(); // Whether they keep their order is a feature of serde_json that anybody may turn on.
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "detail": "Send a good access token as `Authorization: Bearer …`.",
      "instance": "-",
      "status": 401,
      "title": "Sign in first",
      "type": "urn:portcullis:problem:no_credential"
    }
    "#);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    assert_eq!(answer.header("server"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_counted_under_its_reason() {
    let stack = Stack::start(Kind::Embedded).await;
    stack.anonymous().get("/echo/x").await;
    stack.anonymous().get("/nowhere").await;
    for line in [
        r#"portcullis_denied_total{reason="no_credential",route="echo"}"#,
        r#"portcullis_denied_total{reason="no_route",route="-"}"#,
        r#"portcullis_requests_total{reason="no_credential",route="echo",status="401"}"#,
    ] {
        let count = stack.metric(line).await;
        assert!((count - 1.0).abs() < f64::EPSILON, "{line} {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_has_the_answers_headers_and_no_body() {
    let stack = Stack::start(Kind::Embedded).await;
    let client = stack.anonymous();
    let answer = client.send(client.request(reqwest::Method::HEAD, "/echo/x")).await;
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    let get = client.get("/echo/x").await;
    assert_eq!(get.status, 401, "the connection is still in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_answers_on_its_own_port_only() {
    let stack = Stack::start(Kind::Embedded).await;
    let admin = stack.admin();
    assert_eq!(admin.get("/livez").await.body, "ok\n");
    assert_eq!(admin.get("/readyz").await.json()["ready"], true);
    assert!(admin.get("/metrics").await.body.contains("portcullis_build_info{version="));
    assert_eq!(admin.get("/nowhere").await.status, 404);
    let post = admin.send(admin.request(reqwest::Method::POST, "/metrics")).await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(stack.anonymous().get(path).await.reason(), "no_route", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_head_gets_no_body_of_a_refusal() {
    let stack = Stack::start(Kind::Embedded).await;
    for (head, status) in [
        ("HEAD /public/x HTTP/1.1\r\n\r\n", "400"), // No host: it is refused before it is a request.
        ("HEAD /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"),
    ] {
        let answer = raw(stack.address(), head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}
