//! Refuses requests whose boundaries or host two servers could read differently (RFC 9112 §3.2, §6.3).
//! The engine has parsed the request; these are the rules it leaves to us. Paths are `path.rs`.

use std::net::Ipv6Addr;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Uri, Version};

use super::Malformed;

const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Refuses what is ambiguous.
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), Malformed> {
    if version < Version::HTTP_11 {
        return Err(Malformed::Version);
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Malformed::HeadersTooLarge);
    }
    body_length(headers)
}

/// One `Content-Length` of digits, or one `Transfer-Encoding: chunked`, or neither.
fn body_length(headers: &HeaderMap) -> Result<(), Malformed> {
    let count = |name| headers.get_all(name).iter().count();
    match (headers.get(CONTENT_LENGTH), headers.get(TRANSFER_ENCODING)) {
        (None, None) => Ok(()),
        (Some(length), None) if count(CONTENT_LENGTH) == 1 && is_number(length.as_bytes()) => Ok(()),
        (None, Some(encoding))
            if count(TRANSFER_ENCODING) == 1 && encoding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        _ => Err(Malformed::Framing),
    }
}

fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.len() < 20 && digits.iter().all(u8::is_ascii_digit)
}

/// The host that a request names, as it stands in the header or target, with its port: one and one only.
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next().map(|host| host.to_str().map_err(|_| Malformed::Host)).transpose()?;
    if hosts.next().is_some() {
        return Err(Malformed::Host);
    }
    let named = match (uri.authority().map(http::uri::Authority::as_str), header) {
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => return Err(Malformed::Host),
        (Some(named), _) | (None, Some(named)) => named,
        (None, None) => return Err(Malformed::Host),
    };
    if is_authority(named) { Ok(named) } else { Err(Malformed::Host) }
}

/// RFC 3986 §3.2.2 without what no server is named by: an odd spelling of a host must not slip past the
/// routes of that host to those of any host.
fn is_authority(text: &str) -> bool {
    let is_end = |end: &str| end.is_empty() || end.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(host, end)| host.parse::<Ipv6Addr>().is_ok() && is_end(end));
    }
    let (name, end) = text.split_at(text.find(':').unwrap_or(text.len()));
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.strip_suffix('.').unwrap_or(name).split('.').all(is_label) && is_end(end)
}

/// `authority` without its port and without a trailing dot.
pub fn host(authority: &str) -> &str {
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
    }

    #[test]
    fn a_body_has_one_length() {
        for (pairs, good) in [
            (&[("content-length", "5")][..], true),
            (&[("transfer-encoding", "Chunked")], true),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], false),
            (&[("content-length", "5"), ("content-length", "5")], false),
            (&[("content-length", "+5")], false),
            (&[("content-length", "5, 5")], false),
            (&[("content-length", "")], false),
            (&[("content-length", "99999999999999999999")], false),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (&[("transfer-encoding", "xchunked")], false),
        ] {
            assert_eq!(check(Version::HTTP_11, &headers(pairs)).is_ok(), good, "{pairs:?}");
        }
        assert_eq!(check(Version::HTTP_10, &HeaderMap::new()), Err(Malformed::Version));
    }

    #[test]
    fn a_flood_of_headers_is_refused() {
        let many: HeaderMap = (0..101)
            .map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from_static("")))
            .collect();
        assert_eq!(check(Version::HTTP_11, &many), Err(Malformed::HeadersTooLarge));
        let long = headers(&[("x-long", &"x".repeat(MAX_HEADER_BYTES))]);
        assert_eq!(check(Version::HTTP_11, &long), Err(Malformed::HeadersTooLarge));
    }

    #[test]
    fn a_request_names_one_host() {
        let named = |target: &str, pairs: &[(&'static str, &str)]| {
            authority(&target.parse().unwrap(), &headers(pairs)).map(str::to_owned)
        };
        assert_eq!(named("/", &[("host", "a.example:80")]), Ok("a.example:80".to_owned()));
        for host in ["a.example.", "a_b", "127.0.0.1:80", "[::1]", "[::1]:80", "a."] {
            assert_eq!(named("/", &[("host", host)]).as_deref(), Ok(host));
        }
        assert_eq!(named("http://a.example/", &[("host", "A.example")]), Ok("a.example".to_owned()));
        for (target, pairs) in [
            ("/", &[][..]),
            ("/", &[("host", "")]),
            ("/", &[("host", "a"), ("host", "a")]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", "user@a")]),
            ("/", &[("host", "a.example..")]),
            ("/", &[("host", ".a.example")]),
            ("/", &[("host", "a..example")]),
            ("/", &[("host", ":80")]),
            ("/", &[("host", "a.example:80:80")]),
            ("/", &[("host", "a.example:http")]),
            ("/", &[("host", "a.example:65536")]),
            ("/", &[("host", "[a.example]")]),
            ("/", &[("host", "[::1]a.example")]),
            ("/", &[("host", "::1")]),
            ("http://a.example/", &[("host", "b.example")]),
        ] {
            assert_eq!(named(target, pairs), Err(Malformed::Host), "{target} {pairs:?}");
        }
        for (authority, expected) in
            [("a:80", "a"), ("a.example.", "a.example"), ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(host(authority), expected);
        }
    }
}
