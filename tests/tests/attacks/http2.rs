//! What one client of HTTP/2 could cost: floods of frames that ask for nothing, requests that are taken back, headers
//! that grow when they are unpacked. Each is cut off, and others are served meanwhile.

use h2::Reason;
use portcullis_tests::http2::{Frames, Http2, fields, frame, get};
use portcullis_tests::{Builder, Kind, Stack, eventually};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /public/x` of `gateway.test` over HTTP, without Huffman codes: `:method: GET`, `:scheme: http`, `:path`, and
/// `:authority`.
const GET: &[u8] = b"\x82\x86\x04\x09/public/x\x01\x0cgateway.test";
/// The same as a `POST`.
const POST: &[u8] = b"\x83\x86\x04\x09/public/x\x01\x0cgateway.test";

fn stack() -> Builder {
    Stack::builder(Kind::Embedded).extra("[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\n")
}

/// The number of a client's stream of this round.
fn stream(round: u32) -> u32 {
    round * 2 + 1
}

/// What is written again and again, by the round.
type Flood = fn(u32) -> Vec<u8>;

const FLOODS: [(&str, &str, Reason, Flood); 11] = [
    ("rapid reset", "CVE-2023-44487", Reason::ENHANCE_YOUR_CALM, |round| {
        let reset = frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream(round), GET), reset].concat()
    }),
    ("resets that the gateway is made to send", "CVE-2025-8671", Reason::PROTOCOL_ERROR, |round| {
        let no_window = frame(WINDOW_UPDATE, 0, stream(round), &[0, 0, 0, 0]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream(round), GET), no_window].concat()
    }),
    ("continuations without end", "CVE-2024-27316", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"),
    }),
    ("empty continuations", "CVE-2019-9518", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        _ => frame(CONTINUATION, 0, 1, b""),
    }),
    ("empty data", "CVE-2019-9518", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, POST),
        _ => frame(DATA, 0, 1, b""),
    }),
    ("pings", "CVE-2019-9512", Reason::ENHANCE_YOUR_CALM, |_| frame(PING, 0, 0, b"12345678").repeat(100)),
    ("settings", "CVE-2019-9515", Reason::ENHANCE_YOUR_CALM, |_| frame(SETTINGS, 0, 0, b"").repeat(100)),
    ("priorities", "CVE-2019-9513", Reason::ENHANCE_YOUR_CALM, |round| {
        frame(PRIORITY, 0, stream(round), &[0, 0, 0, 0, 1]).repeat(100)
    }),
    ("window updates", "CVE-2019-9517", Reason::ENHANCE_YOUR_CALM, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, POST),
        _ => frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).repeat(100),
    }),
    ("frames of kinds that nobody knows", "RFC 9113 §5.5", Reason::ENHANCE_YOUR_CALM, |_| {
        frame(0xbb, 0, 0, b"x").repeat(100)
    }),
    ("requests that can't be read", "RFC 9113 §8.1.1", Reason::ENHANCE_YOUR_CALM, |round| {
        let userinfo = b"\x82\x86\x04\x09/public/x\x01\x03a@b";
        frame(HEADERS, END_HEADERS | END_STREAM, stream(round), userinfo)
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_cut_off_and_others_are_served() {
    let stack = stack().start().await;
    let mut honest = Http2::connect(stack.listener("h2c")).await;
    for (name, source, reason, flood) in FLOODS {
        let (goaway, sent) = Frames::connect(stack.listener("h2c")).await.flood(flood).await;
        assert_eq!(goaway, Some(reason.into()), "{name} ({source}), after {sent} bytes");
        let answer = honest.send(get("/public/x").body(()).unwrap(), "").await.unwrap();
        assert_eq!(answer.status, 200, "{name}");
    }
}

/// CVE-2023-44487 by one who waits until each reset was read, so that never many of them wait to be accepted, and
/// whose requests the gateway refuses itself: without a token, they go nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_back_what_is_refused_is_sent_away() {
    let stack = stack().start().await;
    let refused =
        fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/echo/x"), (":authority", "gateway.test")]);
    let flood = |round| {
        let reset = frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream(round), &refused), reset].concat()
    };
    let goaway = Frames::connect(stack.listener("h2c")).await.paced(800, flood).await;
    assert_eq!(goaway, Some(Reason::ENHANCE_YOUR_CALM.into()));
}

/// Who is told to go has to say that it heard it; this client never does.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_go_and_stays_is_sent_away() {
    let listener = "[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\nrequests_per_connection = 50\n";
    let stack = Stack::builder(Kind::Embedded).extra(listener).start().await;
    let good =
        fields(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/public/x"), (":authority", "gateway.test")]);
    let asks = |round| frame(HEADERS, END_HEADERS | END_STREAM, stream(round), &good);
    let goaway = Frames::connect(stack.listener("h2c")).await.paced(500, asks).await;
    assert_eq!(goaway, Some(Reason::ENHANCE_YOUR_CALM.into()));
}

/// A good head of a request to a public route.
const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/public/x"), (":authority", "gateway.test")];

/// The good head with other values, and with more at its end.
fn head(others: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut head = GOOD;
    for field in &mut head {
        if let Some(other) = others.iter().find(|(name, _)| *name == field.0) {
            *field = *other;
        }
    }
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[&head[..], more].concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http1_could_read_otherwise_is_not_forwarded() {
    let stack = stack().start().await;
    let malformed = "RFC 9113 §8.2.1";
    let tunnel = fields(&[(":method", "CONNECT"), (":authority", "gateway.test:443")]);
    let rows = [
        ("a name in capitals", malformed, "goaway 1", head(&[], &[("X-User-Id", "1")])),
        ("a name with a colon", malformed, "goaway 1", head(&[], &[("x:y", "1")])),
        ("a name with a space", malformed, "goaway 1", head(&[], &[("x-user-id ", "1")])),
        ("a name that ends a line", malformed, "goaway 1", head(&[], &[("x\r\nx-user-id", "1")])),
        ("a value that ends a line", malformed, "goaway 1", head(&[], &[("x", "1\r\nx-user-id: 1")])),
        ("a value with a lone LF", malformed, "goaway 1", head(&[], &[("x", "1\nx-user-id: 1")])),
        ("a value with a NUL", malformed, "goaway 1", head(&[], &[("x", "1\0")])),
        ("Connection", "RFC 9113 §8.2.2", "reset 1", head(&[], &[("connection", "x-user-id")])),
        ("Transfer-Encoding", "RFC 9113 §8.2.2", "reset 1", head(&[], &[("transfer-encoding", "chunked")])),
        ("Upgrade", "RFC 9113 §8.2.2", "reset 1", head(&[], &[("upgrade", "websocket")])),
        ("TE with codings", "RFC 9113 §8.2.2", "reset 1", head(&[], &[("te", "gzip")])),
        ("a length without a body", "RFC 9113 §8.1.1", "reset 1", head(&[], &[("content-length", "5")])),
        ("two lengths", "RFC 9113 §8.1.1", "reset 1", head(&[], &[("content-length", "0"), ("content-length", "5")])),
        ("two paths", "RFC 9113 §8.3", "reset 1", head(&[], &[(":path", "/echo/x")])),
        ("a path after a field", "RFC 9113 §8.3", "reset 1", head(&[], &[("x", "1"), (":path", "/echo/x")])),
        ("a pseudo-header of answers", "RFC 9113 §8.3", "reset 1", head(&[], &[(":status", "200")])),
        ("no slash", "RFC 9113 §8.3.1", "reset 1", head(&[(":path", "public/x")], &[])),
        ("an empty path", "RFC 9113 §8.3.1", "reset 1", head(&[(":path", "")], &[])),
        ("a path that is a URL", "RFC 9113 §8.3.1", "reset 1", head(&[(":path", "http://evil.test/public/x")], &[])),
        ("a path with a space", "RFC 9113 §8.3.1", "reset 1", head(&[(":path", "/public/x HTTP/1.1")], &[])),
        ("a path that ends a line", "RFC 9113 §8.3.1", "reset 1", head(&[(":path", "/public/x\r\nx-user-id:1")], &[])),
        ("a method with a space", "RFC 9113 §8.3.1", "goaway 1", head(&[(":method", "GET /echo/x")], &[])),
        ("a scheme that is none", "RFC 9113 §8.3.1", "reset 1", head(&[(":scheme", "http/x y")], &[])),
        ("a scheme of something else", "RFC 9110 §4.2", "answered 400", head(&[(":scheme", "ftp")], &[])),
        ("userinfo", "RFC 9113 §8.3.1", "answered 400", head(&[(":authority", "a@gateway.test")], &[])),
        ("another host beside it", "RFC 9113 §8.3.1", "answered 400", head(&[], &[("host", "evil.test")])),
        ("CONNECT", "RFC 9110 §9.3.6", "reset 1", head(&[(":method", "CONNECT")], &[])),
        ("extended CONNECT", "RFC 8441 §4", "reset 1", head(&[(":method", "CONNECT")], &[(":protocol", "websocket")])),
        ("a tunnel", "RFC 9113 §8.5", "answered", frame(HEADERS, END_HEADERS | END_STREAM, 1, &tunnel)),
    ];
    let mut flaws = Vec::new();
    for (name, source, expected, bytes) in rows {
        let outcome = Frames::connect(stack.listener("h2c")).await.outcome(&bytes, 1).await;
        if outcome != expected {
            flaws.push(format!("{name} ({source}): {outcome}"));
        }
        if let [request, ..] = &stack.recorder.seen()[..] {
            flaws.push(format!("{name} ({source}) was forwarded:\n{}", request.head));
            break;
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
    assert_eq!(Frames::connect(stack.listener("h2c")).await.outcome(&head(&[], &[]), 1).await, "answered 200");
    assert_eq!(stack.recorder.seen().len(), 1, "forwarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_grows_when_it_is_unpacked_is_refused() {
    let stack = stack().start().await;
    let good = fields(&GOOD);
    // RFC 7541 §6.2.1: a field that is put into the table, of a name and a value; then references of one byte to it.
    let put = [b"\x40\x01x\x7f\xb9\x16".as_slice(), &[b'a'; 3000]].concat();
    let long = [good.clone(), put, vec![0xbe; 2000]].concat();
    let many = [good, b"\x40\x01x\x01y".to_vec(), vec![0xbe; 1500]].concat();
    for (name, expected, block) in [
        ("six megabytes in two thousand references", "goaway 11", long),
        ("1,500 fields in as many bytes", "answered", many), // 431
    ] {
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
        let outcome = Frames::connect(stack.listener("h2c")).await.outcome(&bytes, 1).await;
        assert_eq!(outcome, expected, "{name}");
        assert!(stack.recorder.seen().is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_carry_no_identity() {
    let stack = stack().start().await;
    let request = [
        frame(HEADERS, END_HEADERS, 1, &fields(&[(":method", "POST"), GOOD[1], GOOD[2], GOOD[3]])),
        frame(DATA, 0, 1, b"hello"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[("x-user-id", "1"), ("x-forwarded-for", "1.1.1.1")])),
    ];
    assert_eq!(Frames::connect(stack.listener("h2c")).await.outcome(&request.concat(), 1).await, "answered 200");
    let request = stack.recorder.last();
    assert!(
        !format!("{}{}", request.head, String::from_utf8_lossy(&request.body)).to_lowercase().contains("user-id"),
        "{request:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_hundred_requests_of_one_client_are_open() {
    let stack = stack().start().await;
    let stall = fields(&[GOOD[0], GOOD[1], (":path", "/public/stall"), GOOD[3]]);
    let open = |count| (0..count).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &stall));
    for (count, expected) in [(99, "answered 200"), (100, "reset 7")] {
        let one_more = frame(HEADERS, END_HEADERS | END_STREAM, stream(count), GET);
        let bytes: Vec<u8> = open(count).chain(one_more).collect();
        let outcome = Frames::connect(stack.listener("h2c")).await.outcome(&bytes, stream(count)).await;
        assert_eq!(outcome, expected, "beside {count}");
    }
}

/// Pingora 0.9.1 wrote the last chunk of such a body twice, and the second one stood before the next request of the
/// connection: its answer went to somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_with_nothing_ends_once() {
    let stack = stack().start().await;
    let post = fields(&[(":method", "POST"), GOOD[1], GOOD[2], GOOD[3]]);
    let bytes = [
        frame(HEADERS, END_HEADERS, 1, &post),
        frame(DATA, 0, 1, b"abc"),
        frame(DATA, 0, 1, b""),
        frame(DATA, 0, 1, b"def"),
        frame(DATA, END_STREAM, 1, b""),
    ];
    assert_eq!(Frames::connect(stack.listener("h2c")).await.outcome(&bytes.concat(), 1).await, "answered 200");
    let empty = [frame(HEADERS, END_HEADERS, 1, &post), frame(DATA, END_STREAM, 1, b"")];
    assert_eq!(Frames::connect(stack.listener("h2c")).await.outcome(&empty.concat(), 1).await, "answered 200");
    assert_eq!(stack.anonymous().get("/public/next").await.status, 200);
    let seen = stack.recorder.seen();
    let bodies: Vec<_> = seen.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    assert_eq!(bodies, ["3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "0\r\n\r\n", ""], "{seen:?}");
}

/// A client that opens no window (RFC 9113 §6.5.2) takes heads and no bodies.
const NO_WINDOW: &[u8] = &[0, 4, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answer_keeps_nobody_out() {
    let mut stack = stack().start().await;
    let line = format!("servers = [\"{}\"]", stack.recorder.address());
    stack.reload(|toml| toml.replace(&line, &format!("{line}\nrequests = 1"))).await.unwrap();
    let no_window = frame(SETTINGS, 0, 0, NO_WINDOW);
    let mut greedy = Frames::connect(stack.listener("h2c")).await;
    let get = [no_window, frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)].concat();
    assert_eq!(greedy.outcome(&get, 1).await, "answered 200", "and the rest is not taken");
    assert_eq!(stack.anonymous().get("/public/x").await.status, 200, "the server has room");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_requests_open_over_all_its_connections() {
    let stack = Stack::builder(Kind::Embedded)
        .extra("[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\nstreams_per_address = 3\n")
        .start()
        .await;
    let stall = fields(&[GOOD[0], GOOD[1], (":path", "/public/stall"), GOOD[3]]);
    let two: Vec<u8> = (0..2).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &stall)).collect();
    let mut one = Frames::connect(stack.listener("h2c")).await;
    one.write(&two).await;
    eventually("both are at the upstream", || async { stack.recorder.seen().len() == 2 }).await;
    let mut another = Frames::connect(stack.listener("h2c")).await;
    another.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &stall)).await;
    eventually("and the third", || async { stack.recorder.seen().len() == 3 }).await;
    assert_eq!(another.outcome(&frame(HEADERS, END_HEADERS | END_STREAM, 3, GET), 3).await, "reset 7");
    drop(one);
    drop(another);
    eventually("there is room again", || is_served(&stack)).await;
}

async fn is_served(stack: &Stack) -> bool {
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    http2.send(get("/public/x").body(()).unwrap(), "").await.is_ok_and(|answer| answer.status == 200)
}
