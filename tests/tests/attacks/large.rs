//! Requests that are too large: heads of any kind, and bodies whether they say so or not. Nothing of a body is kept or
//! unpacked, and one that is refused half-way never looks whole to a server (CWE-770, CWE-409).

use http::Request;
use portcullis_tests::http2::{Http2, get};
use portcullis_tests::{Attack, Builder, Kind, Stack, assert_refused, raw};
use reqwest::Method;

fn stack() -> Builder {
    Stack::builder(Kind::Embedded).extra(
        r#"
[listeners.h2c]
address = "127.0.0.1:0"
h2c = true

[listeners.roomy]
address = "127.0.0.1:0"
h2c = true
max_header_bytes = "256KiB"

[[route]]
id = "small"
match = { path = "/small/*" }
upstream = "recorder"
policy = "public"
max_body = "10B"
"#,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_size() {
    let stack = stack().start().await;
    let refused = |name, bytes: String| Attack::new(name, "RFC 6585 §5", bytes, "431 malformed_request");
    let head = |fields: &str| format!("GET /public/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let attacks = [
        refused("one long value", head(&format!("X: {}", "x".repeat(33_000)))),
        refused("one long name", head(&format!("{}: x", "x".repeat(33_000)))),
        refused("many fields", head(&"X: x\r\n".repeat(100))),
        refused("a long target", format!("GET /public/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(33_000))),
        refused("a head without end", format!("GET /public/x HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(40_000))),
        refused("a method without end", "X".repeat(40_000)),
    ];
    assert_refused(&stack, &attacks).await;
    let most = head(&format!("X: {}", "x".repeat(32_000)));
    assert!(raw(stack.address(), most.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_the_size_that_its_listener_lets_through_whatever_it_speaks() {
    let stack = stack().start().await;
    let roomy = stack.listener("roomy");
    for (length, expected) in [(30_000, [200, 200]), (40_000, [431, 200]), (200_000, [431, 200]), (270_000, [431, 431])]
    {
        let long = "x".repeat(length);
        for (listener, expected) in [stack.listener("h2c"), roomy].into_iter().zip(expected) {
            let head = format!("GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {long}\r\n\r\n");
            let answer = raw(listener, head.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{length} bytes: {answer}");
            let request = get("/public/x").header("x", &long).body(()).unwrap();
            // Who sends many times as much gets no answer, but the end of the connection.
            let answer = Http2::connect(listener).await.send(request, "").await;
            assert_eq!(answer.map_or(431, |answer| answer.status), expected, "{length} bytes over HTTP/2");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_the_size_that_its_route_lets_through() {
    let stack = stack().start().await;
    let refused = |name, lines: &str, body: &str| {
        let bytes = format!("POST /small/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}");
        Attack::new(name, "RFC 9110 §15.5.14", bytes, "413 body_too_large")
    };
    let attacks = [
        refused("a length that says so", "Content-Length: 11", ""),
        refused("a length, and who waits for a word", "Content-Length: 11\r\nExpect: 100-continue", ""),
        refused("much of it", "Content-Length: 900000", &"x".repeat(900_000)),
        refused("one chunk", "Transfer-Encoding: chunked", "b\r\n01234567890\r\n0\r\n\r\n"),
        refused("many chunks", "Transfer-Encoding: chunked", &"1\r\nx\r\n".repeat(11)),
        refused("many chunks at once", "Transfer-Encoding: chunked", &"1\r\nx\r\n".repeat(50_000)),
    ];
    assert_refused(&stack, &attacks).await;
    for (lines, body) in
        [("Content-Length: 10", "0123456789"), ("Transfer-Encoding: chunked", "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")]
    {
        let bytes = format!("POST /small/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}");
        assert!(raw(stack.address(), bytes.as_bytes()).await.starts_with("HTTP/1.1 200 "), "{lines}");
    }
    let denied = "portcullis_denied_total{reason=\"body_too_large\",route=\"small\"}";
    assert!(stack.metric(denied).await >= 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_http2_has_the_same_size() {
    let stack = stack().start().await;
    let mut client = Http2::connect(stack.listener("h2c")).await;
    let post = || Request::post("http://gateway.test/small/x").body(()).unwrap();
    assert_eq!(client.send(post(), "0123456789").await.unwrap().status, 200);
    assert_eq!(stack.recorder.seen().len(), 1);
    let (answer, mut body) = client.open(post()).await.unwrap();
    body.send_data(vec![b'x'; 11].into(), false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 413);
    let says_so = Request::post("http://gateway.test/small/x").header("content-length", "11").body(()).unwrap();
    let (answer, _body) = client.open(says_so).await.unwrap();
    assert_eq!(answer.await.unwrap().status(), 413);
    assert_eq!(stack.recorder.seen().len(), 1, "nothing of it looked whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unpacked() {
    let stack = stack().start().await;
    // A mebibyte of zeros, packed by gzip, is what this claims to be; nobody looks.
    let bomb = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xc1".to_vec();
    let client = stack.anonymous();
    let request = client.request(Method::POST, "/public/x").header("Content-Encoding", "gzip").body(bomb.clone());
    assert_eq!(client.send(request).await.status, 200);
    assert_eq!(stack.recorder.last().body, bomb);
}
