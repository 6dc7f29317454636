//! What TLS means to a request: whether its answer has browsers insist on it, and the way there for who comes to a
//! listener that only sends on. It relies on the request having been read safely. It answers nothing itself.

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use pingora::proxy::Session;

use crate::config::Transport;
use crate::connection::entrance::Entrance;
use crate::inbound::client::Origin;
use crate::inbound::{Inbound, Malformed};
use crate::outgoing::Insistence;
use crate::reply::{self, Reply};

/// Where TLS is if nobody says otherwise (RFC 9110 §4.2.2).
const HTTPS_PORT: u16 = 443;

/// What becomes of `Strict-Transport-Security` in the answer to who comes from `origin`.
pub(super) fn insistence(transport: Option<&Transport>, origin: &Origin) -> Insistence {
    match transport {
        Some(Transport::Tls(terms)) => terms.hsts.clone().map_or(Insistence::Theirs, Insistence::Ours),
        // A proxy in front speaks TLS: whether browsers are to insist on it is for those to say who put it there.
        Some(Transport::Plain { .. } | Transport::ToHttps { .. }) | None if origin.https => Insistence::Theirs,
        Some(Transport::Plain { .. } | Transport::ToHttps { .. }) | None => Insistence::Never,
    }
}

/// The port that the listener of this request sends everybody to, if that is what it does.
pub(super) fn sends_to(session: &Session) -> Option<u16> {
    match Entrance::of(session)?.transport {
        Transport::ToHttps { port } => Some(port),
        Transport::Plain { .. } | Transport::Tls(_) => None,
    }
}

/// The way to what was asked for, over TLS. Method and body go along (RFC 9110 §15.4.9).
pub(super) fn redirect(request: &Inbound<'_>, port: u16) -> Result<Reply, Malformed> {
    let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.to_owned() };
    let port = if port == HTTPS_PORT { String::new() } else { format!(":{port}") };
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("https://{host}{port}{}{query}", request.path));
    let mut reply = reply::empty(StatusCode::PERMANENT_REDIRECT);
    reply.headers_mut().insert(LOCATION, location.map_err(|_| Malformed::Path("it fits in no header"))?);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::inbound::host;

    #[test]
    fn the_way_over_tls_leads_to_the_same_host_path_and_query() {
        for (authority, target, port, expected) in [
            ("a.example", "/", 443, "https://a.example/"),
            ("a.example:80", "/x/y?z=%2F&a=b%0d%0a", 443, "https://a.example/x/y?z=%2F&a=b%0d%0a"),
            ("a.example.", "/x?", 8443, "https://a.example:8443/x?"),
            ("[2001:db8::1]:80", "/x", 443, "https://[2001:db8::1]/x"),
            ("192.0.2.1", "/x", 444, "https://192.0.2.1:444/x"),
        ] {
            let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            let request = Inbound {
                method: &Method::GET,
                authority,
                host: host::name(authority),
                path,
                query,
                headers: &HeaderMap::new(),
                client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            let reply = redirect(&request, port).unwrap();
            assert_eq!(
                (reply.status(), &reply.headers()[LOCATION]),
                (StatusCode::PERMANENT_REDIRECT, &HeaderValue::from_static(expected))
            );
        }
    }
}
