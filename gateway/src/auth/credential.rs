//! Where a request carries its tokens: in `Authorization`, or in cookies. It relies on the configuration for
//! whether cookies count, and refuses a request that carries two different ones. Nothing here looks into them.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::cookies::{Cookies, Held};
use crate::inbound::Malformed;

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// An access token in `Authorization`, which no page can make a browser send elsewhere.
    Bearer(&'a str),
    /// Cookies, which browsers send unasked.
    Cookies(Held<'a>),
}

/// What a request carries, as far as `cookies` may count. The same token in both places is a bearer token.
pub fn read<'a>(headers: &'a HeaderMap, cookies: Option<&Cookies>) -> Result<Credential<'a>, Malformed> {
    let held = cookies.map(|cookies| cookies.read(headers)).transpose()?.unwrap_or_default();
    match (bearer(headers)?, held) {
        (Some(token), Held { access: Some(other), .. }) if token != other => Err(Malformed::SeveralCredentials),
        (Some(token), _) => Ok(Credential::Bearer(token)),
        (None, Held { access: None, refresh: None }) => Ok(Credential::None),
        (None, held) => Ok(Credential::Cookies(held)),
    }
}

/// The bearer token (RFC 6750 §2.1); none if there is no `Authorization` or it is of another scheme.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed::SeveralCredentials);
    }
    let text = value.to_str().map_err(|_| Malformed::Credential)?;
    let scheme_ends = text.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(scheme_ends);
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Ok(None);
    }
    // What we would not read but a server behind us might, such as `Bearer<tab>…`, is not passed on unread.
    match rest.trim_start_matches(' ') {
        token if token.len() < rest.len() && !token.is_empty() => Ok(Some(token)),
        _ => Err(Malformed::Credential),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn one_bearer_token_is_read_and_nothing_else() {
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(read(&["bearer  abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Basic YTpi"]), Ok(None));
        for bad in ["Bearer", "Bearer\tabc", "bearer,abc", "Bearer=abc", "Bearer:abc", "BEARER/abc"] {
            assert_eq!(read(&[bad]), Err(Malformed::Credential), "{bad:?}");
        }
        assert_eq!(read(&["Bearers abc"]), Ok(None));
        assert_eq!(read(&["Bearer a", "Bearer b"]), Err(Malformed::SeveralCredentials));
    }
}
