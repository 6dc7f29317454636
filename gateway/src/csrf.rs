//! Whether a request that brings cookies was meant by its user, or made by another site behind their back
//! (cross-site request forgery). Browsers say where a request comes from in headers that no page can write;
//! a request that says nothing is refused. Requests with a token in `Authorization` never come here.

use http::header::{CONTENT_TYPE, HeaderName, ORIGIN, UPGRADE};
use http::{HeaderMap, Method};

use crate::cors::{Cors, Origins};
use crate::inbound::Inbound;
use crate::problem::Denied;

/// Fetch Metadata, §2.4: how the site that made a request is related to the one that it goes to.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request is held against.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Whether browsers reach us over TLS.
    pub secure: bool,
    /// Further origins whose requests may change something.
    pub trusted: &'a Origins,
    /// What the route shares with pages of other origins: if with their cookies, then their requests are meant too.
    pub shared: Option<&'a Cors>,
}

impl Target<'_> {
    fn trusts(&self, origin: &str, method: &Method) -> bool {
        self.trusted.allows(origin) || self.shared.is_some_and(|cors| cors.takes_cookies_of(origin, method))
    }
}

/// Where a request says that it comes from.
enum Sender<'a> {
    /// From ourselves, or from the user's own hand (an address that was typed in, a bookmark).
    Ourselves,
    /// From another place, by its origin if it has told.
    Elsewhere(Option<&'a str>),
    /// It does not say.
    Unknown,
}

/// Checks a request that brings cookies. What only reads may come from anywhere, since its answer is kept
/// from other sites by the browser; a WebSocket may not, since its answer is not.
pub fn check(request: &Inbound<'_>, target: Target<'_>) -> Result<(), Denied> {
    if is_websocket(request.headers) {
        return match origin(request.headers)? {
            Some(origin) if is_ours(origin, request, target) || target.trusts(origin, request.method) => Ok(()),
            _ => Err(Denied::CrossSite), // RFC 6455 §10.2: every browser sends it.
        };
    }
    // RFC 9110 §9.2.1.
    if request.method.is_safe() {
        return Ok(());
    }
    match sender(request, target)? {
        Sender::Ourselves => Ok(()),
        Sender::Elsewhere(Some(origin)) if target.trusts(origin, request.method) => Ok(()),
        Sender::Elsewhere(_) | Sender::Unknown => Err(Denied::CrossSite),
    }
}

/// Checks a request that asks for cookies with credentials of its own (a login): nobody may sign a visitor in
/// as somebody else. One that says nothing comes from no browser, unless it is a form, which old ones send.
pub fn check_login(request: &Inbound<'_>, target: Target<'_>) -> Result<(), Denied> {
    match sender(request, target)? {
        Sender::Ourselves => Ok(()),
        Sender::Elsewhere(Some(origin)) if target.trusts(origin, request.method) => Ok(()),
        // No page can send JSON elsewhere without asking first (Fetch §3.3).
        Sender::Unknown if is_json(request.headers) => Ok(()),
        Sender::Elsewhere(_) | Sender::Unknown => Err(Denied::CrossSite),
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json")
}

fn sender<'a>(request: &Inbound<'a>, target: Target<'_>) -> Result<Sender<'a>, Denied> {
    let origin = origin(request.headers)?;
    Ok(match only(request.headers, &SEC_FETCH_SITE)? {
        Some("same-origin" | "none") => Sender::Ourselves,
        Some(_) => Sender::Elsewhere(origin),
        None => match origin {
            Some(origin) if is_ours(origin, request, target) => Sender::Ourselves,
            Some(origin) => Sender::Elsewhere(Some(origin)),
            None => Sender::Unknown,
        },
    })
}

fn origin(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    only(headers, &ORIGIN)
}

/// A header's one value; twice is a forgery, or a proxy that joins what it should not.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        (Some(_), _) => Err(Denied::CrossSite),
    }
}

/// Whether `origin` is where the request goes to: scheme, host and port. Whoever is reached over TLS is not
/// the same as somebody on the same host without it.
fn is_ours(origin: &str, request: &Inbound<'_>, target: Target<'_>) -> bool {
    let (scheme, port) = if target.secure { ("https://", ":443") } else { ("http://", ":80") };
    let bare = |authority: &'_ str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    origin.strip_prefix(scheme).is_some_and(|authority| bare(authority) == bare(request.authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        check: fn(&Inbound<'_>, Target<'_>) -> Result<(), Denied>,
        method: &Method,
        secure: bool,
        lines: &[(&'static str, &'static str)],
    ) -> bool {
        let headers =
            lines.iter().map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        let trusted = Origins::parse(&["https://app.example.com"]).unwrap();
        let request = Inbound {
            method,
            authority: "api.example.com",
            host: "api.example.com",
            path: "/",
            query: None,
            headers: &headers,
            client: std::net::IpAddr::from([192, 0, 2, 1]),
        };
        check(&request, Target { secure, trusted: &trusted, shared: None }).is_ok()
    }

    #[test]
    fn only_what_says_it_comes_from_us_may_change_something() {
        for (name, lines, passes) in [
            ("it says nothing", &[][..], false),
            ("our own page", &[("sec-fetch-site", "same-origin")], true),
            ("the user's own hand", &[("sec-fetch-site", "none")], true),
            ("another site", &[("sec-fetch-site", "cross-site")], false),
            ("a neighbour", &[("sec-fetch-site", "same-site"), ("origin", "https://evil.example.com")], false),
            ("a trusted one", &[("sec-fetch-site", "same-site"), ("origin", "https://app.example.com")], true),
            ("an unknown word", &[("sec-fetch-site", "fine")], false),
            ("two words", &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            ("an old browser on our page", &[("origin", "https://api.example.com")], true),
            ("with the port written out", &[("origin", "https://api.example.com:443")], true),
            ("another port", &[("origin", "https://api.example.com:444")], false),
            ("without TLS", &[("origin", "http://api.example.com")], false),
            ("a name that goes on", &[("origin", "https://api.example.com.evil.test")], false),
            ("a hidden origin", &[("origin", "null")], false),
            (
                "the other header lies about us",
                &[("sec-fetch-site", "cross-site"), ("origin", "https://api.example.com")],
                false,
            ),
        ] {
            assert_eq!(outcome(check, &Method::POST, true, lines), passes, "{name}");
            assert!(outcome(check, &Method::GET, true, lines), "{name}: reading is free");
        }
        assert!(outcome(check, &Method::DELETE, false, &[("origin", "http://api.example.com")]));
    }

    #[test]
    fn a_websocket_names_its_origin() {
        let upgrade = ("upgrade", "websocket");
        for (name, line, passes) in [
            ("ours", ("origin", "https://api.example.com"), true),
            ("trusted", ("origin", "https://app.example.com"), true),
            ("another", ("origin", "https://evil.test"), false),
            ("none, whatever else it says", ("sec-fetch-site", "same-origin"), false),
        ] {
            assert_eq!(outcome(check, &Method::GET, true, &[upgrade, line]), passes, "{name}");
        }
    }

    #[test]
    fn nobody_else_signs_a_visitor_in() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let json = ("content-type", "application/json; charset=utf-8");
        for (name, lines, passes) in [
            ("a program", &[json][..], true),
            ("a form of an old browser that says nothing", &[form], false),
            ("our form", &[form, ("origin", "https://api.example.com")], true),
            ("another site's form", &[form, ("origin", "https://evil.test")], false),
            ("another site's script", &[json, ("sec-fetch-site", "cross-site")], false),
        ] {
            assert_eq!(outcome(check_login, &Method::POST, true, lines), passes, "{name}");
        }
    }
}
