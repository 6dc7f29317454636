//! Paths that one server reads as a public one and another as a protected one.

use http::Request;
use portcullis_tests::http2::Http2;
use portcullis_tests::{Attack, Kind, Stack, assert_refused, raw};

/// Routes that accept what others refuse, beside protected ones.
const ACCEPTING: &str = r#"
[[route]]
id = "matrix"
match = { path = "/matrix/*" }
upstream = "recorder"
policy = "public"
accept = ["matrix_parameters"]

[[route]]
id = "files"
match = { path = "/files/{name}" }
upstream = "recorder"
rewrite = "/stored/{name}"
policy = "public"
accept = ["encoded_slash", "encoded_percent"]

[[route]]
id = "secret_files"
match = { path = "/files/secret/{name}" }
upstream = "recorder"
policy = "authenticated"

[[route]]
id = "all_matrix"
match = { path = "/*" }
upstream = "recorder"
policy = "public"
accept = ["matrix_parameters", "encoded_slash"]
"#;

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_servers_read_differently_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let rows = [
        ("an encoded slash", "CVE-2021-29492 (Envoy), CVE-2018-7490 (uWSGI)", "/public/..%2fecho/x"),
        ("an encoded slash in capitals", "CVE-2021-29492 (Envoy)", "/public/..%2Fecho/x"),
        ("an encoded slash that leads nowhere", "RFC 3986 §2.2", "/public/a%2fb"),
        ("a backslash", "WHATWG URL §4.4: browsers and IIS read a slash", "/public/..\\echo/x"),
        ("an encoded backslash", "CVE-2021-29492 (Envoy)", "/public/..%5cecho/x"),
        ("NUL", "CWE-158", "/public/x%00"),
        ("NUL before a suffix", "CVE-2010-2333 (LiteSpeed)", "/public/x%00.css"),
        ("encoded twice", "CVE-2021-42013 (Apache httpd)", "/public/%252e%252e/echo/x"),
        ("encoded twice, a slash", "CVE-2021-42013 (Apache httpd)", "/public/..%252fecho/x"),
        ("encoded twice, digit by digit", "CVE-2021-42013 (Apache httpd)", "/public/%%32%65%%32%65/echo/x"),
        ("a percent sign", "RFC 3986 §2.4", "/public/100%25"),
        ("dots that lead out", "RFC 3986 §5.2.4, CWE-22", "/../echo/x"),
        ("encoded dots that lead out", "CVE-2021-41773 (Apache httpd)", "/public/%2e%2e/.%2e/echo/x"),
        ("dots behind a doubled slash", "nginx merge_slashes, RFC 3986 §5.2.4", "/public//../echo/x"),
        ("dots with a parameter", "CVE-2020-5902 (F5 BIG-IP), CVE-2020-1957 (Apache Shiro)", "/public/..;/echo/x"),
        ("dots with an encoded parameter", "CVE-2020-13933 (Apache Shiro)", "/public/..%3b/echo/x"),
        ("an empty segment with a parameter", "CVE-2020-11989 (Apache Shiro)", "/public/;/echo/x"),
        ("a parameter before a route boundary", "CVE-2016-9879 (Spring Security)", "/public;/x"),
        ("a parameter on a protected name", "CVE-2016-9879 (Spring Security)", "/echo;x=y/x"),
        ("a parameter at the end", "CVE-2016-9879 (Spring Security)", "/public/x;.css"),
        ("an encoded line break", "CWE-93", "/public/x%0d%0aX:y"),
        ("an encoded control character", "RFC 3986 §3.3", "/public/%7f"),
        ("an encoded tab", "RFC 3986 §3.3", "/public/%09"),
        ("an overlong slash", "CVE-2008-2938 (Tomcat), RFC 3629 §10", "/public/..%c0%afecho/x"),
        ("a surrogate", "RFC 3629 §3", "/public/%ed%a0%80"),
        ("a byte that is no UTF-8", "RFC 3629 §3", "/public/%ff"),
        ("an IIS encoding", "RFC 3986 §2.1; IIS decodes it", "/public/..%u2215echo/x"),
        ("a broken encoding", "RFC 3986 §2.1", "/public/%zz"),
        ("half an encoding", "RFC 3986 §2.1", "/public/%2"),
        ("all of the server", "RFC 9112 §3.2.4", "*"),
        ("another scheme", "RFC 9112 §3.2.2", "ftp://a/public/x"),
        ("a scheme of its own", "RFC 9112 §3.2.2", "foo:bar://a/public/x"),
        ("no slash", "RFC 9112 §3.2.1", "public/x"),
        ("an absolute path that is ambiguous", "RFC 9112 §3.2.2", "http://a/public/..%2fecho/x"),
    ];
    let attacks = rows.map(|(name, source, target)| Attack::new(name, source, get(target), "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
    let bytes = b"GET /public/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n";
    let bytes = Attack::new("a byte that must be encoded", "RFC 3986 §2", bytes, "400 malformed_request");
    let query = b"GET /public/x?a=\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n";
    let query = Attack::new("a query that must be encoded", "RFC 3986 §3.4", query, "400 malformed_request");
    assert_refused(&stack, &[bytes, query]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_checked_is_what_is_forwarded() {
    let stack = Stack::start(Kind::Embedded).await;
    for (sent, forwarded) in [
        ("/public/a/../b", "/public/b"),
        ("/public/./a/.", "/public/a/"),
        ("//public///a", "/public/a"),
        ("/%70ublic/%61", "/public/a"),
        ("/public/%c3%a9%7E%2a", "/public/%C3%A9~*"),
        ("/public/A", "/public/A"),
        ("/public/a%20b%3f%23", "/public/a%20b%3F%23"),
        ("/public/x?a=%2F..%00;\\|&b=/../", "/public/x?a=%2F..%00;\\|&b=/../"),
        ("http://a/public/../public//c?d", "/public/c?d"),
    ] {
        let answer = raw(stack.address(), get(sent).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{sent}: {answer}");
        assert_eq!(stack.recorder.last().target(), format!("GET {forwarded}"), "{sent}");
    }
    let before = stack.recorder.seen().len();
    for sent in [
        "/public/../echo/x",
        "/public/%2e%2e/echo/x",
        "//echo/x",
        "/%65cho/x",
        "/public/a/../../echo/x",
        "http://a//echo",
    ] {
        let answer = raw(stack.address(), get(sent).as_bytes()).await;
        assert!(answer.contains("no_credential"), "{sent} is the protected route: {answer}");
    }
    assert_eq!(stack.recorder.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_accepts_what_it_says_and_no_reading_of_it_leads_to_another() {
    let stack = Stack::builder(Kind::Embedded).extra(ACCEPTING).start().await;
    for (sent, forwarded) in [
        ("/matrix/a;b=c/%64", "/matrix/a;b=c/d"),
        ("/matrix/a%3bb", "/matrix/a%3Bb"),
        ("/files/100%25", "/stored/100%25"),
        ("/cars;color=red/doors", "/cars;color=red/doors"),
    ] {
        let answer = raw(stack.address(), get(sent).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{sent}: {answer}");
        assert_eq!(stack.recorder.last().target(), format!("GET {forwarded}"), "{sent}");
    }
    let opened = "a route that accepts it";
    let rows = [
        ("what it does not accept", opened, "/matrix/a%2fb"),
        ("a parameter on a protected name", "CVE-2016-9879 (Spring Security)", "/echo;x/secret"),
        ("an encoded one", "CVE-2020-13933 (Apache Shiro)", "/echo%3bx/secret"),
        ("a protected name behind a slash", "CVE-2021-29492 (Envoy)", "/echo%2fsecret"),
        ("both", opened, "/echo;x%2fsecret"),
        ("a slash into a protected folder", opened, "/files/secret%2fx"),
        ("a slash into another route", opened, "/files/a%2fb"),
        ("one of our own endpoints", opened, "/auth;x/me"),
        ("dots behind a slash", "CVE-2018-7490 (uWSGI)", "/any%2f..%2fecho/x"),
        ("dots with a parameter", "CVE-2020-5902 (F5 BIG-IP)", "/matrix/..;/echo/x"),
        ("an empty segment with a parameter", "CVE-2020-11989 (Apache Shiro)", "/matrix/;/echo/x"),
        ("encoded twice", "CVE-2021-42013 (Apache httpd)", "/files/%252e%252e"),
        ("NUL, which none accepts", "CWE-158", "/matrix/%00"),
    ];
    let attacks = rows.map(|(name, source, target)| Attack::new(name, source, get(target), "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_has_the_same_reading() {
    let listener = "[listeners.h2c]\naddress = \"127.0.0.1:0\"\nh2c = true\n";
    let stack = Stack::builder(Kind::Embedded).extra(listener).start().await;
    let mut client = Http2::connect(stack.listener("h2c")).await;
    for (method, uri, refusal) in [
        ("GET", "http://a/public/..%2fecho/x", "400 malformed_request"),
        ("GET", "http://a/public/..;/echo/x", "400 malformed_request"),
        ("GET", "http://a/public//../echo/x", "400 malformed_request"),
        ("GET", "http://a/public/%252e%252e/echo/x", "400 malformed_request"),
        ("GET", "http://a/public/%00", "400 malformed_request"),
        ("GET", "http://127.1/public/x", "400 malformed_request"),
        ("GET", "http://a/public/../echo/x", "401 no_credential"),
        ("TRACE", "http://a/public/x", "405 method_refused"),
        ("get", "http://a/public/x", "405 method_refused"),
        ("CONNECT", "a:443", "405 method_refused"),
    ] {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let answer = client.send(request, "").await.unwrap();
        assert_eq!(format!("{} {}", answer.status, answer.reason()), refusal, "{method} {uri}");
    }
    assert!(stack.recorder.seen().is_empty());
    let crumbs = Request::get("http://A.Test.:080//public/./%61").header("cookie", "a=1").header("cookie", "b=2");
    assert_eq!(client.send(crumbs.body(()).unwrap(), "").await.unwrap().status, 200);
    let seen = stack.recorder.last();
    assert_eq!((seen.target(), seen.header("host")), ("GET /public/a", Some("a.test:80")));
    assert_eq!((seen.header("cookie"), seen.header("x-forwarded-host")), (Some("a=1; b=2"), Some("a.test:80")));
}
