//! Open streams end too: what was begun in a session does not outlive it, on any gateway, and nothing else
//! ends it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_tests::{Builder, Client, Forge, Kind, Stack, eventually, on_both_stores};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A WebSocket's Close frame with code 4001 and this reason.
fn close(reason: &str) -> Vec<u8> {
    [&[0x88, u8::try_from(reason.len() + 2).unwrap()], &4001_u16.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// A stack whose gateways look at their streams often, and have a route on which a server may be silent.
fn stack(kind: Kind) -> Builder {
    Stack::builder(kind).extra(
        r#"
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

/// How long a stream may outlive its session here: an interval, what the store takes, and the farewell.
const BOUND: Duration = Duration::from_secs(2);

/// An open stream, whose head has been read.
struct Stream(TcpStream);

impl Stream {
    /// A WebSocket of whoever `client` is.
    async fn tunnel(address: SocketAddr, client: &Client, path: &str) -> Self {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        Self::begin(address, client, path, upgrade, "HTTP/1.1 101").await
    }

    /// A stream of events.
    async fn events(address: SocketAddr, client: &Client, path: &str) -> Self {
        let mut stream = Self::begin(address, client, path, "", "HTTP/1.1 200").await;
        let (first, mut event) = (b"9\r\ndata: x", Vec::new());
        while event.len() < first.len() {
            event.extend(stream.next().await.unwrap());
        }
        assert!(event.starts_with(first), "{event:?}");
        stream
    }

    async fn begin(address: SocketAddr, client: &Client, path: &str, headers: &str, expected: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let token = client.access_token();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&head));
        Self(stream)
    }

    /// What comes next; nothing at its end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read(&mut bytes)).await.unwrap().unwrap_or(0);
        bytes.truncate(read);
        (read > 0).then_some(bytes)
    }

    /// Whether an echo comes back.
    async fn echoes(&mut self) -> bool {
        let frame = b"\x82\x04ping";
        self.0.write_all(frame).await.is_ok() && self.next().await.as_deref() == Some(frame)
    }

    /// All that still comes until it ends, which takes no longer than it may.
    async fn rest(&mut self) -> Vec<u8> {
        let began = Instant::now();
        let mut rest = Vec::new();
        while let Some(more) = self.next().await {
            rest.extend(more);
        }
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        rest
    }
}

/// Waits until the gateway has looked at its streams twice from now on.
async fn looked(stack: &Stack) {
    let line = r#"portcullis_store_command_seconds_count{command="standing",outcome="ok"}"#;
    let before = stack.metric(line).await;
    eventually("it looks", || async { stack.metric(line).await > before + 1.5 }).await;
}

async fn ended(stack: &Stack, cause: &str) -> f64 {
    stack.metric(&format!(r#"portcullis_streams_ended_total{{cause="{cause}"}}"#)).await
}

async fn none_is_left(stack: &Stack) {
    eventually("the upstream's side is closed", || async { stack.recorder.streams() == 0 }).await;
    eventually("none is registered", || async { stack.metric("portcullis_streams_open").await < 0.5 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_a_tunnel_that_fails() {
    let mut stack = stack(Kind::Embedded).start().await;
    let terms = "read_timeout = \"1s\"";
    stack.reload(|toml| toml.replace(terms, &format!("{terms}\ntunnel_timeout = \"500ms\""))).await.unwrap();
    let alice = stack.login("alice").await;
    for (path, reason) in [("/echo/silent", "tunnel_idle"), ("/echo/reset", "upstream_broken")] {
        let mut tunnel = Stream::tunnel(stack.address(), &alice, path).await;
        assert_eq!(tunnel.rest().await, b"", "{path}: a problem would be read as frames");
        let line = format!("portcullis_requests_total{{reason=\"{reason}\",route=\"echo\",status=\"101\"}}");
        eventually("it is written down", || async { stack.metric(&line).await > 0.5 }).await;
    }
    none_is_left(&stack).await;
}

on_both_stores! {
    async fn a_logout_on_one_gateway_ends_a_websocket_on_another(kind: Kind) {
        let mut stack = stack(kind).start().await;
        let alice = stack.login("alice").await;
        let elsewhere = stack.another_gateway().await.with_access(&alice.access_token());
        let mut idle = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
        assert!(idle.echoes().await);
        looked(&stack).await;
        assert!(idle.echoes().await, "nothing ends without a reason");
        assert_eq!(elsewhere.logout("this").await.status, 204);
        assert_eq!(idle.rest().await, close("session_revoked"));
        none_is_left(&stack).await;
        assert!((ended(&stack, "session_revoked").await - 1.0).abs() < f64::EPSILON);
        let line = r#"portcullis_requests_total{reason="session_revoked",route="echo",status="101"}"#;
        eventually("it is written down", || async { stack.metric(line).await > 0.5 }).await;
    }

    async fn a_logout_ends_busy_and_idle_events(kind: Kind) {
        let stack = stack(kind).start().await;
        let alice = stack.login("alice").await;
        let mut busy = Stream::events(stack.address(), &alice, "/patient/events").await;
        let mut idle = Stream::events(stack.address(), &alice, "/patient/event").await;
        looked(&stack).await;
        assert!(busy.next().await.is_some());
        alice.logout("this").await;
        assert!(!busy.rest().await.ends_with(b"0\r\n\r\n"), "what was cut short is not passed for whole");
        assert_eq!(idle.rest().await, b"");
        none_is_left(&stack).await;
        let line = r#"portcullis_requests_total{reason="session_revoked",route="patient",status="200"}"#;
        eventually("both are written down", || async { stack.metric(line).await > 1.5 }).await;
    }

    async fn neither_rotation_nor_other_sessions_end_a_stream(kind: Kind) {
        let stack = stack(kind).start().await;
        let mut alice = stack.login("alice").await;
        let (laptop, bob) = (stack.login_again("alice").await, stack.login("bob").await);
        let mut tunnel = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
        let mut events = Stream::events(stack.address(), &alice, "/patient/events").await;
        let mut laptops = Stream::tunnel(stack.address(), &laptop, "/echo/x").await;
        stack.clock.advance(Duration::from_mins(10));
        looked(&stack).await;
        assert_eq!(alice.refresh().await.status, 200);
        stack.clock.advance(Duration::from_mins(10));
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(bob.logout("all").await.status, 401, "that of a token that has expired by now");
        assert_eq!(alice.logout("others").await.status, 204);
        assert_eq!(laptops.rest().await, close("session_revoked"));
        looked(&stack).await;
        assert!(tunnel.echoes().await && events.next().await.is_some());
        assert_eq!(alice.logout("all").await.status, 204);
        assert_eq!(tunnel.rest().await, close("session_revoked"));
        events.rest().await;
        none_is_left(&stack).await;
    }

    async fn a_stream_ends_at_the_absolute_end_of_its_session(kind: Kind) {
        let terms = "access_ttl = \"40m\"\nrefresh_ttl = \"50m\"\nabsolute_ttl = \"1h\"";
        let stack = stack(kind).tokens(terms).start().await;
        let mut alice = stack.login("alice").await;
        let mut early = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
        stack.clock.advance(Duration::from_mins(30));
        looked(&stack).await;
        assert_eq!(alice.refresh().await.status, 200);
        let mut late = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
        stack.clock.advance(Duration::from_mins(29));
        looked(&stack).await;
        assert!(early.echoes().await && late.echoes().await);
        stack.clock.advance(Duration::from_mins(1));
        assert_eq!(early.rest().await, close("session_over"));
        assert_eq!(late.rest().await, close("session_over"), "counted from the login, not from the rotation");
        assert!((ended(&stack, "session_over").await - 2.0).abs() < f64::EPSILON);
    }

    async fn a_token_of_before_there_were_logins_in_it_counts_from_its_issue(kind: Kind) {
        let terms = "access_ttl = \"40m\"\nrefresh_ttl = \"50m\"\nabsolute_ttl = \"1h\"";
        let stack = stack(kind).tokens(terms).start().await;
        let alice = stack.login("alice").await;
        let mut claims = Forge::claims_of(&alice.access_token());
        claims.as_object_mut().unwrap().remove("auth_time");
        let alice = alice.with_access(&stack.forge.sign(&stack.forge.header(), &claims));
        let mut tunnel = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
        for _ in 0..2 {
            stack.clock.advance(Duration::from_mins(29));
            looked(&stack).await;
            assert!(tunnel.echoes().await);
        }
        stack.clock.advance(Duration::from_mins(3));
        assert_eq!(tunnel.rest().await, close("session_over"));
    }

    async fn a_frame_on_its_way_is_never_torn(kind: Kind) {
        let stack = stack(kind).start().await;
        let alice = stack.login("alice").await;
        for _ in 0..4 {
            let alice = alice.with_access(&stack.login_again("alice").await.access_token());
            let mut busy = Stream::tunnel(stack.address(), &alice, "/patient/frames").await;
            let mut all = busy.next().await.unwrap();
            alice.logout("this").await;
            all.extend(busy.rest().await);
            let last = close("session_revoked");
            let frames = all.strip_suffix(&last[..]).expect("it ends with a Close frame");
            assert_eq!(frames.len() % 100_010, 0, "whole frames before it");
            assert!(frames.chunks(100_010).all(|frame| frame[..2] == [0x82, 127]));
        }
        none_is_left(&stack).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_frame_that_nobody_completes_is_followed_by_the_end() {
    let stack = stack(Kind::Embedded).start().await;
    let alice = stack.login("alice").await;
    let mut tunnel = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
    tunnel.0.write_all(b"\x82\x04pi").await.unwrap();
    assert_eq!(tunnel.next().await.unwrap(), b"\x82\x04pi");
    alice.logout("this").await;
    assert_eq!(tunnel.rest().await, b"", "a Close frame would be taken for the rest");
    none_is_left(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_stuck_on_both_sides_is_cut_off() {
    let stack = stack(Kind::Embedded).start().await;
    let alice = stack.login("alice").await;
    let mut tunnel = Stream::tunnel(stack.address(), &alice, "/patient/deaf").await;
    let flood = vec![0; 1024 * 1024];
    while tokio::time::timeout(Duration::from_millis(500), tunnel.0.write_all(&flood)).await.is_ok() {}
    alice.logout("this").await;
    eventually("it is gone", || async { stack.metric("portcullis_streams_open").await < 0.5 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_keeps_no_stream_open() {
    let stack = stack(Kind::Embedded).start().await;
    let alice = stack.login("alice").await;
    let tunnel = Stream::tunnel(stack.address(), &alice, "/patient/frames").await;
    looked(&stack).await;
    alice.logout("this").await;
    none_is_left(&stack).await;
    drop(tunnel);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_has_no_streams() {
    let stack = stack(Kind::Redis).start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    let mut hers = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
    let mut his = Stream::tunnel(stack.address(), &bob, "/echo/x").await;
    let user = alice.get("/auth/me").await.json()["sub"].as_str().unwrap().to_owned();
    let key = format!("portcullis:{{0}}:user:{user}");
    stack.redis.as_ref().unwrap().command(&["HSET", &key, "epoch", "0", "disabled", "1"]).await.unwrap();
    assert_eq!(hers.rest().await, close("session_revoked"));
    looked(&stack).await;
    assert!(his.echoes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_stay_open_while_the_store_can_not_tell_and_end_when_it_can() {
    let mut stack = stack(Kind::Redis).start().await;
    let (alice, bob) = (stack.login("alice").await, stack.login("bob").await);
    let elsewhere = stack.another_gateway().await.with_access(&alice.access_token());
    let mut hers = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
    let mut his = Stream::tunnel(stack.address(), &bob, "/echo/x").await;
    stack.redis.as_ref().unwrap().stall();
    eventually("it notices", || async { stack.metric("portcullis_streams_unconfirmed").await > 1.5 }).await;
    stack.clock.advance(Duration::from_mins(14));
    let failed = r#"portcullis_store_command_seconds_count{command="standing",outcome="error"}"#;
    let before = stack.metric(failed).await;
    eventually("it keeps asking", || async { stack.metric(failed).await > before + 1.5 }).await;
    assert!(hers.echoes().await && his.echoes().await, "unknown is not invalid");
    stack.redis.as_ref().unwrap().resume();
    eventually("she is logged out", || async { elsewhere.logout("this").await.status == 204 }).await;
    assert_eq!(hers.rest().await, close("session_revoked"));
    looked(&stack).await;
    assert!(his.echoes().await);
    assert!(stack.metric("portcullis_streams_unconfirmed").await < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_unconfirmed_for_as_long_as_revocations_are_remembered_ends() {
    let stack = stack(Kind::Redis).start().await;
    let alice = stack.login("alice").await;
    let mut tunnel = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
    let mut events = Stream::events(stack.address(), &alice, "/patient/events").await;
    stack.redis.as_ref().unwrap().stall();
    eventually("it notices", || async { stack.metric("portcullis_streams_unconfirmed").await > 1.5 }).await;
    stack.clock.advance(Duration::from_mins(15) + Duration::from_secs(11));
    assert_eq!(tunnel.rest().await, close("session_unconfirmed"));
    events.rest().await;
    assert!((ended(&stack, "session_unconfirmed").await - 2.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_without_the_store_is_confirmed_as_of_its_token_only() {
    let stack = stack(Kind::Redis).start().await;
    let alice = stack.login("alice").await;
    stack.clock.advance(Duration::from_mins(14));
    stack.redis.as_ref().unwrap().stall();
    let mut tunnel = Stream::tunnel(stack.address(), &alice, "/available/x").await;
    eventually("it notices", || async { stack.metric("portcullis_streams_unconfirmed").await > 0.5 }).await;
    assert!(tunnel.echoes().await);
    stack.clock.advance(Duration::from_secs(71));
    assert_eq!(tunnel.rest().await, close("session_unconfirmed"), "a logout of before may be forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_goes_tells_its_websockets_and_keeps_a_reload_from_them() {
    let mut stack = stack(Kind::Embedded).start().await;
    let alice = stack.login("alice").await;
    let mut tunnel = Stream::tunnel(stack.address(), &alice, "/echo/x").await;
    let mut events = Stream::events(stack.address(), &alice, "/patient/events").await;
    stack.reload(|toml| toml.replace("deadline = \"5s\"", "deadline = \"300ms\"")).await.unwrap();
    looked(&stack).await;
    assert!(tunnel.echoes().await && events.next().await.is_some(), "a reload ends nothing");
    let ending = stack.shut_down();
    assert_eq!(tunnel.rest().await, b"\x88\x0c\x03\xe9going_away");
    events.rest().await;
    assert!(ending.await.unwrap(), "all ended in good order");
}
