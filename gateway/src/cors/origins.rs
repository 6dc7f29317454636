//! Other origins: which pages elsewhere are trusted, as their browsers name them in `Origin`. An origin is
//! compared to the letter, as browsers write it. What a trusted one may do is for those to say who ask.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

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
            Some(parent) if parent.contains('.') && !ends_in_number(host_and_port(parent).0) => {
                check_authority(parent, default_port)?;
                self.below.insert(Below { scheme: format!("{scheme}://"), tail: format!(".{parent}") });
            }
            Some(_) => return Err(OriginError::Host), // A whole top-level domain is nobody's, an address has none below.
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
        labels.is_some_and(are_labels)
    }
}

/// Whether whoever is on the way can forge pages of `origin`: it is plain HTTP, and not on this machine.
pub fn can_be_forged(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else { return false };
    let (host, _) = host_and_port(authority);
    let is_local = host == "localhost" || host.ends_with(".localhost") || host == "[::1]";
    !is_local && !host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn check_authority(authority: &str, default_port: &str) -> Result<(), OriginError> {
    let (host, port) = host_and_port(authority);
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if !bracketed.map_or_else(|| is_host(host), is_ipv6) {
        return Err(OriginError::Host);
    }
    let is_usual = |number: u16| number != 0 && port.is_some_and(|port| number.to_string() == port);
    let fits = |port: &str| port != default_port && port.parse().is_ok_and(is_usual);
    if port.is_some_and(|port| !fits(port)) {
        return Err(OriginError::Port);
    }
    Ok(())
}

fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if ends_in_number(host) {
        return host.parse::<Ipv4Addr>().is_ok(); // Which reads no other spelling than its own.
    }
    are_labels(host)
}

/// Labels of lower-case letters, digits, `-` and `_`, parted by single dots.
fn are_labels(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(fits))
}

/// Browsers read such a host as an IPv4 address, or not at all (URL §3.5, "ends in a number").
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_hexadecimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal || last.strip_prefix("0x").is_some_and(is_hexadecimal)
}

/// As browsers write it: in hexadecimal throughout, even where it maps an IPv4 address (URL §3.5).
fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok_and(|address| match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => format!("::ffff:{high:x}:{low:x}") == text,
        _ => address.to_string() == text,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn origins_are_those_that_browsers_write() {
        for (raw, expected) in [
            ("https://app.example.com", Ok(())),
            ("http://localhost:3000", Ok(())),
            ("http://127.0.0.1:8080", Ok(())),
            ("https://[2001:db8::1]:8443", Ok(())),
            ("https://[::ffff:102:304]", Ok(())),
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
            ("https://*.127.0.0.1", Err(OriginError::Host)),
            ("https://127.1", Err(OriginError::Host)),
            ("https://app.0x7f", Err(OriginError::Host)),
            ("https://[2001:DB8::1]", Err(OriginError::Host)),
            ("https://[::ffff:1.2.3.4]", Err(OriginError::Host)),
            ("https://app.example.com:443", Err(OriginError::Port)),
            ("http://localhost:080", Err(OriginError::Port)),
            ("http://localhost:0", Err(OriginError::Port)),
            ("http://localhost:+81", Err(OriginError::Port)),
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
    #[test]
    fn pages_over_plain_http_can_be_forged_unless_they_are_local() {
        for (origin, forged) in [
            ("http://app.example.com", true),
            ("http://app.example.com:8080", true),
            ("http://*.example.com", true),
            ("http://192.168.0.1", true),
            ("http://localhost.example.com", true),
            ("http://localhost:3000", false),
            ("http://app.localhost:3000", false),
            ("http://127.0.0.1:3000", false),
            ("http://[::1]:3000", false),
            ("https://app.example.com", false),
        ] {
            assert_eq!(can_be_forged(origin), forged, "{origin}");
        }
    }

    /// The origin that a browser names for a page at `address`.
    fn written(address: &str) -> Option<String> {
        url::Url::parse(address).ok().map(|address| address.origin().ascii_serialization())
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn what_is_taken_is_what_a_browser_writes(
                raw in "https?://(\\[[0-9a-f:.]{2,14}\\]|[a-z0-9_.x-]{1,12}|[ -~]{1,12})(:[0-9+]{1,5})?[/ ?#@]?",
            ) {
                if !raw.contains('*') && Origins::default().add(&raw).is_ok() {
                    prop_assert_eq!(written(&raw), Some(raw));
                }
            }

            #[test]
            fn what_a_browser_writes_is_taken(
                address in "(HTTP|https)://([A-Za-z_-][A-Za-z0-9_-]{0,8}\\.){0,3}[a-wyz]{2,5}(:[0-9]{1,4})?(/[ -~]{0,9})?",
            ) {
                let origin = written(&address).filter(|origin| !origin.contains("xn--") && !origin.ends_with(":0"));
                if let Some(origin) = origin {
                    prop_assert_eq!(Origins::default().add(&origin), Ok(()));
                }
            }

            #[test]
            fn below_a_name_are_hosts_that_end_in_it(origin in "https://[a-z.@/#:0-9*-]{0,12}\\.example\\.com(:[0-9]{2,3})?") {
                let origins = Origins::parse(&["https://*.example.com"]).unwrap();
                if origins.allows(&origin) {
                    let page = url::Url::parse(&origin).unwrap();
                    prop_assert!(page.host_str().unwrap().ends_with(".example.com"), "{}", origin);
                    prop_assert_eq!((page.port(), page.path(), page.username()), (None, "/", ""));
                }
            }
        }
    }
}
