//! The one reading of a path. It is decoded once, dot segments and doubled slashes are resolved, and what
//! servers are known to read differently is refused; the result decides the route and is what is
//! forwarded. Case is kept. Queries are not touched.

use std::borrow::Cow;

use super::Malformed;

/// The canonical form of `raw`, the path of a request target.
///
/// In it every byte that may stand for itself does, every other is percent-encoded in upper case, there
/// are no empty, `.` or `..` segments, and a slash at the end is kept. Canonical paths stay as they are.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, Malformed> {
    let body = raw.strip_prefix('/').ok_or(Malformed::Path("it does not begin with a slash"))?;
    if body.bytes().all(|byte| byte == b'/' || stands_for_itself(byte)) && !body.split('/').any(needs_resolving) {
        let doubled = body.starts_with('/') || body.contains("//");
        if !doubled {
            return Ok(Cow::Borrowed(raw));
        }
    }
    let mut segments: Vec<String> = Vec::new();
    let mut open_end = true;
    for segment in body.split('/') {
        let segment = decoded(segment)?;
        open_end = matches!(&*segment, "" | "." | "..");
        match &*segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(Malformed::Path("\"..\" leads out of it"))?;
            }
            _ => segments.push(segment),
        }
    }
    let end = if open_end && !segments.is_empty() { "/" } else { "" };
    Ok(Cow::Owned(format!("/{}{end}", segments.join("/"))))
}

fn needs_resolving(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// RFC 3986 §3.3 `pchar` without percent-encodings and without `;`, at which some servers cut a path.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}

/// One segment, decoded once and encoded again as little as may be.
fn decoded(segment: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => encoded_byte(rest.next(), rest.next())?,
            b'\\' => return Err(Malformed::Path("it holds a backslash")),
            b';' => return Err(Malformed::Path("it holds \";\"")),
            0..=0x20 | 0x7f.. => return Err(Malformed::Path("it holds a byte that must be encoded")),
            _ => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| Malformed::Path("it is not UTF-8"))?;
    let mut out = String::with_capacity(segment.len());
    for byte in text.bytes() {
        if stands_for_itself(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)])));
        }
    }
    Ok(out)
}

fn encoded_byte(high: Option<u8>, low: Option<u8>) -> Result<u8, Malformed> {
    let digit = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(Malformed::Path("it holds a broken percent-encoding"));
    };
    match u8::try_from(high * 16 + low).unwrap_or(0) {
        b'/' => Err(Malformed::Path("it holds an encoded slash")),
        b'\\' => Err(Malformed::Path("it holds an encoded backslash")),
        b'%' => Err(Malformed::Path("it is encoded twice")),
        b';' => Err(Malformed::Path("it holds an encoded \";\"")),
        0..0x20 | 0x7f => Err(Malformed::Path("it holds an encoded control character")),
        byte => Ok(byte),
    }
}

/// A target of this path and the query that the request had.
pub fn with_query(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            ("/...", "/..."),
            ("/*", "/*"),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for raw in [
            "posts", "*", "", "/..", "/a/../..", "/%2e%2e/", "/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/a%0a", "/a%7f",
            "/a%252fb", "/a%", "/a%2", "/a%zz", "/a;b=c/d", "/a%3bb", "/%ff", "/é", "/a b",
        ] {
            assert!(matches!(canonical(raw), Err(Malformed::Path(_))), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn canonical_paths_stay_as_they_are(raw in "/[a-c/.%25eE2;é\\\\ ]{0,24}") {
            if let Ok(once) = canonical(&raw) {
                let twice = canonical(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                prop_assert!(!once.contains("//"));
                prop_assert!(!once.split('/').any(needs_resolving));
            }
        }
    }
}
