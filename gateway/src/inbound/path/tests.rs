use proptest::prelude::*;

use super::*;

#[test]
fn a_path_has_one_reading() {
    for (raw, expected) in [
        ("/", "/"),
        ("/posts/5", "/posts/5"),
        ("/posts/", "/posts/"),
        ("//posts//5//", "/posts/5/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/%70osts/%41", "/posts/A"),
        ("/users/%40me", "/users/@me"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a\"b", "/a%22b"),
        ("/a%3fb%23c", "/a%3Fb%23c"),
        ("/...", "/..."),
        ("/*", "/*"),
    ] {
        assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        assert_eq!(Oddity::in_path(expected).count(), 0, "{raw}");
    }
}

#[test]
fn what_servers_read_differently_is_refused() {
    for raw in [
        "posts",
        "*",
        "",
        "/..",
        "/a/../..",
        "/%2e%2e/",
        "/a//../b",
        "//../a",
        "/a/b//..",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a%0a",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002f",
        "/%ff",
        "/%c0%af",
        "/%ed%a0%80",
        "/é",
        "/a b",
        "/a\tb",
    ] {
        assert!(matches!(canonical(raw), Err(Malformed::Path(_))), "{raw}");
    }
}

#[test]
fn what_a_route_may_accept_is_kept_as_it_is_and_never_decoded() {
    use Oddity::{EncodedPercent, EncodedSlash, MatrixParameters};
    for (raw, expected, oddities) in [
        ("/a;b=c/%64", "/a;b=c/d", &[MatrixParameters][..]),
        ("/a%3bb", "/a%3Bb", &[MatrixParameters]),
        ("/a%2fb", "/a%2Fb", &[EncodedSlash]),
        ("/100%25", "/100%25", &[EncodedPercent]),
        ("/a;b%2fc%25", "/a;b%2Fc%25", &[MatrixParameters, EncodedSlash, EncodedPercent]),
        ("/a;b/../c", "/c", &[]),
    ] {
        assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        assert_eq!(Oddity::in_path(expected).collect::<Vec<_>>(), oddities, "{raw}");
    }
}

#[test]
fn an_oddity_that_hides_something_is_accepted_nowhere() {
    for raw in [
        "/a/..;/b",
        "/a/..;x=y/b",
        "/a/.;/b",
        "/a/;/b",
        "/;",
        "/a/%2e%2e;/b",
        "/a/..%3b/b",
        "/a/..%2fb",
        "/a/b%2f..",
        "/a/b%2f%2e%2e%2fc",
        "/%2fa",
        "/a%2f",
        "/a%2f%2fb",
        "/a/b%2f..;c",
        "/a/b;c%2f..",
        "/a%252fb",
        "/a%252e%252e",
        "/a%25%32%66",
        "/a%253b",
        "/a%25ab",
    ] {
        assert!(matches!(canonical(raw), Err(Malformed::Path(_))), "{raw}");
    }
}

#[test]
fn other_servers_readings_are_known() {
    let readings: Vec<String> = Oddity::other_readings("/a;x/b%2Fc;y%2Fd").collect();
    assert_eq!(readings, ["/a;x/b/c;y/d", "/a/b%2Fc", "/a/b/c/d", "/a/b/c"]);
}

#[test]
fn a_query_is_visible_ascii() {
    for good in ["", "a=b&c=%2F", "a=/../%00;|\\\"<>{}[]^`"] {
        assert_eq!(check_query(good), Ok(()), "{good}");
    }
    for bad in ["a b", "a\tb", "a\u{7f}", "é", "a#b", "a\r\nb"] {
        assert_eq!(check_query(bad), Err(Malformed::Query), "{bad:?}");
    }
}

/// Every way to write a byte of a path, and the ways in which servers are known to fall out over it. What once made
/// a property fail is added to [`CORPUS`].
const PATHS: &str = "/([a-c./;]|%2[eEfF5]|%3[bB]|%5[cC]|%00|%c3%a9|%41|é|\\\\| |//|\\.\\.|;x){0,10}";

const CORPUS: [&str; 10] = [
    "//",
    "/a//../b",
    "/a/%2e%2e;/b",
    "/a;b/../c",
    "/%2e/%2E%2e",
    "/a/..%2f..",
    "/a%252e%252e/b",
    "/a;/b",
    "/a/.//b",
    "/a/b/../../c/",
];

/// The canonical path as a server sees it that decodes it, and nothing else.
fn seen(canonical: &str) -> String {
    percent_encoding::percent_decode_str(canonical).decode_utf8().expect("canonical paths are UTF-8").into_owned()
}

fn merged(path: &str) -> String {
    let inner: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if path.ends_with('/') && !inner.is_empty() { "/" } else { "" };
    format!("/{}{end}", inner.join("/"))
}

/// RFC 3986 §6.2.2.2, then §5.2.4 step by step, as written there.
fn rfc3986(raw: &str) -> String {
    let mut input = raw.replace("%2e", ".").replace("%2E", ".");
    let mut output = String::new();
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("../").or_else(|| input.strip_prefix("./")) {
            input = rest.to_owned();
        } else if let Some(rest) = input.strip_prefix("/./") {
            input = format!("/{rest}");
        } else if input == "/." {
            "/".clone_into(&mut input);
        } else if input == "/.." || input.starts_with("/../") {
            input = format!("/{}", input.get(4..).unwrap_or(""));
            output.truncate(output.rfind('/').unwrap_or(0));
        } else if input == "." || input == ".." {
            input.clear();
        } else {
            let from = usize::from(input.starts_with('/'));
            let end = input[from..].find('/').map_or(input.len(), |at| at + from);
            output.push_str(&input[..end]);
            input.drain(..end);
        }
    }
    output
}

fn holds(raw: &str) {
    let Ok(once) = canonical(raw) else { return };
    assert_eq!(canonical(&once).as_deref(), Ok(&*once), "canonical paths stay as they are");
    assert!(!once.contains("//") && !once.split('/').any(needs_resolving), "{once}");
    assert!(once.bytes().all(|byte| byte.is_ascii_graphic()), "{once}");
    for reading in Oddity::other_readings(&once) {
        assert!(!reading.contains("//") && !reading.split('/').any(needs_resolving), "{raw}: {reading}");
    }
    let whatwg = url::Url::parse(&format!("http://a{raw}")).expect("a path").path().to_owned();
    assert_eq!(seen(&merged(&whatwg)), seen(&once), "the WHATWG URL Standard reads {raw}");
    assert_eq!(seen(&merged(&rfc3986(raw))), seen(&once), "RFC 3986 reads {raw}");
}

#[test]
fn the_corpus_is_read_as_others_read_it() {
    CORPUS.into_iter().for_each(holds);
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn what_is_not_refused_is_read_as_others_read_it(raw in PATHS) {
            holds(&raw);
        }

        #[test]
        fn any_text_has_one_reading_or_none(raw in "/\\PC{0,40}") {
            if !raw.contains(['?', '#']) {
                holds(&raw);
            }
        }
    }
}
