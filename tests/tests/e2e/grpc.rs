//! gRPC passes: calls in both directions at once, with trailers, to servers of HTTP/2; who calls is told like anywhere
//! else, and a call ends with its session.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::Request;
use portcullis_tests::http2::Http2;
use portcullis_tests::{Client, Echo, Kind, Stack, eventually};

async fn stack(echo: &Echo) -> Stack {
    let extra = format!(
        r#"
[listeners.h2c]
address = "127.0.0.1:0"
h2c = true

[revocation]
stream_interval = "100ms"

[upstreams.echo]
servers = ["{}"]
http2 = true

[[route]]
id = "grpc"
match = {{ path = "/echo.Echo/*", methods = ["POST"] }}
upstream = "echo"
policy = "authenticated"
read_timeout = "1m"
"#,
        echo.address()
    );
    Stack::builder(Kind::Embedded).extra(&extra).start().await
}

/// A call that has begun: where messages go, and where they come from.
struct Call(SendStream<Bytes>, RecvStream);

impl Call {
    async fn begin(http2: &mut Http2, client: &Client) -> Self {
        let request = Request::post("http://gateway.test/echo.Echo/Chat")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-user-id", "admin")
            .header("authorization", format!("Bearer {}", client.access_token()))
            .body(())
            .unwrap();
        let (answer, send) = http2.open(request).await.unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        Self(send, answer.into_body())
    }

    async fn next(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let message = tokio::time::timeout(Duration::from_secs(10), self.1.data()).await.unwrap();
        if let Some(Ok(bytes)) = &message {
            self.1.flow_control().release_capacity(bytes.len()).unwrap();
        }
        message
    }

    async fn says(&mut self, message: &'static str) -> String {
        self.0.send_data(message.into(), false).unwrap();
        String::from_utf8(self.next().await.unwrap().unwrap().to_vec()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_and_trailers_come_last() {
    let echo = Echo::start().await;
    let stack = stack(&echo).await;
    let alice = stack.login("alice").await;
    let me = alice.get("/auth/me").await.json()["sub"].as_str().unwrap().to_owned();
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let mut call = Call::begin(&mut http2, &alice).await;
    assert_eq!((call.says("one").await, call.says("two").await), ("one".to_owned(), "two".to_owned()));
    call.0.send_data(Bytes::new(), true).unwrap();
    assert!(call.next().await.is_none());
    let trailers = call.1.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["caller"], me, "what a client says of it is dropped");
    assert_eq!(trailers["te-was"], "trailers", "gRPC servers ask for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_its_session() {
    let echo = Echo::start().await;
    let stack = stack(&echo).await;
    let alice = stack.login("alice").await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let mut call = Call::begin(&mut http2, &alice).await;
    assert_eq!(call.says("one").await, "one");
    assert_eq!(echo.open(), 1);
    assert_eq!(alice.logout("all").await.status, 204);
    assert!(call.next().await.unwrap().is_err(), "it is reset");
    eventually("the server is told", || async { echo.open() == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_token_is_refused() {
    let echo = Echo::start().await;
    let stack = stack(&echo).await;
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let request = Request::post("http://gateway.test/echo.Echo/Chat").header("te", "trailers").body(()).unwrap();
    assert_eq!(http2.send(request, "hello").await.unwrap().reason(), "no_credential");
    assert_eq!(echo.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http1_reach_such_servers_too() {
    let echo = Echo::start().await;
    let stack = stack(&echo).await;
    let alice = stack.login("alice").await;
    let request = alice.request(http::Method::POST, "/echo.Echo/Once").body("hello");
    let answer = alice.send(request).await;
    assert_eq!((answer.status, &*answer.body), (200, "hello"));
}
