//! Requests whose end, lines or length two servers could read differently, and what comes after one request: at most
//! one request goes out for one that came in (RFC 9112 §11.2).

use portcullis_tests::{Attack, Kind, Stack, assert_refused, eventually, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What an attacker wants to have read as a request of its own.
const SMUGGLED: &str = "GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A `POST` with these header lines, and a body that some would end before [`SMUGGLED`].
fn smuggling(name: &'static str, source: &'static str, lines: &str) -> Attack {
    let request = format!("POST /public/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n0\r\n\r\n{SMUGGLED}");
    Attack::new(name, source, request, "400 malformed_request")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_could_be_read_in_two_ways_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let te = "Transfer-Encoding";
    let smuggle = |name, source, value: &str| smuggling(name, source, &format!("{te}{value}\r\n"));
    let attacks = [
        smuggling("CL.TE", "RFC 9112 §6.1", "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n"),
        smuggling("TE.CL", "RFC 9112 §6.1", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        smuggling(
            "CL.TE, a length of nothing",
            "CVE-2019-18277",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        ),
        smuggle("TE.TE, a space before the colon", "RFC 9112 §5.1, CVE-2019-16869", " : chunked"),
        smuggle("TE.TE, a tab before the colon", "RFC 9112 §5.1", "\t: chunked"),
        smuggle("TE.TE, a vertical tab", "CVE-2019-18277", ": \x0bchunked"),
        smuggle("TE.TE, a form feed", "CVE-2019-18277", ": \x0cchunked"),
        smuggle("TE.TE, a NUL", "RFC 9110 §5.5", ": chunked\0"),
        smuggle("TE.TE, no break space", "RFC 9112 §6.1", ": \u{a0}chunked"),
        smuggle("TE.TE, a coding that is none", "RFC 9112 §6.1", ": xchunked"),
        smuggle("TE.TE, chunked not last", "CVE-2026-2835, RFC 9112 §6.3", ": chunked, identity"),
        smuggle("TE.TE, chunked last", "RFC 9112 §6.1", ": gzip, chunked"),
        smuggle("TE.TE, identity", "RFC 9112 §7", ": identity"),
        smuggle("TE.TE, a list of one", "RFC 9110 §5.6.1", ": ,chunked"),
        smuggle("TE.TE, quoted", "RFC 9112 §7", ": \"chunked\""),
        smuggle("TE.TE, with a parameter", "RFC 9112 §7.1", ": chunked;q=1"),
        smuggle("TE.TE, empty", "RFC 9112 §6.1", ":"),
        smuggle("TE.TE, twice", "CVE-2026-2833", ": chunked\r\nTransfer-Encoding: chunked"),
        smuggle("TE.TE, twice and once unknown", "RFC 9112 §6.1", ": chunked\r\nTransfer-Encoding: cow"),
        smuggle("TE.TE, folded", "RFC 9112 §5.2", ":\r\n chunked"),
        smuggle("TE.TE, folded by a tab", "RFC 9112 §5.2", ": x\r\n\tchunked"),
        smuggle("TE.TE, behind a bare CR", "RFC 9112 §2.2", ": x\rTransfer-Encoding: chunked"),
        smuggle("TE.TE, behind a bare LF", "RFC 9112 §2.2", ": x\nTransfer-Encoding: chunked"),
        smuggling("two lengths", "RFC 9112 §6.3", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        smuggling("one length twice", "RFC 9110 §8.6", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        smuggling("a list of lengths", "RFC 9110 §8.6", "Content-Length: 5, 5\r\n"),
        smuggling("a signed length", "RFC 9110 §8.6, CVE-2018-7159", "Content-Length: +5\r\n"),
        smuggling("a negative length", "RFC 9110 §8.6", "Content-Length: -5\r\n"),
        smuggling("a hexadecimal length", "RFC 9110 §8.6", "Content-Length: 0x5\r\n"),
        smuggling("a length with a space", "CVE-2018-7159", "Content-Length: 5 0\r\n"),
        smuggling("no length at all", "RFC 9110 §8.6", "Content-Length:\r\n"),
        smuggling("a length that overflows", "RFC 9110 §8.6", "Content-Length: 18446744073709551617\r\n"),
        smuggling("a space before the colon of the length", "RFC 9112 §5.1", "Content-Length : 5\r\n"),
        smuggling(
            "a body on an upgrade",
            "CVE-2026-2836",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        ),
        smuggling(
            "chunks on an upgrade",
            "RFC 9110 §7.8",
            "Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n",
        ),
    ];
    assert_refused(&stack, &attacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_could_be_read_in_two_ways_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let refused = |name, source, bytes: &str| Attack::new(name, source, bytes, "400 malformed_request");
    let get = |name, source, line: &str| refused(name, source, &format!("{line}\r\nHost: a\r\n\r\n"));
    let field = |name, source, lines: &str| {
        refused(name, source, &format!("GET /public/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{SMUGGLED}"))
    };
    let old = |name, bytes: &str| Attack::new(name, "RFC 9110 §15.6.6", bytes, "505 malformed_request");
    let attacks = [
        refused("bare LF everywhere", "RFC 9112 §2.2", "GET /public/x HTTP/1.1\nHost: a\n\n"),
        refused("bare LF at the end", "RFC 9112 §2.2", "GET /public/x HTTP/1.1\r\nHost: a\r\n\nX: a\r\n\r\n"),
        refused("bare LF after the request line", "RFC 9112 §2.2", "GET /public/x HTTP/1.1\nHost: a\r\n\r\n"),
        refused("an empty line before it", "RFC 9112 §2.2", "\r\nGET /public/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        field("bare CR in a value", "RFC 9112 §2.2", "X: a\rb"),
        field("NUL in a value", "RFC 9110 §5.5", "X: a\0b"),
        field("a fold", "RFC 9112 §5.2", "X: a\r\n b"),
        field("a fold of the first header", "RFC 9112 §2.2", " X: a"),
        field("a space before the colon", "RFC 9112 §5.1", "X : a"),
        field("no name", "RFC 9110 §5.1", ": a"),
        field("no colon", "RFC 9112 §5", "X"),
        field("a name that is no token", "RFC 9110 §5.1", "X[]: a"),
        field("another request as a header", "RFC 9112 §5", "GET /public/y HTTP/1.1"),
        get("two spaces", "RFC 9112 §3", "GET  /public/x HTTP/1.1"),
        get("a tab", "RFC 9112 §3", "GET\t/public/x HTTP/1.1"),
        get("a space in the target", "RFC 9112 §3.2", "GET /public/x y HTTP/1.1"),
        get("a space at the end", "RFC 9112 §3", "GET /public/x HTTP/1.1 "),
        get("no version", "RFC 9112 §3", "GET /public/x"),
        get("a fragment", "RFC 9112 §3.2", "GET /public/x#y HTTP/1.1"),
        get("a backtick", "RFC 3986 §3.3", "GET /public/`x HTTP/1.1"),
        get("a URL of another host", "RFC 9112 §3.2.2", "GET http://b/public/x HTTP/1.1"),
        get("a URL with a user", "RFC 9110 §4.2.4", "GET http://u@a/public/x HTTP/1.1"),
        refused("a Host with a user", "RFC 9110 §7.2", "GET /public/x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        get("a backslash", "RFC 9112 §3.2", "GET /public\\x HTTP/1.1"),
        get("a quote", "RFC 9112 §3.2", "GET /public/\"x HTTP/1.1"),
        get("angle brackets", "RFC 9112 §3.2", "GET /public/<x> HTTP/1.1"),
        get("a control character", "RFC 9112 §3.2", "GET /public/\u{1} HTTP/1.1"),
        get("NUL", "RFC 9112 §3.2", "GET /public/\0 HTTP/1.1"),
        get("letters of another alphabet", "RFC 9112 §3.2", "GET /public/\u{e9} HTTP/1.1"),
        get("a lower-case version", "RFC 9112 §2.3", "GET /public/x http/1.1"),
        get("a longer version", "RFC 9112 §2.3", "GET /public/x HTTP/1.10"),
        get("a method that is no token", "RFC 9110 §9.1", "G{T /public/x HTTP/1.1"),
        Attack::new("a tunnel", "RFC 9110 §9.3.6", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "405 method_refused"),
        old("HTTP/1.0", "GET /public/x HTTP/1.0\r\nHost: a\r\n\r\n"),
        old(
            "HTTP/1.0 with chunks",
            "POST /public/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        old("HTTP/1.2", "GET /public/x HTTP/1.2\r\nHost: a\r\n\r\n"),
        old("HTTP/2 where it is not spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        refused("TLS where it is not spoken", "RFC 8446 §5.1", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03"),
        refused("no HTTP at all", "RFC 9112 §3", "SSH-2.0-OpenSSH_9.9\r\n"),
    ];
    assert_refused(&stack, &attacks).await;
    let refusals = stack.metric("portcullis_denied_total{reason=\"malformed_request\",route=\"-\"}").await;
    let expected = attacks.iter().filter(|attack| attack.refusal.ends_with(" malformed_request")).count();
    assert!(
        (refusals - f64::from(u32::try_from(expected).unwrap())).abs() < f64::EPSILON,
        "all are counted: {refusals}"
    );
}

/// What the one request looked like that `bytes` were forwarded as, and all that came back.
async fn forwarded(stack: &Stack, bytes: &str) -> (Vec<String>, String) {
    let before = stack.recorder.seen().len();
    let answer = raw(stack.address(), bytes.as_bytes()).await;
    let seen = stack.recorder.seen().split_off(before);
    let shown = seen.iter().map(|seen| {
        let framing = [seen.all("content-length"), seen.all("transfer-encoding")].concat().join(" ");
        format!("{} [{framing}] {}", seen.target(), String::from_utf8_lossy(&seen.body).escape_debug())
    });
    (shown.collect(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn for_one_request_at_most_one_goes_out() {
    let stack = Stack::start(Kind::Embedded).await;
    for (name, request, expected) in [
        ("after no body", "GET /public/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/x [] "),
        ("CL.0", "POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST /public/x [0] "),
        ("after a body", "POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "POST /public/x [2] ab"),
        (
            "after chunks",
            "POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            "POST /public/x [chunked] 2\\r\\nab\\r\\n0\\r\\n\\r\\n",
        ),
    ] {
        let (seen, answer) = forwarded(&stack, &format!("{request}{SMUGGLED}")).await;
        assert_eq!(seen, [expected], "{name}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
    }
    // 0.CL: what would be the body of the one is never the head of another.
    let (seen, answer) = forwarded(
        &stack,
        &format!("GET /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
    )
    .await;
    assert_eq!(seen, [format!("GET /public/x [{}] {}", SMUGGLED.len(), SMUGGLED.escape_debug())], "{answer}");
}

/// What the engine makes of chunks. It writes each anew, so that whatever odd spelling it took never goes on.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_written_anew_and_half_a_body_never_looks_whole() {
    let stack = Stack::start(Kind::Embedded).await;
    let whole = ["POST /public/x [chunked] 2\\r\\nab\\r\\n0\\r\\n\\r\\n"];
    for (name, chunks, expected) in [
        ("plain", "2\r\nab\r\n0\r\n\r\n", &whole[..]),
        ("leading zeros", "002\r\nab\r\n0\r\n\r\n", &whole),
        ("extensions", "2;a=\"b\" ;c\r\nab\r\n0;d\r\n\r\n", &whole),
        ("whitespace before an extension", "2 \t;a\r\nab\r\n0\r\n\r\n", &whole),
        ("a trailer with a managed name", "2\r\nab\r\n0\r\nX-User-Id: 1\r\nContent-Length: 9\r\n\r\n", &whole),
        ("no end", "2\r\nab\r\n", &[]),
    ] {
        let (seen, answer) = forwarded(
            &stack,
            &format!("POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        )
        .await;
        assert_eq!(seen, expected, "{name}: {answer}");
        assert_eq!(answer.contains("HTTP/1.1 200 "), !expected.is_empty(), "{name}: {answer}");
    }
}

/// Chunks that no two readers need read alike (RFC 9112 §7.1).
const BROKEN: [(&str, &str); 23] = [
    ("no size", "\r\nab\r\n0\r\n\r\n"),
    ("no size of the last", "2\r\nab\r\n\r\n\r\n"),
    ("an extension without a size", ";a\r\nab\r\n0\r\n\r\n"),
    ("junk for a size", "x\r\nab\r\n0\r\n\r\n"),
    ("junk after the size", "2x\r\nab\r\n0\r\n\r\n"),
    ("a hexadecimal prefix", "0x2\r\nab\r\n0\r\n\r\n"),
    ("a sign", "+2\r\nab\r\n0\r\n\r\n"),
    ("a negative size", "-2\r\nab\r\n0\r\n\r\n"),
    ("a size that overflows", "10000000000000002\r\nab\r\n0\r\n\r\n"),
    ("a size that nearly overflows", "ffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    ("an underscore", "0_2\r\nab\r\n0\r\n\r\n"),
    ("a space before the size", " 2\r\nab\r\n0\r\n\r\n"),
    ("a space after the size", "2 \r\nab\r\n0\r\n\r\n"),
    ("a bare LF after the size", "2\nab\r\n0\r\n\r\n"),
    ("a bare CR after the size", "2\rab\r\n0\r\n\r\n"),
    ("a bare LF in an extension (CVE-2025-55315)", "2;a\nab\r\n0\r\n\r\n"),
    ("a bare CR in an extension", "2;a\rb\r\nab\r\n0\r\n\r\n"),
    ("a bare LF after the data", "2\r\nab\n0\r\n\r\n"),
    ("nothing after the data", "2\r\nab0\r\n\r\n"),
    ("data beyond the size", "2\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF at the end", "2\r\nab\r\n0\r\n\n"),
    ("a trailer without a colon", "2\r\nab\r\n0\r\nGET /public/y HTTP/1.1\r\n\r\n"),
    ("a trailer that ends with a bare LF", "2\r\nab\r\n0\r\nX: a\n\r\n"),
];

/// Where they are sent, and the route: to a server, and to the gateway itself.
const TO: [(&str, &str); 2] = [("/public/x", "echo_public"), ("/auth/login", "auth.login")];

fn in_chunks(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// How many requests were refused as malformed by this route, each with one access line.
async fn refused(stack: &Stack, route: &str) -> [String; 2] {
    let denied = format!("portcullis_denied_total{{reason=\"malformed_request\",route=\"{route}\"}}");
    let line = format!("portcullis_requests_total{{reason=\"malformed_request\",route=\"{route}\",status=\"400\"}}");
    [stack.metric(&denied).await.to_string(), stack.metric(&line).await.to_string()]
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_could_be_read_in_two_ways_are_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    for (path, _) in TO {
        let attack = |(name, chunks)| {
            Attack::new(
                name,
                "RFC 9112 §7.1",
                format!("{}{chunks}{SMUGGLED}", in_chunks(path)),
                "400 malformed_request",
            )
        };
        assert_refused(&stack, &BROKEN.map(attack)).await;
    }
    assert_eq!(refused(&stack, "-").await, [(2 * BROKEN.len()).to_string(), (2 * BROKEN.len()).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_break_later_are_refused_too() {
    let stack = Stack::start(Kind::Embedded).await;
    for (path, route) in TO {
        for (name, chunks) in BROKEN {
            let mut stream = TcpStream::connect(stack.address()).await.unwrap();
            stream.write_all(format!("{}1\r\n{{\r\n", in_chunks(path)).as_bytes()).await.unwrap();
            let in_flight = async |count| stack.metric("portcullis_requests_in_flight ").await.to_string() == count;
            eventually("it is on its way", || in_flight("1")).await;
            stream.write_all(format!("{chunks}{SMUGGLED}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap(); // So that nobody waits for what it may still send.
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
            assert!(answer.contains("urn:portcullis:problem:malformed_request\""), "{name}: {answer}");
            assert!(answer.contains("onnection: close\r\n"), "{name}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
            eventually("it is over", || in_flight("0")).await;
        }
        assert_eq!(refused(&stack, route).await, [BROKEN.len().to_string(), BROKEN.len().to_string()]);
    }
    assert!(stack.recorder.seen().is_empty(), "none looked whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_an_answer_is_awaited_is_never_a_request() {
    let stack = Stack::start(Kind::Embedded).await;
    let mut stream = TcpStream::connect(stack.address()).await.unwrap();
    stream.write_all(b"GET /public/stall HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually("the first is on its way", || async { stack.recorder.seen().len() == 1 }).await;
    stream.write_all(SMUGGLED.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer), "", "the connection is closed");
    assert_eq!(stack.recorder.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_brings_one_request_after_another() {
    let stack = Stack::start(Kind::Embedded).await;
    let mut stream = TcpStream::connect(stack.address()).await.unwrap();
    for (request, expected) in [
        (&b"GET /public/1 HTTP/1.1\r\nHost: a\r\n\r\n"[..], "GET /public/1"),
        (b"POST /public/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST /public/2"),
        (
            b"POST /public/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "POST /public/3",
        ),
        (b"GET /public/4 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/4"),
    ] {
        // Byte by byte, so that heads and bodies come in pieces.
        for byte in request {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n{}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{expected}");
        }
        assert_eq!(stack.recorder.last().target(), expected);
    }
    assert_eq!(stack.recorder.seen().len(), 4);
}
