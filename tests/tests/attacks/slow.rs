//! Clients that take their time, or come in numbers: each is cut off by a deadline or a bound of its own, and what was
//! half sent never looks whole to a server (CWE-400, CVE-2007-6750).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use portcullis_tests::http2::{Http2, frame, get};
use portcullis_tests::{Builder, Dribble, Kind, Stack, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// More than any deadline here, on a busy machine too.
const LONG: Duration = Duration::from_secs(20);
/// How often a byte trickles in.
const DRIP: Duration = Duration::from_millis(20);

/// A stack with a listener "brisk" that has these terms, and short ones for what they do not name.
fn stack(terms: &str) -> Builder {
    let short = ["header_timeout", "keepalive", "read_timeout", "write_timeout", "body_grace"];
    let short = short.into_iter().filter(|key| !terms.contains(key)).map(|key| format!("{key} = \"300ms\"\n"));
    let short: String = short.collect();
    Stack::builder(Kind::Embedded).extra(&format!("[listeners.brisk]\naddress = \"127.0.0.1:0\"\n{short}{terms}\n"))
}

/// Whether a metric stands at this number.
async fn is(stack: &Stack, line: &str, number: &str) -> bool {
    stack.metric(line).await.to_string() == number
}

async fn connect(stack: &Stack) -> TcpStream {
    TcpStream::connect(stack.listener("brisk")).await.unwrap()
}

/// Writes `bytes` one by one for as long as somebody reads them, and returns all that came back until the end.
async fn trickle(address: SocketAddr, head: &str, bytes: impl Iterator<Item = u8> + Send + 'static) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let writing = tokio::spawn(async move {
        for byte in bytes {
            tokio::time::sleep(DRIP).await;
            if to.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, from.read_to_end(&mut answer)).await.expect("it is cut off");
    writing.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("it is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_told(answer: &str, reason: &str, name: &str) {
    let told = answer.starts_with("HTTP/1.1 408 ") && answer.contains(&format!("urn:portcullis:problem:{reason}\""));
    assert!(told && answer.contains("onnection: close\r\n"), "{name}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_one_deadline_however_it_trickles() {
    let both = "[listeners.both]\naddress = \"127.0.0.1:0\"\nh2c = true\nheader_timeout = \"300ms\"\n";
    let stack = stack("").extra(both).start().await;
    let fields = "X: a\r\n".bytes().cycle();
    let answer = trickle(stack.listener("brisk"), "GET /public/x HTTP/1.1\r\nHost: a\r\n", fields).await;
    assert_told(&answer, "head_timeout", "a trickle of headers (Slowloris)");
    let answer = trickle(stack.listener("brisk"), "GET /public/x HTTP/1.1\r\nHost: a\r\n", std::iter::empty()).await;
    assert_told(&answer, "head_timeout", "half a head, and then nothing");
    let both = stack.listener("both");
    for begun in ["GET /public/x", "GET /public/x HTTP/1.1\r\nHost: a\r\n"] {
        assert_told(&trickle(both, begun, std::iter::empty()).await, "head_timeout", "where HTTP/2 may come too");
    }
    assert!(stack.recorder.seen().is_empty());
    assert!(stack.metric("portcullis_denied_total{reason=\"head_timeout\",route=\"-\"}").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_language_may_come_byte_by_byte() {
    let stack = stack("h2c = true\nheader_timeout = \"20s\"").start().await;
    let stream = connect(&stack).await;
    stream.set_nodelay(true).unwrap();
    let answer = Http2::over(Dribble(stream)).await.send(get("/public/x").body(()).unwrap(), "").await;
    assert_eq!(answer.unwrap().status, 200);
    for method in ["GET", "PRI"] {
        let rest = " /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".bytes();
        let answer = trickle(stack.listener("brisk"), method, rest).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{method}: {answer}");
    }
    assert_eq!(stack.recorder.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for() {
    let stack = stack("").start().await;
    assert_eq!(rest(&mut connect(&stack).await).await, "", "from the beginning");
    let mut stream = connect(&stack).await;
    stream.write_all(b"GET /public/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("keep-alive"), "after a request: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_keeps_up_with_the_least_rate() {
    let stack = stack("min_body_rate = \"1KiB/s\"").start().await;
    let head = |framing: &str| format!("POST /public/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
    let address = stack.listener("brisk");
    let answer = trickle(address, &head("Content-Length: 100000"), std::iter::repeat(b'x')).await;
    assert_told(&answer, "body_timeout", "R-U-Dead-Yet");
    let chunks = "1\r\nx\r\n".bytes().cycle();
    let answer = trickle(address, &head("Transfer-Encoding: chunked"), chunks).await;
    assert_told(&answer, "body_timeout", "chunks of one byte");
    let answer = trickle(address, &head("Content-Length: 5"), std::iter::empty()).await;
    assert_told(&answer, "body_timeout", "no body at all");
    assert!(stack.recorder.seen().is_empty(), "none looked whole");
    let answer = trickle(address, &head("Connection: close\r\nContent-Length: 9"), "patience!".bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "who is slow for a moment: {answer}");
    assert_eq!(stack.recorder.last().body, b"patience!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_request_has_a_deadline() {
    let stack = stack("min_body_rate = \"1B/s\"\nrequest_timeout = \"500ms\"").start().await;
    let head = "POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let answer = trickle(stack.listener("brisk"), head, std::iter::repeat(b'x')).await;
    assert_told(&answer, "body_timeout", "fast enough, and without end");
    assert!(stack.recorder.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_http2_is_waited_for_no_longer() {
    // The upstream's own deadline is the shorter one.
    let stack = stack("h2c = true\nread_timeout = \"1m\"\nmin_body_rate = \"1KiB/s\"").start().await;
    let post = || Request::post("http://gateway.test/public/x").body(()).unwrap();
    for drips in [0, usize::MAX] {
        let mut client = Http2::connect(stack.listener("brisk")).await;
        let (answer, mut body) = client.open(post()).await.unwrap();
        let dripping = tokio::spawn(async move {
            for _ in 0..drips {
                tokio::time::sleep(DRIP).await;
                if body.send_data(Bytes::from_static(b"x"), false).is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        let answer = tokio::time::timeout(LONG, answer).await.expect("it is answered").unwrap();
        assert_eq!(answer.status(), 408, "{drips}");
        dripping.abort();
    }
    assert!(stack.recorder.seen().is_empty());
    assert!(stack.metric("portcullis_denied_total{reason=\"body_timeout\",route=\"echo_public\"}").await >= 2.0);
    assert!(is(&stack, "portcullis_upstream_failures_total{kind=\"timeout\",upstream=\"recorder\"}", "0").await);
}

/// Where servers may take their time.
const PATIENT: &str = r#"
[[route]]
id = "patient"
match = { path = "/patient/*" }
upstream = "recorder"
policy = "public"
read_timeout = "5m"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_body_over_http2_is_no_server_s_to_wait_for() {
    for terms in ["h2c = true", "h2c = true\nread_timeout = \"5m\"\nrequest_timeout = \"500ms\""] {
        let stack = stack(terms).extra(PATIENT).start().await;
        for begins in [false, true] {
            let mut client = Http2::connect(stack.listener("brisk")).await;
            let post = Request::post("http://gateway.test/patient/x").body(()).unwrap();
            let (answer, mut body) = client.open(post).await.unwrap();
            if begins {
                body.send_data(Bytes::from_static(b"x"), false).unwrap();
            }
            let answer = tokio::time::timeout(LONG, answer).await.expect("it is not waited for");
            assert!(answer.is_err_and(|error| error.is_reset()), "{terms}, {begins}: the engine can't answer any more");
        }
        let line = "portcullis_requests_total{reason=\"body_timeout\",route=\"patient\",status=\"000\"}";
        eventually("both are written down", || async { is(&stack, line, "2").await }).await;
        assert!(is(&stack, "portcullis_denied_total{reason=\"body_timeout\",route=\"patient\"}", "2").await);
        assert!(stack.recorder.seen().is_empty(), "none looked whole");
        assert!(is(&stack, "portcullis_requests_in_flight ", "0").await);

        let mut client = Http2::connect(stack.listener("brisk")).await;
        let post = Request::post("http://gateway.test/public/stall").body(()).unwrap();
        let answer = client.send(post, "whole").await.unwrap();
        assert_eq!(answer.status, 504, "a server that has it all may take as long as it is given");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_body_over_http1_is_no_server_s_to_wait_for() {
    // The upstream's own deadline is the shorter one.
    let patient = stack("read_timeout = \"1m\"").start().await;
    let head = |target: &str, more: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n\r\n");
    let address = patient.listener("brisk");
    let told = async |begun: String| trickle(address, &begun, std::iter::empty()).await;
    let (nothing, part, chunk) = tokio::join!(
        told(head("/public/x", "Content-Length: 5")),
        told(head("/public/x", "Content-Length: 5") + "ab"),
        told(head("/public/x", "Transfer-Encoding: chunked") + "1\r\na\r\n"),
    );
    for (name, answer) in [("nothing", nothing), ("a part", part), ("a chunk", chunk)] {
        assert_told(&answer, "body_timeout", name);
    }
    assert!(is(&patient, "portcullis_denied_total{reason=\"body_timeout\",route=\"echo_public\"}", "3").await);
    let line = "portcullis_requests_total{reason=\"body_timeout\",route=\"echo_public\",status=\"408\"}";
    assert!(is(&patient, line, "3").await);
    assert!(is(&patient, "portcullis_upstream_failures_total{kind=\"timeout\",upstream=\"recorder\"}", "0").await);
    assert!(patient.recorder.seen().is_empty(), "none looked whole");

    let (stalled, unasked) = tokio::join!(
        told(head("/public/stall", "Content-Length: 2") + "ab"),
        told(head("/public/x", "Expect: 100-continue\r\nContent-Length: 2")),
    );
    for (name, answer) in [("a server that has it all", stalled), ("a server that does not ask for it", unasked)] {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{name}: {answer}");
    }

    let brisk = stack("").start().await;
    let answer = trickle(brisk.listener("brisk"), &head("/auth/login", "Content-Length: 5"), std::iter::empty()).await;
    assert_told(&answer, "body_timeout", "one of our own endpoints");
}

/// A server of HTTP/2 that takes nothing of any body.
async fn windowless() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // SETTINGS_INITIAL_WINDOW_SIZE is 0 (RFC 9113 §6.5.2), and theirs are acknowledged.
            let settings = [frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), frame(4, 1, 0, b"")].concat();
            tokio::spawn(async move {
                stream.write_all(&settings).await?;
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http2_that_takes_nothing_is_not_the_client_s_fault() {
    let extra = format!(
        "[upstreams.windowless]\nservers = [\"{}\"]\nhttp2 = true\nread_timeout = \"500ms\"\n\
         [[route]]\nid = \"windowless\"\nmatch = {{ path = \"/windowless/*\" }}\nupstream = \"windowless\"\npolicy = \"public\"\n",
        windowless().await
    );
    let stack = stack("read_timeout = \"1m\"").extra(&extra).start().await;
    let told = async |body: &str| {
        let head = format!("POST /windowless/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{body}");
        trickle(stack.listener("brisk"), &head, std::iter::empty()).await
    };
    let (nothing, part, all) = tokio::join!(told(""), told("ab"), told("abcde"));
    assert_told(&nothing, "body_timeout", "nothing came");
    for (name, answer) in [("a part", part), ("all", all)] {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_of_an_answer_is_cut_off() {
    let stack = stack("h2c = true").start().await;
    // More than the buffers of both sides hold.
    stack.recorder.say("GET /public/long", 200, &"x".repeat(64 << 20));
    let idle = || async { is(&stack, "portcullis_requests_in_flight ", "0").await };
    let busy = || async { is(&stack, "portcullis_requests_in_flight ", "1").await };

    let mut deaf = connect(&stack).await;
    deaf.write_all(b"GET /public/long HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually("it is being answered", busy).await;
    eventually("HTTP/1.1 is cut off", idle).await;

    let mut deaf = Http2::connect(stack.listener("brisk")).await;
    let answer = deaf.stream(get("/public/long").body(()).unwrap()).await.unwrap();
    eventually("HTTP/2 is cut off", idle).await;
    drop(answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_brings_so_many_requests() {
    let stack = stack("h2c = true\nrequests_per_connection = 2").start().await;
    let request = b"GET /public/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = connect(&stack).await;
    for expected in ["keep-alive", "close"] {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n{}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(&format!("onnection: {expected}\r\n")), "{expected}: {answer}");
    }
    assert_eq!(rest(&mut stream).await, "");

    let mut client = Http2::connect(stack.listener("brisk")).await;
    for _ in 0..2 {
        assert_eq!(client.send(get("/public/x").body(()).unwrap(), "").await.unwrap().status, 200);
    }
    client.ended().await.expect("it is told to go elsewhere");
    assert_eq!(stack.recorder.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_unless_it_is_a_proxy_of_ours() {
    let mut stack = stack("header_timeout = \"1m\"\nconnections_per_address = 2").start().await;
    let ask = async |stream: &mut TcpStream| {
        let _ = stream.write_all(b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        rest(stream).await
    };
    let (mut first, _second) = (connect(&stack).await, connect(&stack).await);
    assert_eq!(ask(&mut connect(&stack).await).await, "", "one too many");
    let refused = "portcullis_connections_refused_total{listener=\"brisk\",reason=\"address\"}";
    assert!(is(&stack, refused, "1").await);
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200 "), "those that are in are served");
    eventually("its place is free", || async { ask(&mut connect(&stack).await).await.starts_with("HTTP/1.1 200 ") })
        .await;

    stack.reload(|toml| format!("trusted_proxies = [\"127.0.0.1\"]\n{toml}")).await.unwrap();
    let many: Vec<TcpStream> = several(8, &stack).await;
    for mut stream in many {
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
    }
}

async fn several(count: usize, stack: &Stack) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(connect(stack).await);
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idle_make_room_when_places_run_out() {
    let terms = "h2c = true\nheader_timeout = \"1m\"\nkeepalive = \"1h\"\nmax_connections = 4";
    let stack = stack(terms).start().await;
    let mut idle = Http2::connect(stack.listener("brisk")).await;
    assert_eq!(idle.send(get("/public/x").body(()).unwrap(), "").await.unwrap().status, 200);
    let mut kept = several(2, &stack).await;
    for stream in &mut kept {
        stream.write_all(b"GET /public/x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_ne!(stream.read_buf(&mut Vec::new()).await.unwrap(), 0);
    }
    // Each that comes takes the place of one that is idle.
    let mut newcomers = Vec::new();
    for _ in 0..3 {
        newcomers.extend(several(1, &stack).await);
        let room = || async { stack.metric("portcullis_connections_open ").await <= 3.0 };
        eventually("an idle one has gone", room).await;
    }
    for mut stream in kept {
        rest(&mut stream).await; // It is closed.
    }
    idle.ended().await.expect("it is told to go elsewhere");
    for mut newcomer in newcomers {
        newcomer.write_all(b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut newcomer).await.starts_with("HTTP/1.1 200 "));
    }
    assert!(is(&stack, "portcullis_connections_refused_total{listener=\"brisk\",reason=\"all\"}", "0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_last_place_nobody_comes_in() {
    let stack = stack("header_timeout = \"1m\"\nmax_connections = 3").start().await;
    let mut new = several(3, &stack).await;
    assert_eq!(rest(&mut connect(&stack).await).await, "");
    assert!(is(&stack, "portcullis_connections_refused_total{listener=\"brisk\",reason=\"all\"}", "1").await);
    let first = &mut new[0];
    first.write_all(b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(first).await.starts_with("HTTP/1.1 200 "), "who has just come is not idle");
}
