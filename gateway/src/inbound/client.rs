//! Where a request really comes from: the peer, or the right-most hop of `X-Forwarded-For` that no
//! trusted proxy wrote. Only trusted proxies are believed, and only as far as their own word goes; what
//! anybody else writes into such headers is never read.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::ids::RequestId;

/// `X-Forwarded-For`, the de facto standard before RFC 7239.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who sends it, for limits and logs.
    pub client: IpAddr,
    /// Who holds the other end of the connection.
    pub peer: IpAddr,
    /// Whether that is a proxy whose `X-Forwarded-*` are believed.
    pub trusted: bool,
    /// Whether the client spoke TLS: to us, or to the outermost trusted proxy.
    pub https: bool,
}

impl Origin {
    /// Reads where a request comes from; `secure` says whether the peer speaks TLS to us.
    pub fn read(peer: IpAddr, secure: bool, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let trusts = |address: IpAddr| trusted_proxies.iter().any(|net| net.contains(&address));
        if !trusts(peer) {
            return Self { client: peer, peer, trusted: false, https: secure };
        }
        let mut client = peer;
        for hop in hops(headers) {
            // Beyond a hop that can't be read nothing is known; the proxy that wrote it is.
            let Some(address) = hop else { break };
            client = address;
            if !trusts(address) {
                break;
            }
        }
        let https = match headers.get(X_FORWARDED_PROTO) {
            Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
            None => secure,
        };
        Self { client, peer, trusted: true, https }
    }

    /// What a trusted proxy calls the request, if it does.
    pub fn request_id(&self, headers: &HeaderMap) -> Option<RequestId> {
        if !self.trusted {
            return None;
        }
        RequestId::parse(headers.get(X_REQUEST_ID)?.to_str().ok()?).ok()
    }
}

/// The hops of all `X-Forwarded-For` lines, the nearest first; `None` for one that is no address.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().collect::<Vec<_>>().into_iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(|hop| address(hop.trim())))
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(hop, |(address, _)| address);
    let parsed = bare.parse().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        Origin::read(peer.parse().unwrap(), false, &headers, &trusted).client.to_string()
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client() {
        for (name, peer, lines, expected) in [
            ("no proxy", "192.0.2.9", &[][..], "192.0.2.9"),
            ("a stranger's word is nothing", "192.0.2.9", &["1.1.1.1"], "192.0.2.9"),
            ("a proxy's word counts", "10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("the client's own word does not", "10.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
            ("through several proxies", "10.0.0.1", &["9.9.9.9, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("on several lines", "10.0.0.1", &["9.9.9.9, 1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            ("with a port", "10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("IPv6 with a port", "2001:db8::1", &["[2606::1]:4711"], "2606::1"),
            ("nothing but proxies", "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("garbage ends it", "10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("mapped into IPv6", "::ffff:10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            assert_eq!(client(peer, lines), expected, "{name}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_a_request() {
        let named = |peer: &str, name: &str| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, name.parse().unwrap())]);
            let origin = Origin::read(peer.parse().unwrap(), false, &headers, &["10.0.0.0/8".parse().unwrap()]);
            origin.request_id(&headers).map(|id| id.to_string())
        };
        assert_eq!(named("10.0.0.1", "abc").as_deref(), Some("abc"));
        assert_eq!(named("192.0.2.1", "abc"), None);
        assert_eq!(named("10.0.0.1", "a b"), None);
    }
}
