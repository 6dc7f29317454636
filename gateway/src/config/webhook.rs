//! Who is told of events, as types that can't be wrong. A URL has a host, and TLS unless that host is this machine.
//! It may be a secret, and is never printed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderValue, Uri};
use thiserror::Error;

use crate::secret::Secret;

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A refresh token was used twice.
    SessionReused,
}

impl Event {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionReused => "session.reused",
        }
    }
}

/// Who is told of events, and how.
#[derive(Clone, Debug)]
pub struct WebhookTerms {
    /// Where events are posted to.
    pub url: WebhookUrl,
    /// Signs them: 32 to 64 bytes.
    pub key: Secret,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts there are.
    pub attempts: u32,
    /// What is told.
    pub events: Vec<Event>,
}

/// Where events are posted to.
#[derive(Clone)]
pub struct WebhookUrl(Uri);

/// Why a text is no such URL. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookUrlError {
    /// No URL, or one of another scheme.
    #[error("this is no URL; write \"https://HOST/PATH\"")]
    NoUrl,
    /// A name or password in the URL, which we would not send.
    #[error("a URL with a user name is not supported; put what is secret into the path, and the URL into a secret")]
    User,
    /// Without TLS to another machine.
    #[error(
        "events would go through the network in plain; write https://, or an address of this machine, such as http://127.0.0.1:9000/path"
    )]
    Plain,
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(raw: &str) -> Result<Self, WebhookUrlError> {
        let uri: Uri = raw.parse().map_err(|_| WebhookUrlError::NoUrl)?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(WebhookUrlError::NoUrl)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(WebhookUrlError::User);
        }
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if is_this_machine(host) => Ok(Self(uri)),
            Some("http") => Err(WebhookUrlError::Plain),
            _ => Err(WebhookUrlError::NoUrl),
        }
    }
}

/// Addresses only: a name may lead elsewhere.
fn is_this_machine(host: &str) -> bool {
    unbracketed(host).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl WebhookUrl {
    /// Whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host to connect to, and the port.
    pub fn place(&self) -> (&str, u16) {
        let host = self.0.host().expect("it was parsed with one");
        (unbracketed(host), self.0.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 }))
    }

    /// What is asked for there.
    pub fn target(&self) -> Uri {
        self.0.path_and_query().cloned().map_or_else(Uri::default, Uri::from)
    }

    /// The `Host` header.
    pub fn authority(&self) -> HeaderValue {
        let authority = self.0.authority().map_or("", http::uri::Authority::as_str);
        HeaderValue::from_str(authority).expect("an authority is visible ASCII")
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookUrl(…)")
    }
}
