//! Answers of a server that was taken over, or is merely broken: those whose end two readers could see in different places,
//! tunnels that nobody asked for, and what was meant for the gateway alone. What can't be made plain is refused, to clients
//! of HTTP/1.1 and HTTP/2 alike, and nothing more is read from where it came from.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_tests::http2::{Http2, get};
use portcullis_tests::{Kind, Stack, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the gateway must pass on to nobody.
const PLANTED: &str =
    "HTTP/1.1 200 OK\r\nServer: planted\r\nSet-Cookie: portcullis-access=planted\r\nContent-Length: 7\r\n\r\nplanted";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Which connection brought a request, and its number among the answers.
type Asked = (usize, usize);

/// A server that answers `/said/N` with the Nth of these, and keeps each connection for more requests.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn saying(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let (answers, asked) = (Arc::new(answers), Arc::clone(&server.asked));
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                tokio::spawn(serve(stream, connection, Arc::clone(&answers), Arc::clone(&asked)));
            }
        });
        server
    }

    /// On how many connections a request came after this one.
    fn reused_after(&self, number: usize) -> usize {
        let asked = self.asked.lock().unwrap();
        let at: Vec<usize> = (0..asked.len()).filter(|&at| asked[at].1 == number).collect();
        at.iter().filter(|&&at| asked[at + 1..].iter().any(|(connection, _)| *connection == asked[at].0)).count()
    }
}

async fn serve(mut stream: TcpStream, connection: usize, answers: Arc<Vec<String>>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut head = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut head).await {
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        let number = head.split(['/', ' ']).nth(3).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            asked.lock().unwrap().push((connection, number));
        }
        let answer = number.and_then(|number: usize| answers.get(number)).map_or(NOT_FOUND, String::as_str);
        let (answer, closes) = answer.strip_suffix('!').map_or((answer, false), |answer| (answer, true));
        if stream.write_all(answer.as_bytes()).await.is_err() || closes {
            return;
        }
    }
}

/// A gateway in front of a server that says this; one that ends with `!` closes the connection then.
async fn stack(answers: impl IntoIterator<Item = String>) -> (Stack, Server) {
    let server = Server::saying(answers.into_iter().collect()).await;
    let extra = format!(
        "[cookies]\n[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [upstreams.saying]\nservers = [\"{}\"]\n\
         [[route]]\nid = \"said\"\nmatch = {{ path = \"/said/*\" }}\nupstream = \"saying\"\npolicy = \"public\"\n",
        server.address
    );
    (Stack::builder(Kind::Embedded).extra(&extra).start().await, server)
}

/// All that comes back over HTTP/1.1 for a request with these header lines, in lower case.
async fn ask(stack: &Stack, method: &str, number: usize, lines: &str) -> String {
    let request = format!("{method} /said/{number} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    raw(stack.address(), request.as_bytes()).await.to_ascii_lowercase()
}

/// How long an answer may take; where its end is not seen, it takes for ever.
const WITHIN: Duration = Duration::from_secs(3);

const CLOSE: &str = "Connection: close\r\n";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

/// What is wrong with how an answer was refused, if anything is.
fn flaw(answer: &str) -> Option<String> {
    let refused = answer.starts_with("http/1.1 502 ")
        && answer.contains("\"urn:portcullis:problem:upstream_broken\"")
        && answer.contains("\r\nconnection: close\r\n")
        && answer.matches("http/1.1 ").count() == 1
        && !answer.contains("planted");
    (!refused).then(|| answer.to_owned())
}

/// Heads, with what is wrong with them; a body follows that some would end before [`PLANTED`].
const AMBIGUOUS: [(&str, &str); 22] = [
    ("a list of one length (RFC 9110 §8.6)", "Content-Length: 2, 2\r\n"),
    ("one length twice (RFC 9110 §8.6)", "Content-Length: 2\r\nContent-Length: 2\r\n"),
    ("two lengths (RFC 9112 §6.3)", "Content-Length: 2\r\nContent-Length: 3\r\n"),
    ("a list of two lengths (RFC 9112 §6.3)", "Content-Length: 2, 3\r\n"),
    ("a length that is none (RFC 9112 §6.3)", "Content-Length: x\r\n"),
    ("a signed length (RFC 9110 §8.6)", "Content-Length: +2\r\n"),
    ("a negative length (RFC 9110 §8.6)", "Content-Length: -2\r\n"),
    ("a hexadecimal length (RFC 9110 §8.6)", "Content-Length: 0x2\r\n"),
    ("no length at all (RFC 9110 §8.6)", "Content-Length:\r\n"),
    ("a length that overflows (RFC 9110 §8.6)", "Content-Length: 18446744073709551618\r\n"),
    ("a length that overflows for some (RFC 9110 §8.6)", "Content-Length: 18446744073709551615\r\n"),
    ("a length that overflows for others (RFC 9110 §8.6)", "Content-Length: 9999999999999999999\r\n"),
    ("an unknown encoding (RFC 9112 §6.1)", "Transfer-Encoding: cow\r\n"),
    ("an unknown encoding beside a length (RFC 9112 §6.1)", "Transfer-Encoding: cow\r\nContent-Length: 2\r\n"),
    ("no encoding (RFC 9112 §7)", "Transfer-Encoding: identity\r\n"),
    ("an empty encoding (RFC 9112 §6.1)", "Transfer-Encoding:\r\n"),
    ("chunked twice (RFC 9112 §6.1)", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("a list of chunked twice (RFC 9112 §6.1)", "Transfer-Encoding: chunked, chunked\r\n"),
    ("chunked last: nobody said that we take another (RFC 9112 §7.4)", "Transfer-Encoding: gzip, chunked\r\n"),
    ("chunked not last (RFC 9112 §6.3)", "Transfer-Encoding: chunked, gzip\r\n"),
    ("chunked behind an unknown one (RFC 9112 §6.1)", "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n"),
    ("a parameter (RFC 9112 §7.1)", "Transfer-Encoding: chunked;q=1\r\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_could_end_in_two_places_is_refused() {
    let body = |lines: &str| if lines.contains("chunked") { "2\r\nhi\r\n0\r\n\r\n" } else { "hi" };
    let mut rows: Vec<(&str, String)> = AMBIGUOUS
        .iter()
        .map(|(name, lines)| (*name, format!("HTTP/1.1 200 OK\r\n{lines}\r\n{}{PLANTED}", body(lines))))
        .collect();
    rows.push((
        "chunks of HTTP/1.0 (RFC 9112 §6.1)",
        format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n{PLANTED}"),
    ));
    let (stack, server) = stack(rows.iter().map(|(_, answer)| answer.clone())).await;
    let mut flaws = Vec::new();
    for (number, (name, _)) in rows.iter().enumerate() {
        flaws.extend(flaw(&ask(&stack, "GET", number, "").await).map(|flaw| format!("{name}: {flaw}")));
        flaws.extend(flaw_over_http2(&stack, number).await.map(|flaw| format!("{name}, over HTTP/2: {flaw}")));
        assert!(ask(&stack, "GET", rows.len(), CLOSE).await.starts_with("http/1.1 404"), "it goes on");
        if server.reused_after(number) > 0 {
            flaws.push(format!("{name}: the connection was used again"));
        }
    }
    assert!(flaws.is_empty(), "{} flaws:\n{}", flaws.len(), flaws.join("\n\n"));
    let times = 2 * rows.len();
    for metric in [
        r#"portcullis_upstream_failures_total{kind="broken",upstream="saying"}"#,
        r#"portcullis_denied_total{reason="upstream_broken",route="said"}"#,
    ] {
        assert_eq!(stack.metric(metric).await.to_string(), times.to_string(), "{metric}");
    }
}

async fn flaw_over_http2(stack: &Stack, number: usize) -> Option<String> {
    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let answer = http2.send(get(&format!("/said/{number}")).body(()).unwrap(), "");
    match tokio::time::timeout(WITHIN, answer).await {
        Ok(Ok(answer)) if answer.status == 502 && answer.reason() == "upstream_broken" => None,
        other => Some(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_opened_only_to_whom_asked_for_it() {
    let switching = |lines: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n{PLANTED}");
    let answers = [
        switching(WEBSOCKET),
        switching("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        switching("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"),
        switching("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
        switching(""),
        switching("Content-Length: 2\r\n"),
        switching(WEBSOCKET).replacen("HTTP/1.1", "HTTP/1.0", 1),
    ];
    let (stack, server) = stack(answers).await;
    let mut flaws = Vec::new();
    for (name, method, number, lines) in [
        ("unasked", "GET", 0, ""),
        ("unasked, and no tunnel in words", "GET", 4, ""),
        ("unasked, with a length", "GET", 5, ""),
        ("asked, but not of the next hop", "GET", 0, "Upgrade: websocket\r\n"),
        ("another one was asked for", "GET", 0, "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        ("no GET (RFC 6455 §4.1)", "POST", 0, WEBSOCKET),
        ("to another protocol", "GET", 1, WEBSOCKET),
        ("to two protocols", "GET", 2, WEBSOCKET),
        ("to a list of protocols", "GET", 3, WEBSOCKET),
        ("to no protocol (RFC 9110 §15.2.2)", "GET", 4, WEBSOCKET),
        ("by HTTP/1.0 (RFC 9110 §15.2)", "GET", 6, WEBSOCKET),
    ] {
        flaws.extend(flaw(&ask(&stack, method, number, lines).await).map(|flaw| format!("{name}: {flaw}")));
    }
    for number in [0, 4, 5] {
        flaws.extend(flaw_over_http2(&stack, number).await.map(|flaw| format!("over HTTP/2: {flaw}")));
    }
    assert!(flaws.is_empty(), "{} flaws:\n{}", flaws.len(), flaws.join("\n\n"));
    assert!(ask(&stack, "GET", 100, CLOSE).await.starts_with("http/1.1 404"), "it goes on");
    assert_eq!((0..7).map(|number| server.reused_after(number)).sum::<usize>(), 0, "on new connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_was_asked_for_is_opened_in_our_words() {
    let lines = "Connection: x-hop, upgrade\r\nUpgrade: WebSocket\r\nX-Hop: 1\r\nContent-Length: 2\r\nSec-WebSocket-Accept: x\r\n";
    let (stack, _server) = stack([format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\nframes!")]).await;
    let answer = ask(&stack, "GET", 0, WEBSOCKET).await;
    let (head, frames) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(lines_of(head, ["connection", "upgrade"]), ["connection: upgrade", "upgrade: websocket"], "{head}");
    assert!(head.contains("sec-websocket-accept: x") && !head.contains("x-hop"), "{head}");
    assert_eq!((lines_of(head, ["content-length"]).len(), frames), (0, "frames"), "{answer}");
}

/// Those lines of a head that begin with one of these names.
fn lines_of<'a, const N: usize>(head: &'a str, names: [&str; N]) -> Vec<&'a str> {
    let mut lines: Vec<_> =
        head.lines().filter(|line| line.split_once(':').is_some_and(|(name, _)| names.contains(&name))).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_of_its_connection_goes_no_further() {
    let hop = "Connection: X-Hop, keep-alive\r\nConnection: x-two,,\"x-quoted\", Content-Length, \u{e9}, x-three\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: hop\r\nTE: hop\r\nUpgrade: hop\r\n\
        X-Hop: hop\r\nX-Hop: hop\r\nX-Two: hop\r\nX-Three: hop\r\nX-Kept: kept\r\n";
    let (stack, _server) =
        stack([format!("HTTP/1.1 103 Early Hints\r\n{hop}\r\nHTTP/1.1 200 OK\r\n{hop}Content-Length: 2\r\n\r\nhi")])
            .await;
    let answer = ask(&stack, "GET", 0, CLOSE).await;
    let heads: Vec<_> = answer.split("\r\n\r\n").collect();
    assert_eq!(heads.len(), 3, "two heads and a body: {answer}");
    assert!(heads[..2].iter().all(|head| head.contains("x-kept: kept") && !head.contains("hop")), "{answer}");
    assert_eq!(lines_of(heads[0], ["connection"]).len(), 0, "{answer}");
    assert_eq!(lines_of(heads[1], ["connection", "keep-alive"]), ["connection: close"], "ours: {answer}");
    assert_eq!(lines_of(heads[1], ["content-length"]), ["content-length: 2"], "the body has an end: {answer}");

    let mut http2 = Http2::connect(stack.listener("h2c")).await;
    let answer = http2.send(get("/said/0").body(()).unwrap(), "").await.unwrap();
    assert_eq!((answer.header("x-kept"), answer.header("content-length"), answer.body.as_str()), ("kept", "2", "hi"));
    assert!(!answer.headers.values().any(|value| value == "hop"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_says_no_length() {
    let framings = ["Content-Length: 2\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"];
    let answers: Vec<_> = framings
        .iter()
        .flat_map(|framing| {
            let interim =
                format!("HTTP/1.1 103 Early Hints\r\n{framing}\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            [format!("HTTP/1.1 204 No Content\r\n{framing}\r\n"), interim]
        })
        .collect();
    let (stack, _server) = stack(answers.clone()).await;
    for (number, said) in answers.iter().enumerate() {
        let answer = ask(&stack, "GET", number, CLOSE).await;
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with("http/1.1 204 ") || head.starts_with("http/1.1 103 "), "{said}: {answer}");
        assert_eq!(lines_of(head, ["content-length", "transfer-encoding"]).len(), 0, "{said}: {answer}");
        let mut http2 = Http2::connect(stack.listener("h2c")).await;
        let answer = http2.send(get(&format!("/said/{number}")).body(()).unwrap(), "").await.unwrap();
        let expected = if number % 2 == 0 { (204, "", "") } else { (200, "2", "hi") };
        assert_eq!((answer.status, answer.header("content-length"), answer.body.as_str()), expected, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_in_one_place_is_passed_on() {
    let rows = [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        ("the end of the connection", "HTTP/1.1 200 OK\r\n\r\nhi!"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi!"),
        ("HTTP/1.0, the end of the connection", "HTTP/1.0 200 OK\r\n\r\nhi!"),
        (
            "a length beside chunks, which the engine drops",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        ("a space before the colon, which the engine drops", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi"),
        (
            "a folded line, which the engine unfolds",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
    ];
    let (stack, _server) = stack(rows.iter().map(|(_, answer)| (*answer).to_owned())).await;
    for (number, (name, _)) in rows.iter().enumerate() {
        let answer = ask(&stack, "GET", number, CLOSE).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(matches!(body, "hi" | "2\r\nhi\r\n0\r\n\r\n"), "{name}: {answer}");
        assert!(head.starts_with("http/1.1 200 "), "{name}: {answer}");
        assert_eq!(lines_of(head, ["content-length", "transfer-encoding"]).len(), 1, "{name}: {answer}");
        let mut http2 = Http2::connect(stack.listener("h2c")).await;
        let answer = http2.send(get(&format!("/said/{number}")).body(()).unwrap(), "").await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "hi"), "{name}");
    }
}
