use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    Head::default().read(bytes)
}

#[test]
fn a_usual_head_is_read_to_its_end() {
    let head = b"POST /a/b?c=[d]|e%20 HTTP/1.1\r\nHost: a.test\r\nContent-Length:\t5 \r\nX-Odd!#: \xe4 \t b\r\nX-None:\r\n\r\n";
    let with_body = [&head[..], b"hello"].concat();
    assert_eq!(read(&with_body), Ok(Some(head.len())));
    let mut half = Head::default();
    assert_eq!(half.read(&head[..head.len() - 1]), Ok(None));
    assert_eq!(half.method_and_path(head), Some(("POST", "/a/b")));
    assert_eq!(half.read(&with_body), Ok(Some(head.len())));
}

#[test]
fn what_can_be_no_request_is_known_by_its_first_byte() {
    for first in [&b"\x16\x03\x01\x02\x00"[..], b"\r\n", b" GET", b"\0", b"\x80", b"\n"] {
        assert!(matches!(read(first), Err(Malformed::Head(_))), "{first:?}");
    }
}

#[test]
fn a_request_line_has_three_parts_and_one_version() {
    let head = |line: &str| read(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(head("CONNECT a:443 HTTP/1.1"), Err(Malformed::Method));
    for line in ["OPTIONS * HTTP/1.1", "M-SEARCH http://a/b HTTP/1.1", "GET / HTTP/1.1"] {
        assert!(matches!(head(line), Ok(Some(_))), "{line}");
    }
    for line in
        ["GET / HTTP/1.0", "GET / HTTP/2.0", "PRI * HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1.2", "GET / HTTP/9.9"]
    {
        assert_eq!(head(line), Err(Malformed::Version), "{line}");
    }
    let long = "A".repeat(33) + " / HTTP/1.1";
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /\tHTTP/1.1",
        "GET / a HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/1,1",
        "GET / HTTP/+.1",
        "G@T / HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /\" HTTP/1.1",
        "GET /<a> HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\r HTTP/1.1",
        &long,
    ] {
        assert!(matches!(head(line), Err(Malformed::Head(_))), "{line:?}: {:?}", head(line));
    }
}

#[test]
fn a_target_that_is_a_url_goes_on_as_its_path() {
    let goes_on = |line: &str| {
        let bytes = format!("{line} HTTP/1.1\r\nHost: a.test:80\r\n\r\nbody");
        let mut head = Head::default();
        head.read(bytes.as_bytes()).map(|_| head.with_path(BytesMut::from(bytes.as_bytes())))
    };
    for (line, expected) in [
        ("GET /a?b", "GET /a?b"),
        ("GET //a.test:80/b", "GET //a.test:80/b"),
        ("GET /http://b.test", "GET /http://b.test"),
        ("OPTIONS *", "OPTIONS *"),
        ("GET http://a.test:80/a?b=http://c/d", "GET /a?b=http://c/d"),
        ("GET https://A.test.:080//a", "GET //a"),
        ("GET hTTp://a.test:80", "GET /"),
        ("GET http://a.test:80?b", "GET /?b"),
        ("GET http://a.test:80/", "GET /"),
    ] {
        let expected = format!("{expected} HTTP/1.1\r\nHost: a.test:80\r\n\r\nbody");
        assert_eq!(goes_on(line), Ok(BytesMut::from(expected.as_bytes())), "{line}");
    }
    for line in
        ["GET http://b.test:80/", "GET http://a.test/", "GET http:///a", "GET http://?a", "GET http://u@a.test:80/"]
    {
        assert_eq!(goes_on(line), Err(Malformed::Host), "{line}");
    }
    for line in
        ["GET ftp://a.test:80/", "GET http:/a.test:80/", "GET http:a.test:80", "GET a.test:80", "GET *a", "GET ?a"]
    {
        assert_eq!(goes_on(line), Err(Malformed::Target), "{line}");
    }
}

#[test]
fn a_field_is_one_line_with_a_token_before_its_colon() {
    let head = |fields: &str| read(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").as_bytes());
    assert!(matches!(head("X: a\tb"), Ok(Some(_))));
    for fields in [
        "X : a",
        "X\t: a",
        ": a",
        "X",
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "X: a\0",
        "X: a\rb",
        "X: a\nY: b",
        "X: \u{7f}",
        "X: a\u{1}",
        "X[: a",
        "X: \u{b}chunked",
        "X@: a",
        "X\u{e4}: a",
        "(X): a",
    ] {
        assert!(matches!(head(fields), Err(Malformed::Head(_))), "{fields:?}: {:?}", head(fields));
    }
}

#[test]
fn there_are_at_most_a_hundred_fields() {
    let head =
        |fields: usize| read(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(fields - 1)).as_bytes());
    assert!(matches!(head(MAX_FIELDS), Ok(Some(_))));
    assert_eq!(head(MAX_FIELDS + 1), Err(Malformed::HeadersTooLarge));
}

#[test]
fn a_request_has_one_host_and_one_length() {
    let head = |fields: &str| read(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
    for fields in ["X: a", "Host: a\r\nHost: a", "Host: a\r\nhOST: b"] {
        assert_eq!(head(fields), Err(Malformed::Host), "{fields:?}");
    }
    for (good, fields) in [
        (true, "Content-Length: 0"),
        (true, "Content-Length: 999999999999999999"),
        (true, "Transfer-Encoding: Chunked"),
        (true, "Upgrade: websocket\r\nContent-Length: 0"),
        (false, "Content-Length: 1000000000000000000"),
        (false, "Content-Length: 5\r\nContent-Length: 5"),
        (false, "Content-Length: +5"),
        (false, "Content-Length: -5"),
        (false, "Content-Length: 0x5"),
        (false, "Content-Length: 5,5"),
        (false, "Content-Length: 5 5"),
        (false, "Content-Length: 5.0"),
        (false, "Content-Length:"),
        (false, "Transfer-Encoding:"),
        (false, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        (false, "Transfer-Encoding: chunked, identity"),
        (false, "Transfer-Encoding: identity"),
        (false, "Transfer-Encoding: xchunked"),
        (false, "Transfer-Encoding: \"chunked\""),
        (false, "Transfer-Encoding: chunked;a=b"),
        (false, "Transfer-Encoding: \u{a0}chunked"),
        (false, "Transfer-Encoding: chunked\r\nContent-Length: 0"),
        (false, "Upgrade: websocket\r\nContent-Length: 1"),
        (false, "Transfer-Encoding: chunked\r\nUpgrade: h2c"),
    ] {
        let read = head(&format!("Host: a\r\n{fields}"));
        assert_eq!(matches!(read, Ok(Some(_))), good, "{fields:?}: {read:?}");
        assert!(good || read == Err(Malformed::Framing), "{fields:?}: {read:?}");
    }
}

mod properties {
    use super::*;

    proptest! {
        /// However the bytes are cut on the way, the answer is the same.
        #[test]
        fn a_head_is_read_alike_in_one_piece_and_in_many(
            bytes in r"(GET|POST|X) /[a-z\\ %]{0,4} HTTP/1\.[01](\r\n|\n)((Host|Content-Length|transfer-encoding|X) ?: ?(a|5|chunked|\x00)?(\r\n|\n|\r)){0,5}\r\n[a-z]{0,5}",
            step in 1_usize..7,
        ) {
            let bytes = bytes.as_bytes();
            let mut head = Head::default();
            let mut ends: Vec<usize> = (step..bytes.len()).step_by(step).collect();
            ends.push(bytes.len());
            let pieces = ends.into_iter().map(|end| head.read(&bytes[..end])).find(|read| *read != Ok(None)).unwrap_or(Ok(None));
            prop_assert_eq!(pieces, read(bytes));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut head = Head::default();
            let read = head.read(&bytes);
            prop_assert!(read != Ok(None) || !bytes.windows(4).any(|end| end == b"\r\n\r\n"));
            let _ = head.method_and_path(&bytes);
        }
    }
}
