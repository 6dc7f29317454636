//! Tokens in cookies, for browsers: their names and attributes, how they are read and written, and how they
//! are kept from servers. It relies on the configuration for a combination that browsers take. Whether a token
//! holds is not known here, nor whether a request that brings one was meant by its user (`csrf.rs`).

use std::fmt;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use thiserror::Error;

use crate::cors::Origins;
use crate::csrf;
use crate::inbound::Malformed;
use crate::routing::Route;
use crate::session::issue::TokenPair;
use crate::session::refresh_token;

/// The most bytes of names and values of both cookies: what every browser keeps (RFC 6265 §6.1).
pub const MAX_BYTES: usize = 4096;

/// How tokens travel in cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// The name of the cookie that holds the access token.
    pub access: CookieName,
    /// The name of the one that holds the refresh token.
    pub refresh: CookieName,
    /// Whether browsers send them over TLS only; if not, they are for plain HTTP on this machine.
    pub secure: bool,
    /// When browsers send them along with requests that other sites make.
    pub same_site: SameSite,
    /// How long browsers keep them.
    pub life: CookieLife,
    /// How a login answers.
    pub deliver: Deliver,
    /// An access token that lives no longer than this is renewed already.
    pub early_refresh: Duration,
    /// Further origins whose requests may change something.
    pub trusted_origins: Origins,
}

/// The name of a cookie: a token of RFC 9110 §5.6.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(String);

/// Why a text can't be the name of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CookieNameError {
    /// It is empty, or longer than a name should be.
    #[error("a name has 1 to 64 characters")]
    Length,
    /// It holds a character that a name can't have.
    #[error("a name has letters, digits and !#$%&'*+-.^_`|~ only")]
    Character,
}

impl CookieName {
    /// Reads a name.
    pub fn parse(raw: &str) -> Result<Self, CookieNameError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match raw.len() {
            1..=64 if raw.bytes().all(fits) => Ok(Self(raw.to_owned())),
            1..=64 => Err(CookieNameError::Character),
            _ => Err(CookieNameError::Length),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers take a cookie of this name only if it is `Secure`: they ignore case there.
    pub fn promises_secure(&self) -> bool {
        let begins = |prefix: &str| self.0.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        ["__Host-", "__Secure-", "__Http-", "__Host-Http-"].into_iter().any(begins)
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The attribute `SameSite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never from other sites, not even by a link.
    Strict,
    /// From other sites by a link only.
    Lax,
    /// Always.
    None,
}

impl SameSite {
    const fn name(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// How long browsers keep the cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieLife {
    /// As long as the tokens live.
    Tokens,
    /// Until the browser is closed.
    Browser,
}

/// How a login answers. A rotation answers the way that its token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// With tokens in the body.
    Body,
    /// With cookies, which scripts can't read.
    Cookies,
    /// With both.
    Both,
}

impl Deliver {
    /// Whether cookies are set.
    pub fn by_cookies(self) -> bool {
        matches!(self, Self::Cookies | Self::Both)
    }

    /// Whether the body holds the tokens.
    pub fn in_body(self) -> bool {
        matches!(self, Self::Body | Self::Both)
    }
}

/// The tokens that a request brings in cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held<'a> {
    /// The access token.
    pub access: Option<&'a str>,
    /// The refresh token.
    pub refresh: Option<&'a str>,
}

/// Both tokens do not fit into cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the cookies would have {bytes} bytes, more than the {MAX_BYTES} that browsers keep")]
pub struct TooLarge {
    bytes: usize,
}

impl Cookies {
    /// What requests for `route` that bring them are held against.
    pub fn target<'a>(&'a self, route: &'a Route) -> csrf::Target<'a> {
        csrf::Target { secure: self.secure, trusted: &self.trusted_origins, shared: route.cors.as_deref() }
    }

    /// Reads both tokens. What is there twice is refused: one of the two was planted (cookie tossing).
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Held<'a>, Malformed> {
        let mut held = Held::default();
        for (name, value) in crumbs(headers) {
            let place = match name {
                name if name == self.access.0.as_bytes() => &mut held.access,
                name if name == self.refresh.0.as_bytes() => &mut held.refresh,
                _ => continue,
            };
            let text = std::str::from_utf8(value).map_err(|_| Malformed::Cookie)?;
            if place.is_some() {
                return Err(Malformed::SeveralCredentials);
            }
            *place = Some(text);
        }
        // Some programs blank a cookie that they mean to remove.
        let filled = |value: Option<&'a str>| value.filter(|text| !text.is_empty());
        Ok(Held { access: filled(held.access), refresh: filled(held.refresh) })
    }

    /// Whether a request brings one of them.
    pub fn are_in(&self, headers: &HeaderMap) -> bool {
        crumbs(headers).any(|(name, _)| self.is_ours(name))
    }

    /// The values of `Set-Cookie` that hand out `pair`.
    pub fn set(&self, pair: &TokenPair) -> Result<[HeaderValue; 2], TooLarge> {
        let ((access, access_life), (refresh, refresh_life)) = (pair.access(), pair.refresh());
        let bytes = self.access.0.len() + access.len() + self.refresh.0.len() + refresh.len();
        if bytes > MAX_BYTES {
            return Err(TooLarge { bytes });
        }
        Ok([self.written(&self.access, access, access_life), self.written(&self.refresh, refresh, refresh_life)])
    }

    /// The values of `Set-Cookie` that make a browser forget both.
    pub fn clear(&self) -> [HeaderValue; 2] {
        [&self.access, &self.refresh].map(|name| self.line(&format!("{name}="), Some(Duration::ZERO)))
    }

    fn written(&self, name: &CookieName, value: &str, life: Duration) -> HeaderValue {
        let life = (self.life == CookieLife::Tokens).then_some(life);
        self.line(&format!("{name}={value}"), life)
    }

    fn line(&self, pair: &str, life: Option<Duration>) -> HeaderValue {
        let max_age = life.map_or_else(String::new, |life| format!("; Max-Age={}", life.as_secs()));
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{pair}; Path=/; HttpOnly{secure}; SameSite={}{max_age}", self.same_site.name());
        let mut value = HeaderValue::from_str(&text).expect("names and tokens are visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether a `Set-Cookie` of somebody else's would change one of ours.
    pub fn are_set_by(&self, set_cookie: &HeaderValue) -> bool {
        let pair = set_cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        self.begins(pair)
    }

    /// Whether a server may find one of ours in `crumb`, if only behind a comma, which parted cookies once
    /// (RFC 2965 §3.3.4).
    fn are_found_in(&self, crumb: &[u8]) -> bool {
        crumb.split(|byte| *byte == b',').any(|part| self.begins(part))
    }

    /// Whether `pair` begins with one of our names.
    fn begins(&self, pair: &[u8]) -> bool {
        match split(pair.trim_ascii()) {
            // What has no name is sent back as its value alone, which we would read (RFC 6265bis §5.7).
            (b"", value) => self.is_ours(split(value).0),
            (name, _) => self.is_ours(name),
        }
    }

    /// Whether a browser or a server may read `name` as one of ours: some drop blanks that are none to us, or read
    /// `.` as `_`, so only letters and digits count.
    fn is_ours(&self, name: &[u8]) -> bool {
        [&self.access, &self.refresh].into_iter().any(|ours| folded(name).eq(folded(ours.0.as_bytes())))
    }
}

fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// What a server may see of the cookies of a request: all but ours, and but for what was one of ours before the
/// names were changed: a refresh token is for nobody but us.
pub fn of_others(ours: Option<&Cookies>, headers: &HeaderMap) -> Vec<u8> {
    let is_ours = |crumb: &[u8]| {
        ours.is_some_and(|cookies| cookies.are_found_in(crumb)) || refresh_token::has_shape(split(crumb).1)
    };
    lines(headers).filter(|crumb| !is_ours(crumb)).collect::<Vec<_>>().join(&b"; "[..])
}

/// The cookies of all `Cookie` lines, of which HTTP/2 may have many (RFC 9113 §8.2.3).
fn lines(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(COOKIE).into_iter();
    values
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|c| !c.is_empty())
}

fn crumbs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(headers).map(split)
}

/// A cookie's name and value, as RFC 6265 §5.2 parts them.
fn split(crumb: &[u8]) -> (&[u8], &[u8]) {
    match crumb.iter().position(|byte| *byte == b'=') {
        Some(at) => (crumb[..at].trim_ascii_end(), crumb[at + 1..].trim_ascii_start()),
        None => (crumb, b""),
    }
}

#[cfg(test)]
mod tests;
