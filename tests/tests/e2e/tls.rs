//! TLS at the front door: who is shown which certificate, what is spoken, what stays outside, and new certificates while
//! requests run.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use portcullis_tests::http2::Http2;
use portcullis_tests::{Authority, Dribble, Issued, Kind, Stack, eventually, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, HandshakeKind, ProtocolVersion};

const LISTENER: &str = r#"
[listeners.secure]
address = "127.0.0.1:0"
[listeners.secure.tls]
certificates = [
    { chain = "first.pem", key = { file = "first.key" } },
    { chain = "second.pem", key = { file = "second.key" } },
]
check_interval = "20ms"
"#;
const RELOADS: &str = r#"portcullis_certificate_reloads_total{listener="secure",outcome="#;

/// A gateway with two certificates, of `a.test` and of all names below `b.test`, whose listener has these keys too.
async fn secured(authority: &Authority, more: &str) -> Stack {
    let (first, second) = (authority.issue(&["a.test", "127.0.0.1"]), authority.issue(&["*.b.test"]));
    let builder = Stack::builder(Kind::Embedded).extra(&format!("{LISTENER}{more}\n"));
    let builder = builder.file("first.pem", &first.chain).file("first.key", &first.key);
    builder.file("second.pem", &second.chain).file("second.key", &second.key).start().await
}

fn put(stack: &Stack, name: &str, issued: &Issued) {
    std::fs::write(stack.folder().join(format!("{name}.key")), &issued.key).unwrap();
    std::fs::write(stack.folder().join(format!("{name}.pem")), &issued.chain).unwrap();
}

async fn reloads(stack: &Stack, outcome: &str) -> f64 {
    stack.metric(&format!("{RELOADS}\"{outcome}\"}}")).await
}

async fn handshakes(stack: &Stack, outcome: &str) -> f64 {
    stack.metric(&format!(r#"portcullis_tls_handshakes_total{{listener="secure",outcome="{outcome}"}}"#)).await
}

/// The status of an answer to a request on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /public/x HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{}") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it stays open");
    }
    String::from_utf8(answer).unwrap()[..12].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_host_is_shown_its_certificate() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let (client, address) = (authority.http1(), stack.listener("secure"));
    for name in ["a.test", "x.b.test", "y.b.test"] {
        assert!(client.get(address, name, "/public/x").await.unwrap().starts_with("HTTP/1.1 200"), "{name}");
    }
    assert!(client.connect(address, "127.0.0.1").await.is_ok(), "who asks for no name is shown the first");
    for name in ["other.test", "b.test", "x.y.b.test"] {
        let refused = client.connect(address, name).await.unwrap_err().to_string();
        assert!(refused.contains("AccessDenied"), "{name}: {refused}");
    }
    let counted = || async { (handshakes(&stack, "unknown_name").await - 3.0).abs() < 0.1 };
    eventually("each is counted", counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_shown_the_first_certificate_only_where_that_is_said() {
    let authority = Authority::new();
    let stack = secured(&authority, "unknown_name = \"first\"").await;
    let refused = authority.http1().connect(stack.listener("secure"), "other.test").await.unwrap_err().to_string();
    assert!(refused.contains("not valid for name"), "the client sees whose it is: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_says_which_http_it_speaks() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let address = stack.listener("secure");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let client = authority.client(offered, rustls::ALL_VERSIONS);
        let stream = client.connect(address, "a.test").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
        if agreed != Some(b"h2") {
            assert!(client.get(address, "a.test", "/public/x").await.unwrap().starts_with("HTTP/1.1 200"));
            continue;
        }
        let request = Request::get("https://a.test/public/x").body(()).unwrap();
        let answer = Http2::over(stream).await.send(request, "").await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("strict-transport-security"), "max-age=15552000");
        assert_eq!(stack.recorder.last().header("x-forwarded-proto"), Some("https"));
    }
    let refused = authority.client(&["spdy/1"], rustls::ALL_VERSIONS).connect(address, "a.test").await;
    assert!(refused.unwrap_err().to_string().contains("NoApplicationProtocol"));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_not_offered_where_it_is_switched_off() {
    let authority = Authority::new();
    let stack = secured(&authority, "http2 = false").await;
    let client = authority.client(&["h2", "http/1.1"], rustls::ALL_VERSIONS);
    let stream = client.connect(stack.listener("secure"), "a.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

/// What a client of an older TLS begins with, and the alert that it gets.
async fn alert_to_a_client_of(version: [u8; 2], address: SocketAddr) -> Vec<u8> {
    let mut hello = vec![1, 0, 0, 61, version[0], version[1]];
    hello.extend([7; 32]);
    // No session, two suites, no compression, one kind of signature, one group: nothing is amiss but the version.
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, 0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 29]);
    let mut record = vec![22, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_1_2_or_newer() {
    const PROTOCOL_VERSION: u8 = 70;
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let address = stack.listener("secure");
    for version in [[3, 0], [3, 1], [3, 2]] {
        let alert = alert_to_a_client_of(version, address).await;
        assert_eq!((alert[0], alert[alert.len() - 1]), (21, PROTOCOL_VERSION), "{version:?} {alert:?}");
    }
    for (versions, spoken) in
        [(&[&TLS12][..], ProtocolVersion::TLSv1_2), (rustls::ALL_VERSIONS, ProtocolVersion::TLSv1_3)]
    {
        let stream = authority.client(&[], versions).connect(address, "a.test").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_refused_where_it_is_too_old() {
    let authority = Authority::new();
    let stack = secured(&authority, "min_version = \"1.3\"").await;
    let address = stack.listener("secure");
    let refused = authority.client(&[], &[&TLS12]).connect(address, "a.test").await.unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    assert!(authority.client(&[], &[&TLS13]).connect(address, "a.test").await.is_ok());
    assert!((handshakes(&stack, "incompatible").await - 1.0).abs() < 0.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_without_another_signature() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    for versions in [&[&TLS12], &[&TLS13]] {
        let client = authority.client(&["http/1.1"], versions);
        client.get(stack.listener("secure"), "a.test", "/public/x").await.unwrap();
        let again = client.connect(stack.listener("secure"), "a.test").await.unwrap();
        assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_shown_to_who_comes_next_while_open_connections_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let stack = secured(&old, "").await;
    let address = stack.listener("secure");
    let mut open = old.http1().connect(address, "a.test").await.unwrap();
    assert_eq!(ask(&mut open).await, "HTTP/1.1 200");

    put(&stack, "first", &new.issue_for(&["a.test", "127.0.0.1"], (2020, 2121)));
    eventually("it is shown", || async { new.http1().connect(address, "a.test").await.is_ok() }).await;
    assert!(old.http1().connect(address, "a.test").await.is_err(), "and the old one no more");
    assert!(old.http1().connect(address, "x.b.test").await.is_ok(), "the other one is as it was");
    assert_eq!(ask(&mut open).await, "HTTP/1.1 200");
    assert!(reloads(&stack, "applied").await >= 1.0);
    let expiry = r#"portcullis_certificate_expiry_timestamp_seconds{certificate="file:first.pem",listener="secure"}"#;
    assert!((stack.metric(expiry).await - 4_765_132_800.0).abs() < 1.0, "2121-01-01");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_that_are_no_good_change_nothing() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let (client, address) = (authority.http1(), stack.listener("secure"));
    let good = authority.issue(&["a.test", "127.0.0.1"]);
    let key = good.key.clone();
    let mut refused = 0.0;
    for (name, issued) in [
        ("another's key", Issued { key: authority.issue(&["a.test"]).key, ..good.clone() }),
        ("half of it", Issued { chain: good.chain[..200].to_owned(), ..good.clone() }),
        ("nothing", Issued { chain: String::new(), ..good.clone() }),
        ("expired", authority.issue_for(&["a.test"], (2020, 2021))),
        ("not yet valid", authority.issue_for(&["a.test"], (2119, 2120))),
        ("a name of the other", authority.issue(&["a.test", "*.b.test"])),
    ] {
        put(&stack, "first", &issued);
        eventually(name, || async { reloads(&stack, "refused").await > refused }).await;
        refused = reloads(&stack, "refused").await;
        assert!(client.get(address, "a.test", "/public/x").await.unwrap().starts_with("HTTP/1.1 200"), "{name}");
        assert!(client.connect(address, "x.b.test").await.is_ok(), "{name}");
    }
    std::fs::remove_file(stack.folder().join("first.pem")).unwrap();
    eventually("it is gone", || async { reloads(&stack, "refused").await > refused }).await;
    assert!(client.connect(address, "a.test").await.is_ok());

    let other = Authority::new();
    put(&stack, "first", &other.issue(&["a.test"]));
    eventually("a good one is taken at last", || async { other.http1().connect(address, "a.test").await.is_ok() })
        .await;
    assert_ne!(key, std::fs::read_to_string(stack.folder().join("first.key")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_ones_host_keeps_no_good_one_out() {
    let (old, new) = (Authority::new(), Authority::new());
    let stack = secured(&old, "").await;
    let address = stack.listener("secure");
    for (greedy, theirs, honest, ours) in [
        ("first", ["a.test", "*.b.test"], "second", ["*.b.test", "c.test"]),
        ("second", ["*.b.test", "a.test"], "first", ["a.test", "d.test"]),
    ] {
        let refused = reloads(&stack, "refused").await;
        put(&stack, greedy, &new.issue(&theirs));
        eventually("it is refused", || async { reloads(&stack, "refused").await > refused }).await;
        put(&stack, honest, &new.issue(&ours));
        let shown = || async { new.http1().connect(address, ours[1]).await.is_ok() };
        eventually("the good one is shown", shown).await;
        let name = theirs[0].replace('*', "x");
        assert!(old.http1().connect(address, &name).await.is_ok(), "{greedy} is as it was");
        put(&stack, greedy, &old.issue(&theirs[..1]));
        put(&stack, honest, &old.issue(&ours[..1]));
        let back = || async { new.http1().connect(address, ours[1]).await.is_err() };
        eventually("all is as it was", back).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_may_move_from_one_certificate_to_the_other() {
    let (old, new) = (Authority::new(), Authority::new());
    let stack = secured(&old, "").await;
    let (first, second) = (new.issue(&["*.b.test"]), new.issue(&["a.test"]));
    // Whichever half is seen first does not fit; both do.
    put(&stack, "first", &first);
    put(&stack, "second", &second);
    for name in ["a.test", "x.b.test"] {
        let shown = || async { new.http1().connect(stack.listener("secure"), name).await.is_ok() };
        eventually(name, shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_may_bring_other_certificates_but_no_other_terms() {
    let authority = Authority::new();
    let mut stack = secured(&authority, "").await;
    let (client, address) = (authority.http1(), stack.listener("secure"));
    put(&stack, "third", &authority.issue(&["c.test"]));
    let third = r#"certificates = [{ chain = "third.pem", key = { file = "third.key" } },"#;
    stack.reload(|toml| toml.replace("certificates = [", third)).await.unwrap();
    for name in ["a.test", "x.b.test", "c.test"] {
        assert!(client.connect(address, name).await.is_ok(), "{name}");
    }
    let refused = stack.reload(|toml| toml.replace("check_interval", "http2 = false\ncheck_interval")).await;
    assert!(refused.unwrap_err().contains("restart required: [listeners]"));

    put(&stack, "third", &authority.issue_for(&["c.test"], (2020, 2021)));
    stack.reload(|toml| toml.replace("certificates = [", third)).await.unwrap();
    assert!(client.connect(address, "c.test").await.is_ok(), "an expired one does not take a good one's place");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_shake_hands_is_cut_off() {
    let authority = Authority::new();
    let stack = secured(&authority, "handshake_timeout = \"200ms\"").await;
    for beginning in [&b""[..], &[22, 3, 1, 0, 200, 1, 0]] {
        let mut stream = TcpStream::connect(stack.listener("secure")).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{beginning:?}");
        assert_eq!(answer, b"");
    }
    let counted = || async { (handshakes(&stack, "timeout").await - 2.0).abs() < 0.1 };
    eventually("both are counted", counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_shaken_hands_holds_no_shutdown_up() {
    let authority = Authority::new();
    let mut stack = secured(&authority, "handshake_timeout = \"10m\"").await;
    let _silent = TcpStream::connect(stack.listener("secure")).await.unwrap();
    eventually("it is there", || async { stack.metric("portcullis_connections_open").await > 0.5 }).await;
    assert!(stack.shut_down().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_the_other_language_gets_nothing_and_harms_nobody() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let address = stack.listener("secure");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /public/x HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    assert!((handshakes(&stack, "not_tls").await - 1.0).abs() < 0.1);

    let refused = authority.http1().connect(stack.address(), "a.test").await;
    assert!(refused.is_err(), "a listener without TLS knows no handshake");
    assert!(stack.recorder.seen().is_empty());
    assert!(authority.http1().get(address, "a.test", "/public/x").await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(stack.anonymous().get("/public/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_may_come_byte_by_byte() {
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let stream = TcpStream::connect(stack.listener("secure")).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = authority.http1().over(Dribble(stream), "a.test").await.unwrap();
    stream.write_all(b"GET /public/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_over_tls_and_nowhere_else_to_insist_on_it() {
    const INSISTS: &str = "strict-transport-security";
    let authority = Authority::new();
    let stack = secured(&authority, "").await;
    let (client, address) = (authority.http1(), stack.listener("secure"));
    for target in ["/public/x", "/users/me", "/nowhere", "/public/secure"] {
        let answer = client.get(address, "a.test", target).await.unwrap().to_ascii_lowercase();
        assert!(answer.contains(&format!("\r\n{INSISTS}: max-age=15552000\r\n")), "{target}: {answer}");
        assert_eq!(answer.matches(INSISTS).count(), 1, "{target}: {answer}");
        let answer = stack.anonymous().get(target).await;
        assert!(!answer.headers.contains_key(INSISTS), "{target}: {:?}", answer.headers);
    }
    // What is no request is told so before anybody asks what it is for.
    let bad = b"GET /public/x HTTP/1.1\r\n\r\n";
    let mut stream = client.connect(address, "a.test").await.unwrap();
    stream.write_all(bad).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nstrict-transport-security: max-age=15552000\r\n")
    );
    let answer = raw(stack.address(), bad).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains(INSISTS), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_of_tls_stays_where_we_say_nothing() {
    let authority = Authority::new();
    let stack = secured(&authority, "hsts = \"off\"").await;
    let (client, address) = (authority.http1(), stack.listener("secure"));
    let answer = client.get(address, "a.test", "/public/x").await.unwrap().to_ascii_lowercase();
    assert!(!answer.contains("strict-transport"), "{answer}");
    let answer = client.get(address, "a.test", "/public/secure").await.unwrap().to_ascii_lowercase();
    assert!(answer.contains("strict-transport-security: max-age=1\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_send_everybody_to_tls_and_nowhere_else() {
    let listener = "[listeners.plain]\naddress = \"127.0.0.1:0\"\nredirect_to = \"https\"\nhttps_port = 8443\n";
    let stack = Stack::builder(Kind::Embedded).extra(listener).start().await;
    let address = stack.listener("plain");
    for (request, location) in [
        ("GET /public/x?a=%2F&b HTTP/1.1\r\nHost: a.test:80\r\n", "https://a.test:8443/public/x?a=%2F&b"),
        ("POST /nowhere/../x HTTP/1.1\r\nHost: A.test.\r\nContent-Length: 0\r\n", "https://a.test:8443/x"),
        ("HEAD / HTTP/1.1\r\nHost: [::1]\r\n", "https://[::1]:8443/"),
        ("GET http://a.test/y HTTP/1.1\r\nHost: a.test\r\n", "https://a.test:8443/y"),
        (
            "GET /.well-known/acme-challenge/z HTTP/1.1\r\nHost: a.test\r\n",
            "https://a.test:8443/.well-known/acme-challenge/z",
        ),
    ] {
        let answer = raw(address, format!("{request}Connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 308"), "{request}: {answer}");
        assert!(answer.contains(&format!("\r\nlocation: {location}\r\n")), "{request}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("strict-transport"), "{answer}");
    }
    for head in [
        "GET /x HTTP/1.1\r\nHost: evil.test@a.test\r\n",
        "GET /x HTTP/1.1\r\nHost: a.test/evil\r\n",
        "GET /x HTTP/1.1\r\nHost: a.test\r\nHost: evil.test\r\n",
        "GET /x HTTP/1.1\r\nHost: \r\n",
        "GET /x HTTP/1.1\r\n",
        "GET /x%0d%0aSet-Cookie:a=b%2f HTTP/1.1\r\nHost: a.test\r\n",
    ] {
        let answer = raw(address, format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("\r\nlocation"), "{head}: {answer}");
    }
    assert!(stack.recorder.seen().is_empty(), "nothing is served there");
    assert!(stack.metric(r#"portcullis_requests_total{reason="-",route="-",status="308"}"#).await > 4.5);
}
