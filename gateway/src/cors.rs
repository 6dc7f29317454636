//! What pages of other origins may read and send (cross-origin resource sharing, Fetch §3.3): the headers that
//! tell their browsers, on answers and on preflights. It relies on the configuration for what may be granted
//! together. It refuses nothing: who may pass is the same for every page (`policy.rs`, `csrf.rs`).

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::ids::CorsId;

mod origins;

pub use origins::{OriginError, Origins, can_be_forged};

/// What depends on the origin of the page.
const BY_ORIGIN: &[&str] = &["Origin"];
/// What depends on all that a preflight asks.
const BY_QUESTION: &[&str] = &["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"];

/// What is granted to pages of other origins; routes refer to it by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Its name.
    pub id: CorsId,
    /// Which pages.
    pub pages: Pages,
    /// What they may ask for; whatever is routed if `None`.
    pub methods: Option<Vec<Method>>,
    /// Headers that they may send.
    pub headers: RequestHeaders,
    /// Headers of answers that they may read.
    pub exposed: Vec<HeaderName>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Duration,
}

/// Which pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pages {
    /// All, without the credentials that browsers keep.
    All,
    /// Those of some origins.
    Of {
        /// The origins.
        origins: Origins,
        /// Whether their requests may bring cookies.
        credentials: bool,
    },
}

/// Headers that pages may send, beside those that need no leave (Fetch §2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestHeaders {
    /// All.
    Any,
    /// These.
    Only(Vec<HeaderName>),
}

/// What one answer tells browsers.
#[derive(Debug, PartialEq, Eq)]
pub struct Sharing {
    /// All of its `Access-Control-*`: nothing, if the page may not read it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers of the request that it depends on, for `Vary`.
    pub vary: &'static [&'static str],
}

/// What a browser asks before it sends a page's request (Fetch §3.3.1).
pub struct Preflight<'a> {
    /// The method of the request to come.
    pub method: Method,
    headers: &'a HeaderMap,
}

/// The outcome of a preflight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request may come.
    Allowed,
    /// Not from pages of this origin.
    Origin,
    /// Not with this method.
    Method,
    /// Not with these headers.
    Headers,
}

impl Outcome {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Origin => "origin",
            Self::Method => "method",
            Self::Headers => "headers",
        }
    }
}

impl Cors {
    /// Whether pages of `origin` may send requests of this method with cookies, and so mean to.
    pub fn takes_cookies_of(&self, origin: &str, method: &Method) -> bool {
        let granted = self.methods.as_ref().is_none_or(|methods| methods.contains(method));
        match &self.pages {
            _ if !granted => false,
            Pages::All => false,
            Pages::Of { origins, credentials } => *credentials && origins.allows(origin),
        }
    }
}

impl<'a> Preflight<'a> {
    /// The question that a request asks, if it is a preflight.
    pub fn read(method: &Method, headers: &'a HeaderMap) -> Option<Self> {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|_| method == Method::OPTIONS)?;
        let method = Method::from_bytes(asked.as_bytes()).ok()?;
        headers.contains_key(ORIGIN).then_some(Self { method, headers })
    }

    /// The methods that a browser may want to hear of: the usual ones, and the one that is asked for.
    pub fn methods(&self) -> Vec<Method> {
        const USUAL: [Method; 6] =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let unusual = Some(&self.method).filter(|method| !USUAL.contains(method)).cloned();
        USUAL.into_iter().chain(unusual).collect()
    }

    /// The headers of the request to come; `None` if one of them is no name.
    fn asked_headers(&self) -> Option<Vec<HeaderName>> {
        let lists = self.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let names = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        names.filter(|name| !name.is_empty()).map(|name| HeaderName::from_bytes(name).ok()).collect()
    }
}

impl Cors {
    /// What every answer to a request with these headers says, whatever else it says.
    pub fn answer(&self, request: &HeaderMap) -> Sharing {
        let mut headers = self.allow_origin(request);
        if !headers.is_empty() && !self.exposed.is_empty() {
            headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, list(&self.exposed)));
        }
        Sharing { headers, vary: BY_ORIGIN }
    }

    /// What the answer to a preflight says; `routed` are the methods that the path answers under these terms.
    pub fn preflight(&self, asked: &Preflight<'_>, mut routed: Vec<Method>) -> (Sharing, Outcome) {
        routed.retain(|method| self.methods.as_ref().is_none_or(|granted| granted.contains(method)));
        let mut headers = self.allow_origin(asked.headers);
        let outcome = match self.granted_headers(asked) {
            _ if headers.is_empty() => Outcome::Origin,
            _ if !routed.contains(&asked.method) => Outcome::Method,
            None => Outcome::Headers,
            Some(granted) => {
                headers.push((ACCESS_CONTROL_ALLOW_METHODS, list(&routed)));
                if !granted.is_empty() {
                    headers.push((ACCESS_CONTROL_ALLOW_HEADERS, list(&granted)));
                }
                headers.push((ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age.as_secs())));
                Outcome::Allowed
            }
        };
        if outcome != Outcome::Allowed {
            headers.clear();
        }
        (Sharing { headers, vary: BY_QUESTION }, outcome)
    }

    /// Whether pages of the origin that a request names are among those meant, and so with what.
    fn allow_origin(&self, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        match &self.pages {
            Pages::All => vec![(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))],
            Pages::Of { origins, credentials } => {
                let Some(origin) = only_origin(request).filter(|origin| allows(origins, origin)) else {
                    return Vec::new();
                };
                let mut headers = vec![(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())];
                if *credentials {
                    headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
                }
                headers
            }
        }
    }

    /// The headers that may be sent, if those that are asked for are among them. A "*" would not cover
    /// `Authorization` (Fetch §2.2.2), so whatever is asked for is named.
    fn granted_headers(&self, asked: &Preflight<'_>) -> Option<Vec<HeaderName>> {
        let asked = asked.asked_headers()?;
        match &self.headers {
            RequestHeaders::Any => Some(asked),
            RequestHeaders::Only(granted) => asked.iter().all(|name| granted.contains(name)).then(|| granted.clone()),
        }
    }
}

/// The origin that a request names, if it is one.
fn only_origin(request: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = request.get_all(ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none())
}

fn allows(origins: &Origins, origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| origins.allows(origin))
}

/// Names in one header.
fn list<T: AsRef<str>>(names: &[T]) -> HeaderValue {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods and names of headers are visible ASCII")
}

#[cfg(test)]
mod tests;
