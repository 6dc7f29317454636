//! HTTP/2 is served like HTTP/1.1: the same routes, identities and refusals, and streams that end when their session
//! does.

use std::time::Duration;

use http::Request;
use portcullis_tests::http2::{Http2, get};
use portcullis_tests::{Builder, Client, Kind, Stack, eventually, on_both_stores};

fn stack(kind: Kind) -> Builder {
    Stack::builder(kind).extra(
        r#"
[listeners.h2c]
address = "127.0.0.1:0"
h2c = true

[revocation]
stream_interval = "100ms"

[[route]]
id = "patient"
match = { path = "/patient/*" }
upstream = "recorder"
policy = "authenticated"
read_timeout = "1m"
"#,
    )
}

fn by(client: &Client, path: &str) -> Request<()> {
    get(path).header("authorization", format!("Bearer {}", client.access_token())).body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_forwarded_as_the_same_request_of_http1() {
    let stack = stack(Kind::Embedded).start().await;
    let alice = stack.login("alice").await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let answer = http2.send(by(&alice, "/echo/a/../b?q=1"), "").await.unwrap();
    let request = stack.recorder.last();
    assert_eq!((answer.status, request.target()), (200, "GET /echo/b?q=1"));
    assert_eq!(request.header("host"), Some("gateway.test"));
    assert_eq!(request.header("x-forwarded-host"), Some("gateway.test"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert!(request.header("x-user-id").is_some());
    let post = Request::post("http://gateway.test/public/x").body(()).unwrap();
    assert_eq!(http2.send(post, "hello").await.unwrap().status, 200);
    assert!(String::from_utf8_lossy(&stack.recorder.last().body).contains("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_as_over_http1() {
    let stack = stack(Kind::Embedded).start().await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    for (path, refusal) in [
        ("/echo/x", "401 no_credential"),
        ("/nowhere", "404 no_route"),
        ("/public/%2e%2e/%2e%2e/x", "400 malformed_request"),
    ] {
        let answer = http2.send(get(path).body(()).unwrap(), "").await.unwrap();
        assert_eq!(format!("{} {}", answer.status, answer.reason()), refusal, "{path}");
    }
    assert!(stack.recorder.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_listener_that_says_so_speaks_it_without_tls() {
    let stack = stack(Kind::Embedded).start().await;
    let over_http1 = Client::anonymous(format!("http://{}", stack.listener("h2c")));
    assert_eq!(over_http1.get("/public/x").await.status, 200, "HTTP/1.1 is spoken beside it");
    let mut http2 = Http2::connect(stack.address()).await;
    assert!(http2.send(get("/public/x").body(()).unwrap(), "").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_do_not_wait_for_each_other() {
    let stack = stack(Kind::Embedded).start().await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let slow = http2.begin(get("/public/stall").body(()).unwrap(), "").await.unwrap();
    assert_eq!(http2.send(get("/public/x").body(()).unwrap(), "").await.unwrap().status, 200);
    assert_eq!(slow.await.unwrap().status(), 504);
}

on_both_stores! {
    /// The other stream of the connection, whose session stands, goes on.
    async fn a_stream_ends_with_its_session(kind: Kind) {
        let stack = stack(kind).start().await;
        let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
        let mut http2 = Http2::connect(stack.listener("h2c")).await;
        let mut hers = http2.stream(by(&alice, "/patient/events")).await.unwrap().into_body();
        let mut his = http2.stream(by(&bob, "/patient/events")).await.unwrap().into_body();
        assert!(hers.data().await.unwrap().is_ok() && his.data().await.unwrap().is_ok());
        assert_eq!(alice.logout("all").await.status, 204);
        let ended = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                match hers.data().await {
                    Some(Ok(bytes)) => hers.flow_control().release_capacity(bytes.len()).unwrap(),
                    other => return other,
                }
            }
        });
        assert!(ended.await.unwrap().is_some_and(|end| end.is_err()), "it is reset, not ended as if it were whole");
        let next = his.data().await.unwrap();
        assert!(next.is_ok(), "{next:?}");
        eventually("the server is told", || async { stack.recorder.streams() == 1 }).await;
        let line = r#"portcullis_requests_total{reason="session_revoked",route="patient",status="200"}"#;
        eventually("its request is counted", || async { stack.metric(line).await > 0.0 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_a_request_and_not_for_an_idle_connection() {
    let mut stack = stack(Kind::Embedded).start().await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let mut idle = Http2::connect(stack.listener("h2c")).await;
    assert_eq!(idle.send(get("/public/x").body(()).unwrap(), "").await.unwrap().status, 200);
    let slow = http2.begin(get("/public/stall").body(()).unwrap(), "").await.unwrap();
    eventually("it is at the upstream", || async { stack.recorder.seen().len() == 2 }).await;
    let ending = stack.shut_down();
    assert_eq!(slow.await.unwrap().status(), 504, "it was answered");
    assert!(tokio::time::timeout(Duration::from_secs(4), ending).await.unwrap().unwrap());
    idle.ended().await.unwrap();
}
