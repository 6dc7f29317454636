//! Other origins: which pages elsewhere are trusted, as their browsers name them in `Origin`. An origin is
//! compared to the letter, as browsers write it. What a trusted one may do is for those to say who ask.

use std::collections::BTreeSet;

use thiserror::Error;

/// Origins of one configuration: exact ones, and all below a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    exact: BTreeSet<String>,
    below: BTreeSet<Below>,
}

/// `https://*.example.com`: one or more labels in front of `.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Below {
    scheme: String,
    tail: String,
}

/// Why a text is no origin that a browser would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OriginError {
    /// Neither `http://` nor `https://`.
    #[error("an origin begins with https:// or http://")]
    Scheme,
    /// The host is missing, or holds what a browser would write differently.
    #[error("an origin has a host in lower case, as browsers write it, and no path")]
    Host,
    /// The port is no number, or the one that browsers leave out.
    #[error("an origin has a port only if it is not the scheme's own")]
    Port,
}

impl Origins {
    /// Reads origins such as `https://app.example.com`, `http://localhost:3000` or `https://*.example.com`.
    pub fn parse<T: AsRef<str>>(raw: &[T]) -> Result<Self, OriginError> {
        let mut origins = Self::default();
        raw.iter().try_for_each(|raw| origins.add(raw.as_ref()))?;
        Ok(origins)
    }

    /// Adds one.
    pub fn add(&mut self, raw: &str) -> Result<(), OriginError> {
        let (scheme, authority) = raw.split_once("://").ok_or(OriginError::Scheme)?;
        let default_port = match scheme {
            "https" => "443",
            "http" => "80",
            _ => return Err(OriginError::Scheme),
        };
        match authority.strip_prefix("*.") {
            Some(parent) if parent.contains('.') => {
                check_authority(parent, default_port)?;
                self.below.insert(Below { scheme: format!("{scheme}://"), tail: format!(".{parent}") });
            }
            Some(_) => return Err(OriginError::Host), // A whole top-level domain is nobody's.
            None => {
                check_authority(authority, default_port)?;
                self.exact.insert(raw.to_owned());
            }
        }
        Ok(())
    }

    /// Whether `origin`, as a browser sent it, is among them.
    pub fn allows(&self, origin: &str) -> bool {
        self.exact.contains(origin) || self.below.iter().any(|below| below.covers(origin))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }
}

impl Below {
    fn covers(&self, origin: &str) -> bool {
        let labels = origin.strip_prefix(&self.scheme).and_then(|authority| authority.strip_suffix(&self.tail));
        labels.is_some_and(is_host)
    }
}

fn check_authority(authority: &str, default_port: &str) -> Result<(), OriginError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.to_string() == text);
    if !bracketed.map_or_else(|| is_host(host), is_address) {
        return Err(OriginError::Host);
    }
    let fits = |port: &str| port != default_port && port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    if port.is_some_and(|port| !fits(port)) {
        return Err(OriginError::Port);
    }
    Ok(())
}

/// Labels of lower-case letters, digits, `-` and `_`, parted by single dots.
fn is_host(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_write() {
        for (raw, expected) in [
            ("https://app.example.com", Ok(())),
            ("http://localhost:3000", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("https://[2001:db8::1]:8443", Ok(())),
            ("https://*.example.com", Ok(())),
            ("https://*.example.com:8443", Ok(())),
            ("app.example.com", Err(OriginError::Scheme)),
            ("ftp://app.example.com", Err(OriginError::Scheme)),
            ("null", Err(OriginError::Scheme)),
            ("https://", Err(OriginError::Host)),
            ("https://App.example.com", Err(OriginError::Host)),
            ("https://app.example.com/", Err(OriginError::Host)),
            ("https://user@app.example.com", Err(OriginError::Host)),
            ("https://app..example.com", Err(OriginError::Host)),
            ("https://*.com", Err(OriginError::Host)),
            ("https://a.*.example.com", Err(OriginError::Host)),
            ("https://[2001:DB8::1]", Err(OriginError::Host)),
            ("https://app.example.com:443", Err(OriginError::Port)),
            ("http://localhost:080", Err(OriginError::Port)),
            ("http://localhost:port", Err(OriginError::Port)),
        ] {
            assert_eq!(Origins::default().add(raw), expected, "{raw}");
        }
    }

    #[test]
    fn an_origin_is_compared_to_the_letter() {
        let origins = Origins::parse(&["https://app.example.com", "https://*.example.org"]).unwrap();
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://app.example.com.evil.test", false),
            ("https://a.example.org", true),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://.example.org", false),
            ("https://evilexample.org", false),
            ("https://evil.test/.example.org", false),
            ("https://evil.test#.example.org", false),
            ("http://a.example.org", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(origins.allows(origin), allowed, "{origin}");
        }
    }
}
