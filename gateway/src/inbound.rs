//! The request made safe to decide on: what every reader must read alike, its canonical path, and where
//! it really comes from. [`Inbound`] is our own borrowed view, so that what decides names no engine.
//! Nothing here decides who may pass.

use std::net::IpAddr;

use http::{HeaderMap, Method};
use thiserror::Error;

pub mod client;
pub mod framing;
pub mod host;
pub(crate) mod names;
pub mod navigation;
pub mod path;

/// A request as those see it who decide about it.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host in its one spelling, with its port if it was named.
    pub authority: &'a str,
    /// The same without its port.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query, as it came.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Who sends it: a peer, or what a trusted proxy says.
    pub client: IpAddr,
}

/// What is wrong with a request. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// A request line or header that is none, as RFC 9112 has it.
    #[error("The request can't be read: {0}.")]
    Head(&'static str),
    /// Another version of HTTP than is spoken here.
    #[error("This version of HTTP is not served here.")]
    Version,
    /// No `Host`, several, one that is no host, or another one than the target names.
    #[error("The header Host must name one host.")]
    Host,
    /// `Content-Length` and `Transfer-Encoding`, or either of them twice or unreadable.
    #[error("The length of the body is ambiguous.")]
    Framing,
    /// A body whose chunks are none, as RFC 9112 §7.1 has them.
    #[error("A chunk of the body can't be read: {0}.")]
    Chunk(&'static str),
    /// More headers, or longer ones, than are read.
    #[error("The headers are too large.")]
    HeadersTooLarge,
    /// Headers that contradict each other, such as a `Connection` that names one that it may not.
    #[error("The headers contradict each other.")]
    Headers,
    /// A target that is a URL of something else (RFC 9110 §4.2), or nothing that is known.
    #[error("The target is neither a path nor a URL of http or https.")]
    Target,
    /// A path that different servers would read differently.
    #[error("The path is ambiguous: {0}.")]
    Path(&'static str),
    /// A query with bytes that no URI has.
    #[error("The query holds bytes that must be encoded.")]
    Query,
    /// A method that no route is ever asked about.
    #[error("The method is not served: TRACE and CONNECT never are, and names of methods are in capitals.")]
    Method,
    /// Two `Authorization` headers, two cookies of one name, or a header and a cookie that differ.
    #[error("There are several credentials: send one Authorization header, or one cookie.")]
    SeveralCredentials,
    /// One of our cookies holds what can't be read.
    #[error("A cookie holds no readable token.")]
    Cookie,
    /// An `Authorization` header that says Bearer and holds no token.
    #[error("The Authorization header holds no readable token.")]
    Credential,
}
