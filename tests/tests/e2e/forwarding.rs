//! What is forwarded is what was permitted, byte for byte; bodies, upgrades and rewrites take exactly the
//! same way.

use std::time::Duration;

use portcullis_tests::{Kind, Recorder, Stack, raw};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_queries_arrive_as_they_were_sent() {
    let stack = Stack::start(Kind::Embedded).await;
    let alice = stack.login("alice").await;
    let body = vec![7; 300_000];
    let answer = alice.send(alice.request(Method::PUT, "/echo/a?b=c&d=%2F").body(body.clone())).await;
    assert_eq!(answer.status, 200);
    let seen = stack.recorder.last();
    assert_eq!(seen.target(), "PUT /echo/a?b=c&d=%2F");
    assert_eq!(seen.body, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_refusals_pass_through_with_our_request_id() {
    let stack = Stack::start(Kind::Embedded).await;
    let answer = stack.anonymous().get("/public/status/418").await;
    assert_eq!(answer.status, 418);
    assert_eq!(answer.header("x-request-id"), stack.recorder.last().header("x-request-id").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_changes_the_path_and_nothing_else() {
    let stack = Stack::start(Kind::Embedded).await;
    let route = r#"
        [[route]]
        id = "rewritten"
        match = { path = "/api/{version}/*" }
        upstream = "recorder"
        rewrite = "/internal/{version}/*"
        policy = "public"
    "#;
    let mut stack = stack;
    stack.reload(|toml| toml + route).await.unwrap();
    stack.anonymous().get("/api/v2/a/b?c=d").await;
    assert_eq!(stack.recorder.last().target(), "GET /internal/v2/a/b?c=d");
}

async fn upgrade(stack: &Stack, authorization: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stack.address()).await.unwrap();
    let request = format!(
        "GET /echo/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-User-Id: forged\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_admitted_like_anything_else() {
    let stack = Stack::start(Kind::Embedded).await;
    let refused = read_some(&mut upgrade(&stack, "").await).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert!(stack.recorder.seen().is_empty());

    let alice = stack.login("alice").await;
    let mut tunnel = upgrade(&stack, &format!("Authorization: Bearer {}\r\n", alice.access_token())).await;
    let accepted = read_some(&mut tunnel).await;
    assert!(accepted.starts_with("HTTP/1.1 101"), "{accepted}");
    tunnel.write_all(b"ping").await.unwrap();
    assert_eq!(read_some(&mut tunnel).await, "ping");
    let seen = stack.recorder.last();
    assert_ne!(seen.header("x-user-id"), Some("forged"));
    assert!(seen.header("x-user-id").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_no_more_patience_by_calling_itself_an_upgrade() {
    let stack = Stack::start(Kind::Embedded).await;
    for (method, protocol) in [(Method::GET, "h2c"), (Method::POST, "websocket")] {
        let request = stack.anonymous().request(method, "/public/stall");
        let request = request.header("Connection", "Upgrade").header("Upgrade", protocol);
        let answer = tokio::time::timeout(Duration::from_secs(5), stack.anonymous().send(request)).await;
        assert_eq!(answer.expect(protocol).reason(), "upstream_timeout");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_tried_when_one_can_not_be_reached() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let alive = Recorder::start().await;
    let pool = format!(
        "\n[upstreams.pair]\nservers = [\"{dead}\", \"{}\"]\nhealth = {{ interval = \"1h\" }}\n\
         [[route]]\nid = \"pair\"\nmatch = {{ path = \"/pair/*\" }}\nupstream = \"pair\"\npolicy = \"public\"\n",
        alive.address()
    );
    stack.reload(|toml| toml + pool.as_str()).await.unwrap();
    for _ in 0..4 {
        assert_eq!(stack.anonymous().get("/pair/x").await.status, 200);
    }
    assert_eq!(alive.seen().len(), 4);
}

/// A server that answers each connection's first request and closes it at the second, without a word.
async fn forgetful() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                read_some(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                read_some(&mut stream).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_the_only_server_closes_is_no_failure() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let pool = format!(
        "\n[upstreams.alone]\nservers = [\"{}\"]\nhealth = {{ interval = \"1h\" }}\n\
         [[route]]\nid = \"alone\"\nmatch = {{ path = \"/alone/*\" }}\nupstream = \"alone\"\npolicy = \"public\"\n",
        forgetful().await
    );
    stack.reload(|toml| toml + pool.as_str()).await.unwrap();
    for _ in 0..4 {
        let answer = stack.anonymous().get("/alone/x").await;
        assert_eq!((answer.status, answer.reason().as_str()), (200, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_could_read_as_two_requests_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    for (name, head) in [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("an unknown encoding", "Transfer-Encoding: xchunked\r\n"),
        ("two hosts", "Host: b\r\n"),
    ] {
        let request = format!(
            "POST /public/x HTTP/1.1\r\nHost: a\r\n{head}\r\n0\r\n\r\nGET /public/y HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = raw(stack.address(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{name}: the connection is closed");
    }
    assert!(raw(stack.address(), b"GET /public/x HTTP/1.0\r\nHost: a\r\n\r\n").await.contains(" 505 "));
    assert!(raw(stack.address(), b"GET /public/x HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert!(stack.recorder.seen().is_empty(), "nothing of it was forwarded");
}
