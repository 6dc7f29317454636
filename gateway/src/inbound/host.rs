//! The one reading of the host that a request names (RFC 9112 §3.2): one, spelt as every server spells it, so that
//! an odd spelling can't slip past the routes of that host to those of any host. What it is called here is
//! what is routed, forwarded and told upstream. Paths are `path.rs`.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::HOST;

use super::Malformed;

/// The host that a request names, with its port, in lower case and without a dot at its end. `target` is the authority
/// of the request target, if that has one; it must agree with the header.
pub fn authority<'a>(target: Option<&'a str>, headers: &'a HeaderMap) -> Result<Cow<'a, str>, Malformed> {
    let mut lines = headers.get_all(HOST).iter();
    let header = lines.next().map(|line| line.to_str().map_err(|_| Malformed::Host)).transpose()?;
    if lines.next().is_some() {
        return Err(Malformed::Host);
    }
    let read = |raw: Option<&'a str>| raw.map(|raw| canonical(raw).ok_or(Malformed::Host)).transpose();
    match (read(target)?, read(header)?) {
        (Some(target), Some(header)) if target != header => Err(Malformed::Host),
        (Some(named), _) | (None, Some(named)) => Ok(named),
        (None, None) => Err(Malformed::Host),
    }
}

/// Whether `host`, as it stands in a header, names a host; and the same one as the target does, if that names any.
pub fn agrees(target: Option<&str>, host: &[u8]) -> bool {
    let named = std::str::from_utf8(host).ok().and_then(canonical);
    named.is_some() && target.is_none_or(|target| canonical(target) == named)
}

/// The one spelling of `raw`: RFC 3986 §3.2.2 without user information and without what no server is named by.
fn canonical(raw: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = raw.strip_prefix('[') {
        let (address, end) = rest.split_once(']')?;
        let (address, port) = (address.parse::<Ipv6Addr>().ok()?, port(end)?);
        return Some(Cow::Owned(format!("[{address}]{}", written(port))));
    }
    let (name, end) = raw.split_at(raw.find(':').unwrap_or(raw.len()));
    let bare = name.strip_suffix('.').unwrap_or(name);
    let port = port(end)?;
    if !are_labels(bare) || (ends_in_a_number(bare) && bare.parse::<Ipv4Addr>().is_err()) {
        return None;
    }
    // Nearly every host comes in its one spelling.
    let padded = end.starts_with(":0") && end != ":0";
    if bare.len() == name.len() && !padded && !bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(Cow::Borrowed(raw));
    }
    Some(Cow::Owned(format!("{}{}", bare.to_ascii_lowercase(), written(port))))
}

/// Whether a name consists of labels between dots.
fn are_labels(name: &str) -> bool {
    let mut is_empty = true; // the label that is being read
    for byte in name.bytes() {
        match byte {
            b'.' if !is_empty => is_empty = true,
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => is_empty = false,
            _ => return false,
        }
    }
    !is_empty
}

/// Whether a name is read as an IPv4 address, `127.1` and `0x7f000001` included (WHATWG URL §3.5).
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let prefixed = last.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    let hex = prefixed && last.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
    hex || last.bytes().all(|byte| byte.is_ascii_digit())
}

/// The port behind its colon; `Some(None)` if there is none.
#[expect(clippy::option_option, reason = "that there is none is one answer, that it can't be read another")]
fn port(end: &str) -> Option<Option<u16>> {
    match end.strip_prefix(':') {
        None => end.is_empty().then_some(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u16>().ok().map(Some),
        Some(_) => None,
    }
}

fn written(port: Option<u16>) -> String {
    port.map(|port| format!(":{port}")).unwrap_or_default()
}

/// `authority` without its port.
pub fn name(authority: &str) -> &str {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(target: Option<&str>, hosts: &[&str]) -> Result<String, Malformed> {
        let headers = hosts.iter().map(|host| (HOST, host.parse().unwrap())).collect();
        authority(target, &headers).map(Cow::into_owned)
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (raw, expected) in [
            ("a.example", "a.example"),
            ("A.Example.", "a.example"),
            ("a.example.:80", "a.example:80"),
            ("a:0080", "a:80"),
            ("a:0", "a:0"),
            ("a:00", "a:0"),
            ("a_b", "a_b"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[0:0::1]:80", "[::1]:80"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("1and1.example", "1and1.example"),
        ] {
            assert_eq!(named(None, &[raw]).as_deref(), Ok(expected), "{raw}");
        }
        assert_eq!(named(Some("a.example"), &["A.example."]).as_deref(), Ok("a.example"));
        assert_eq!(named(Some("a.example"), &[]).as_deref(), Ok("a.example"));
        for (authority, expected) in
            [("a:80", "a"), ("a.example.", "a.example"), ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(name(authority), expected);
        }
    }

    #[test]
    fn a_request_that_names_no_host_or_several_is_refused() {
        for hosts in [&[][..], &["a", "a"], &["a", "b"]] {
            assert_eq!(named(None, hosts), Err(Malformed::Host), "{hosts:?}");
        }
        for host in [
            "",
            ".",
            "a b",
            "a\tb",
            "user@a",
            "a.example..",
            ".a.example",
            "a..example",
            ":80",
            "a:",
            "a:+80",
            "a:80:80",
            "a:http",
            "a:65536",
            "a%2eexample",
            "a/b",
            "a\\b",
            "a,b",
            "[a.example]",
            "[::1]a",
            "[::1%25eth0]",
            "[::1",
            "::1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "127.0.0.01",
            "a.0x1",
            "a.0X1",
            "1.2.3.4.5",
        ] {
            assert_eq!(named(None, &[host]), Err(Malformed::Host), "{host}");
        }
        assert_eq!(named(Some("a.example"), &["b.example"]), Err(Malformed::Host));
        assert_eq!(named(Some("a.example:80"), &["a.example"]), Err(Malformed::Host));
        assert_eq!(named(Some("user@a"), &[]), Err(Malformed::Host));
    }
}
