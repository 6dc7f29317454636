//! More than can be served: what is too much is refused at once, strangers before known callers, and all is well as
//! soon as it is less.

use std::time::{Duration, Instant};

use portcullis_tests::{Answer, Client, Kind, Stack, Visitor, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where servers may take their time.
const PATIENT: &str = r#"
[[route]]
id = "patient"
match = { path = "/patient/*" }
upstream = "recorder"
policy = "optional"
read_timeout = "1m"
"#;

/// Sends a request that is never answered, and waits until the server has it.
async fn stall(stack: &Stack, client: &Client) -> TcpStream {
    let before = stack.recorder.seen().len();
    let mut stream = TcpStream::connect(stack.address()).await.unwrap();
    let token = client.request(reqwest::Method::GET, "/").build().unwrap();
    let token = token.headers().get("authorization").map_or("", |value| value.to_str().unwrap());
    let token = if token.is_empty() { String::new() } else { format!("Authorization: {token}\r\n") };
    let request = format!("GET /patient/stall HTTP/1.1\r\nHost: gateway.test\r\n{token}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("the server has it", || async { stack.recorder.seen().len() > before }).await;
    stream
}

/// Opens a WebSocket: the head of the answer, and the connection.
async fn upgrade(stack: &Stack) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(stack.address()).await.unwrap();
    let request = "GET /public/ws HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0, "it is answered");
    }
    (String::from_utf8(head).unwrap(), stream)
}

fn assert_shed(answer: &Answer) {
    assert_eq!(answer.problem(), "503 overloaded: Too busy");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_away_before_known_callers() {
    let overload = "[overload]\nrequests = 5\nreserve = \"40%\"\n";
    let stack = Stack::builder(Kind::Embedded).extra(PATIENT).extra(overload).start().await;
    let (alice, stranger) = (stack.login("alice").await, stack.anonymous());
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(stall(&stack, &stranger).await);
    }
    let began = Instant::now();
    assert_shed(&stranger.get("/public/x").await);
    assert!(began.elapsed() < Duration::from_secs(1), "at once: {:?}", began.elapsed());
    assert_shed(&stranger.try_login("alice", Client::PASSWORD).await);
    assert_shed(&alice.with_access("x").get("/public/x").await);
    assert_shed(&alice.get("/public/x").await); // Where tokens are not looked at, nobody is known.
    for _ in 0..5 {
        // Nothing is done for them: not even a limit is taken, which would ask the store.
        assert_shed(&stranger.get("/limited_by_address/x").await);
    }
    assert_eq!(alice.with_access("x").get("/echo/x").await.reason(), "token_invalid", "it is found out");
    assert_eq!(alice.get("/echo/x").await.status, 200, "known callers go on");

    for _ in 0..2 {
        held.push(stall(&stack, &alice).await);
    }
    assert_shed(&alice.get("/echo/x").await);
    assert_eq!(stack.admin().get("/readyz").await.status, 200, "health has a listener of its own");
    assert!(stack.metric(r#"portcullis_requests_shed_total{scope="gateway",upstream="-"}"#).await > 4.5);

    held.clear();
    eventually("there is room again", || async { stranger.get("/public/x").await.status == 200 }).await;
    assert_eq!(alice.get("/echo/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_full_refuses_its_own_requests_only() {
    let mut stack = Stack::builder(Kind::Embedded).extra(PATIENT).start().await;
    let terms = |requests: u32| format!("servers = [\"{}\"]\nrequests = {requests}", stack.recorder.address());
    let (line, two, three) = (format!("servers = [\"{}\"]", stack.recorder.address()), terms(2), terms(3));
    stack.reload(|toml| toml.replace(&line, &two)).await.unwrap();
    let client = stack.anonymous();
    let mut held = vec![stall(&stack, &client).await, stall(&stack, &client).await];
    assert_shed(&client.get("/public/x").await);
    assert_eq!(client.get("/posts").await.status, 200, "other upstreams have room");
    let (shed, on_their_way) = (
        r#"portcullis_requests_shed_total{scope="upstream",upstream="recorder"}"#,
        r#"portcullis_upstream_requests_in_flight{upstream="recorder"}"#,
    );
    assert!((stack.metric(shed).await - 1.0).abs() < f64::EPSILON);
    assert!((stack.metric(on_their_way).await - 2.0).abs() < f64::EPSILON);

    stack.reload(|toml| toml.replace(&line, &three)).await.unwrap();
    held.push(stall(&stack, &client).await);
    assert_shed(&client.get("/public/x").await); // Those of before the reload still count.
    held.clear();
    eventually("there is room again", || async { client.get("/public/x").await.status == 200 }).await;
    eventually("nothing is left", || async { stack.metric(on_their_way).await < 0.5 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_tries_two_servers_counts_once() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let recorder = stack.recorder.address();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (line, both) =
        (format!("servers = [\"{recorder}\"]"), format!("servers = [\"{nobody}\", \"{recorder}\"]\nrequests = 1"));
    stack.reload(|toml| toml.replace(&line, &both)).await.unwrap();
    let client = stack.anonymous(); // One connection: a request ends before the next one begins.
    for _ in 0..4 {
        let answer = client.get("/public/x").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_websockets_keep_no_request_out_and_are_bounded_themselves() {
    let overload = "[overload]\nrequests = 2\nstreams = 2\nreserve = \"0%\"\n";
    let stack = Stack::builder(Kind::Embedded).extra(overload).start().await;
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let (head, tunnel) = upgrade(&stack).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        tunnels.push(tunnel);
    }
    assert_eq!(stack.anonymous().get("/public/x").await.status, 200, "their places among requests are free");
    let (head, _) = upgrade(&stack).await;
    assert!(head.starts_with("HTTP/1.1 503") && head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert!(stack.metric(r#"portcullis_requests_shed_total{scope="streams",upstream="-"}"#).await > 0.5);
    tunnels.pop();
    eventually("there is room again", || async { upgrade(&stack).await.0.starts_with("HTTP/1.1 101") }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_bad_signatures_waits_and_who_was_known_before_passes() {
    let overload = "[overload]\nbad_tokens = { rate = \"1/min\", burst = 3 }\n";
    let mut stack = Stack::builder(Kind::Embedded).extra(overload).start().await;
    let alice = stack.login("alice").await;
    assert_eq!(alice.get("/echo/x").await.status, 200);
    // From another gateway: this one has not seen the token.
    let mut elsewhere = Visitor::new(&stack.another_gateway().await);
    let bob = elsewhere.login("bob").await.json()["access_token"].as_str().unwrap().to_owned();
    let bob = stack.anonymous().with_access(&bob);
    let garbage = alice.with_access("x.y.z");
    for _ in 0..10 {
        assert_eq!(garbage.get("/echo/x").await.reason(), "token_invalid", "no signature was computed for it");
    }
    let token = alice.access_token();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let wrong: String = signature.chars().rev().collect::<String>().replace(['=', '_'], "A");
    let thief = alice.with_access(&format!("{message}.{wrong}"));
    for _ in 0..3 {
        assert_eq!(thief.get("/echo/x").await.reason(), "token_invalid");
    }
    let refused = thief.get("/echo/x").await;
    assert_eq!(refused.problem(), "429 too_many_bad_tokens: Too many bad tokens");
    assert!((55..=60).contains(&refused.header("retry-after").parse::<u32>().unwrap()), "{:?}", refused.headers);
    stack.reload(|toml| format!("{toml}\n")).await.unwrap();
    assert_eq!(thief.get("/echo/x").await.reason(), "too_many_bad_tokens", "another configuration forgets nobody");
    assert_eq!(alice.get("/echo/x").await.status, 200, "a token that held before is checked");
    assert_eq!(alice.with_access("x").get("/public/x").await.status, 200, "where nothing is checked nobody waits");
    assert_eq!(bob.get("/echo/x").await.reason(), "too_many_bad_tokens", "one that nobody knows is not");
    assert_eq!(stack.login("carol").await.get("/echo/x").await.status, 200, "a new one of ours is known");
    assert!(stack.metric(r#"portcullis_tokens_verified_total{outcome="unchecked"}"#).await > 1.5);
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(bob.get("/echo/x").await.status, 200, "who waits as told is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_bad_signatures_sends_no_browser_away() {
    let terms = "[overload]\nbad_tokens = { rate = \"1/min\", burst = 3 }\n[cookies]\n";
    let mut stack = Stack::builder(Kind::Embedded).extra(terms).start().await;
    // At another gateway: this one has not seen the token.
    let mut alice = Visitor::new(&stack.another_gateway().await);
    alice.login("alice").await;
    let mut alice = alice.at(&stack.anonymous());
    let token = alice.cookie(Visitor::ACCESS);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let wrong: String = signature.chars().rev().collect::<String>().replace(['=', '_'], "A");
    let thief = stack.anonymous().with_access(&format!("{message}.{wrong}"));
    for expected in ["token_invalid", "token_invalid", "token_invalid", "too_many_bad_tokens"] {
        assert_eq!(thief.get("/echo/x").await.reason(), expected);
    }
    // But she has another proof.
    assert_eq!(alice.without(Visitor::REFRESH).get("/echo/x").await.reason(), "too_many_bad_tokens");
    for _ in 0..2 {
        let answer = alice.get("/echo/x").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_passwords_are_checked_at_once() {
    let mut stack = Stack::start(Kind::Embedded).await;
    let stalled = "upstream = \"recorder\"\npath = \"/stall\"\ntimeout = \"3s\"\nconcurrency = 1";
    let change = |toml: String| toml.replace("upstream = \"backend\"\npath = \"/users/authenticate\"", stalled);
    stack.reload(change).await.unwrap();
    let client = stack.anonymous();
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.try_login("alice", "x").await }
    });
    eventually("the upstream checks it", || async { !stack.recorder.seen().is_empty() }).await;
    assert_shed(&client.try_login("bob", "x").await);
    assert!(stack.metric(r#"portcullis_requests_shed_total{scope="login",upstream="-"}"#).await > 0.5);
    assert_eq!(client.get("/public/x").await.status, 200, "requests go on");
    assert_eq!(first.await.unwrap().reason(), "login_timeout");
    assert_eq!(client.try_login("bob", "x").await.reason(), "login_timeout", "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_and_still_sends_keeps_nobody_out() {
    let overload = "[overload]\nrequests = 1\nreserve = \"0%\"\n";
    let stack = Stack::builder(Kind::Embedded).extra(overload).start().await;
    let mut slow = TcpStream::connect(stack.address()).await.unwrap();
    let head = b"POST /nowhere HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\n";
    slow.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    assert!(slow.read_buf(&mut answer).await.unwrap() > 0 && answer.starts_with(b"HTTP/1.1 404 "));

    eventually("its place is free", || async { stack.anonymous().get("/public/x").await.status == 200 }).await;
    let line = r#"portcullis_requests_total{reason="no_route",route="-",status="404"}"#;
    assert!(stack.metric(line).await < 0.5, "it may still send");
    eventually("it has stopped, or has to", || async { stack.metric(line).await > 0.5 }).await;
    let took = stack.metric(r#"portcullis_request_duration_seconds_sum{route="-"}"#).await;
    assert!(took < 1.0, "its clock stopped at its answer: {took}");
}
