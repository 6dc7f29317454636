//! Refuses requests whose method or boundaries two servers could read differently (RFC 9110 §9.1, RFC 9112 §6.3).
//! The engine has parsed the request; these are the rules it leaves to us. Hosts are `host.rs`, paths `path.rs`.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Version};

use super::{Malformed, names};

/// The most digits of a length: what a signed 64-bit number can always hold.
pub(crate) const MAX_DIGITS: usize = 18;

/// Their bytes are bounded by the listener.
const MAX_HEADERS: usize = 100;

/// Refuses what is ambiguous.
pub fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<(), Malformed> {
    // TRACE shows credentials to whoever asks, CONNECT asks for a tunnel, and `post` is POST to some servers but
    // matches no route for POST.
    let lower_case = method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    if lower_case || matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(Malformed::Method);
    }
    if version < Version::HTTP_11 {
        return Err(Malformed::Version);
    }
    if headers.len() > MAX_HEADERS {
        return Err(Malformed::HeadersTooLarge);
    }
    connection(headers)?;
    if has_one_length(headers) { Ok(()) } else { Err(Malformed::Framing) }
}

/// Whether there is one `Content-Length` of digits, or one `Transfer-Encoding: chunked`, or neither: of a message of
/// either side.
pub fn has_one_length(headers: &HeaderMap) -> bool {
    let mut has_length = false;
    for (name, value) in headers {
        let is_good = if *name == CONTENT_LENGTH {
            is_number(value.as_bytes())
        } else if *name == TRANSFER_ENCODING {
            value.as_bytes().eq_ignore_ascii_case(b"chunked")
        } else {
            continue;
        };
        if has_length || !is_good {
            return false;
        }
        has_length = true;
    }
    true
}

fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.len() <= MAX_DIGITS && digits.iter().all(u8::is_ascii_digit)
}

/// A `Connection` may name what is of one hop only (RFC 9110 §7.6.1): the engine takes away what it names, and nothing
/// that was checked, or that a proxy before us added, is a client's to take away.
fn connection(headers: &HeaderMap) -> Result<(), Malformed> {
    for option in headers.get_all(CONNECTION).iter().flat_map(options) {
        let option = std::str::from_utf8(option).map_err(|_| Malformed::Headers)?;
        if names::is_end_to_end(option) {
            return Err(Malformed::Headers);
        }
    }
    Ok(())
}

/// Whether an `Upgrade` is meant for us: `Connection` names it too.
pub fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().flat_map(options).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// What a line of `Connection` names.
pub fn options(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

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
            assert_eq!(check(&Method::GET, Version::HTTP_11, &headers(pairs)).is_ok(), good, "{pairs:?}");
        }
        assert_eq!(check(&Method::GET, Version::HTTP_10, &HeaderMap::new()), Err(Malformed::Version));
    }

    #[test]
    fn a_flood_of_headers_is_refused() {
        let many: HeaderMap = (0..101)
            .map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from_static("")))
            .collect();
        assert_eq!(check(&Method::GET, Version::HTTP_11, &many), Err(Malformed::HeadersTooLarge));
    }

    #[test]
    fn a_method_is_one_that_no_server_reads_otherwise() {
        for (name, good) in [
            ("GET", true),
            ("VERSION-CONTROL", true),
            ("TRACE", false),
            ("CONNECT", false),
            ("get", false),
            ("Post", false),
            ("tRACE", false),
        ] {
            assert_eq!(check(&name.parse().unwrap(), Version::HTTP_11, &HeaderMap::new()).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_connection_takes_away_nothing_that_was_checked() {
        for (lines, good) in [
            (&["close"][..], true),
            (&["keep-alive, Upgrade", "TE,, http2-settings"], true),
            (&["close, x_user_id"], false),
            (&["close", "Authorization"], false),
        ] {
            let headers = lines.iter().map(|line| (CONNECTION, HeaderValue::from_str(line).unwrap())).collect();
            assert_eq!(check(&Method::GET, Version::HTTP_11, &headers).is_ok(), good, "{lines:?}");
        }
        let latin1 = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_bytes(b"\xe9").unwrap())]);
        assert_eq!(check(&Method::GET, Version::HTTP_11, &latin1), Err(Malformed::Headers));
    }
}
