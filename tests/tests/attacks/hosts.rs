//! Requests that name no host, or several (RFC 9112 §3.2).

use portcullis_tests::{Attack, Kind, Stack, assert_refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let stack = Stack::start(Kind::Embedded).await;
    let head = |lines: &str| format!("GET /public/x HTTP/1.1\r\n{lines}\r\n");
    let section = "RFC 9112 §3.2";
    let rows = [
        ("no Host", head("")),
        ("a Host that is none", head("Host: a b\r\n")),
        ("an empty label", head("Host: a..test\r\n")),
    ];
    let attacks = rows.map(|(name, bytes)| Attack::new(name, section, bytes, "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
}
