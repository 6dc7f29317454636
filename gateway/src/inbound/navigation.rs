//! Whether a request is a person who looks at a page: what a browser makes of a link, a form or an address.
//! Scripts and programs are to get an answer that they can read, never a page. It relies on what browsers
//! say of themselves (Fetch Metadata, §2.3), and decides nothing that a lie could open.

use http::header::{ACCEPT, HeaderName, UPGRADE};
use http::{HeaderMap, Method};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The headers that decide it, for `Vary`.
pub const DECIDED_BY: &str = "Sec-Fetch-Mode, Accept";

/// Whether somebody wants to look at a page.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && wants_page(headers)
}

/// Whether the answer is for a person: it will be shown in a window of a browser.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all(SEC_FETCH_MODE).iter();
    match (modes.next(), modes.next()) {
        _ if headers.contains_key(UPGRADE) => false,
        (Some(mode), None) => mode == "navigate",
        (Some(_), Some(_)) => false,
        (None, _) => accepts_html(headers),
    }
}

/// Whether `Accept` names HTML: `*/*`, which programs send, does not.
fn accepts_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_looks_at_a_page_is_a_person() {
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (name, lines, expected) in [
            ("a browser", &[("sec-fetch-mode", "navigate"), ("accept", BROWSER)][..], true),
            ("a browser that says nothing of HTML", &[("sec-fetch-mode", "navigate")], true),
            ("a script that asks for HTML", &[("sec-fetch-mode", "cors"), ("accept", BROWSER)], false),
            ("a script of the same origin", &[("sec-fetch-mode", "same-origin"), ("accept", "text/html")], false),
            ("a picture", &[("sec-fetch-mode", "no-cors")], false),
            ("both", &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")], false),
            ("an old browser", &[("accept", BROWSER)], true),
            ("an old browser, in capitals", &[("accept", "Text/HTML ; q=0.5")], true),
            ("an old script", &[("accept", "application/json, text/plain, */*")], false),
            ("a program", &[("accept", "*/*")], false),
            ("a program that says nothing", &[], false),
            ("a program that wants anything else", &[("accept", "text/html;q=0, application/json")], false),
            ("a similar name", &[("accept", "text/html5")], false),
            ("a WebSocket", &[("upgrade", "websocket"), ("sec-fetch-mode", "websocket")], false),
            ("an old WebSocket", &[("upgrade", "websocket"), ("accept", "text/html")], false),
        ] {
            let headers = lines
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)));
            let headers: HeaderMap = headers.collect();
            assert_eq!(is_navigation(&Method::GET, &headers), expected, "{name}");
            assert_eq!(is_navigation(&Method::HEAD, &headers), expected, "{name}");
            assert!(!is_navigation(&Method::POST, &headers), "{name}");
        }
    }
}
