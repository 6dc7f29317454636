//! Requests that name no host, several, or one in a spelling that slips past its routes (RFC 9112 §3.2).

use portcullis_tests::{Attack, Kind, Stack, assert_refused, raw};

/// A protected host, and everything else.
const ROUTES: &str = r#"
[[route]]
id = "internal"
match = { host = "internal.test", path = "/by-host/*" }
upstream = "recorder"
policy = "authenticated"

[[route]]
id = "internal_address"
match = { host = "2001:db8:0::1", path = "/by-host/*" }
upstream = "recorder"
policy = "authenticated"

[[route]]
id = "others"
match = { path = "/by-host/*" }
upstream = "recorder"
policy = "public"
"#;

async fn stack() -> Stack {
    Stack::builder(Kind::Embedded).extra(ROUTES).start().await
}

fn head(lines: &str) -> String {
    format!("GET /public/x HTTP/1.1\r\n{lines}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let stack = stack().await;
    let section = "RFC 9112 §3.2";
    let syntax = "RFC 3986 §3.2.2";
    let numbers = "WHATWG URL §3.5, the IPv4 number parser";
    let rows = [
        ("no Host", section, head("")),
        ("an absolute target instead of Host", section, "GET http://a/public/x HTTP/1.1\r\n\r\n".to_owned()),
        ("an empty Host", section, head("Host:\r\n")),
        ("a Host that is none", section, head("Host: a b\r\n")),
        ("a list of hosts", section, head("Host: a, b\r\n")),
        ("an empty label", syntax, head("Host: a..test\r\n")),
        ("two dots at the end", syntax, head("Host: internal.test..\r\n")),
        ("a percent-encoded host", syntax, head("Host: internal%2etest\r\n")),
        ("a host with a path", syntax, head("Host: a/internal.test\r\n")),
        ("a host with a backslash", syntax, head("Host: a\\internal.test\r\n")),
        ("a port that is none", syntax, head("Host: a:http\r\n")),
        ("a port with a sign", syntax, head("Host: a:+80\r\n")),
        ("a colon without a port", syntax, head("Host: a:\r\n")),
        ("two ports", syntax, head("Host: a:80:81\r\n")),
        ("a port beyond all", syntax, head("Host: a:65536\r\n")),
        ("a zone", "RFC 9110 §4.2", head("Host: [fe80::1%25eth0]\r\n")),
        ("a short address", numbers, head("Host: 127.1\r\n")),
        ("an address in one number", numbers, head("Host: 2130706433\r\n")),
        ("an address in hexadecimal", numbers, head("Host: 0x7f000001\r\n")),
        ("an address in octal", numbers, head("Host: 0177.0.0.1\r\n")),
    ];
    let attacks = rows.map(|(name, source, bytes)| Attack::new(name, source, bytes, "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_contradict_each_other_are_refused() {
    let stack = stack().await;
    let target = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let rows = [
        ("two of a kind", head("Host: a\r\nHost: a\r\n")),
        ("two that differ", head("Host: a\r\nHost: internal.test\r\n")),
        ("user information", head("Host: internal.test@a\r\n")),
        ("a target that names another", target("http://internal.test/public/x", "a")),
        ("another port", target("http://a:81/public/x", "a:80")),
        ("a port in the target alone", target("http://a:80/public/x", "a")),
        ("a port in the header alone", target("http://a/public/x", "a:80")),
        ("no host in the target", target("http:///public/x", "a")),
        ("a host that is none in both", target("http://a..b/public/x", "a..b")),
        ("user information in the target", target("http://a@b/public/x", "b")),
        ("user information in both", target("http://a@b/public/x", "a@b")),
        ("a backslash in the target", target("http://a\\@b/public/x", "a")),
        ("one slash", target("http:/a/public/x", "a")),
        ("no slash", target("http:a/public/x", "a")),
        ("backslashes", target("http:\\\\a/public/x", "a")),
        ("another scheme", target("ftp://a/public/x", "a")),
        ("no scheme", target("a/public/x", "a")),
        ("a URL in a query, and no path", target("?http://a/public/x", "a")),
    ];
    let count = rows.len().to_string();
    let attacks = rows.map(|(name, bytes)| Attack::new(name, "RFC 9112 §3.2", bytes, "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
    let line = "portcullis_requests_total{reason=\"malformed_request\",route=\"-\",status=\"400\"}";
    assert_eq!(stack.metric(line).await.to_string(), count, "each has its line");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_host_slips_past_its_routes() {
    let stack = stack().await;
    let open = raw(stack.address(), b"GET /by-host/x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n").await;
    assert!(open.starts_with("HTTP/1.1 200"), "{open}");
    for host in [
        "internal.test",
        "INTERNAL.Test",
        "internal.test.",
        "internal.test:0080",
        "internal.test.:80",
        "[2001:DB8::0:1]:1",
    ] {
        let respelt = host.to_ascii_uppercase();
        for request in [
            format!("GET /by-host/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            format!("GET http://{host}/by-host/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            format!("GET HTTP://{host}/by-host/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
            format!("GET http://{host}/by-host/x HTTP/1.1\r\nHost: {respelt}\r\nConnection: close\r\n\r\n"),
            format!("GET http://{respelt}/by-host/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        ] {
            let answer = raw(stack.address(), request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("no_credential"), "{host}: {answer}");
        }
    }
    assert_eq!(stack.recorder.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_sees_the_host_that_was_routed() {
    let stack = stack().await;
    for (sent, expected) in [
        ("a.test:8080", "a.test:8080"),
        ("A.Test.", "a.test"),
        ("A.test.:080", "a.test:80"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[0:0::1]", "[::1]"),
    ] {
        for target in ["/public/x", &format!("http://{sent}/public/x"), &format!("HTTP://{expected}/public/x")] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: {sent}\r\nConnection: close\r\n\r\n");
            let answer = raw(stack.address(), request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{target} {sent}: {answer}");
            let seen = stack.recorder.last();
            assert_eq!(seen.target(), "GET /public/x", "{sent}");
            assert_eq!((seen.header("host"), seen.header("x-forwarded-host")), (Some(expected), Some(expected)));
        }
    }
}
