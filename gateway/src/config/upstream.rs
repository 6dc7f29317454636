//! What the configuration says of a pool of servers: where they are, how their health is known, and how long
//! anything may take. Every timeout has a value, since a connection without one can hang for ever.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::overload::Capacity;

/// A named pool of servers.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `host:port` of each server.
    pub servers: Vec<ServerAddress>,
    /// Whether they speak HTTP/2, as gRPC does, instead of HTTP/1.1; without TLS (RFC 9113 §3.3).
    pub http2: bool,
    /// How it is found out whether a server works.
    pub health: HealthCheck,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The longest silence while a server answers.
    pub read_timeout: Duration,
    /// The longest that a server may take to accept a part of the request.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// The longest silence in a tunnel, such as a WebSocket.
    pub tunnel_timeout: Duration,
    /// How many servers are tried for one request; at least 1.
    pub attempts: usize,
    /// How many requests may be on their way to it at once.
    pub requests: Capacity,
    /// How often names are resolved again.
    pub resolve_interval: Duration,
    /// Headers that every request to a server carries, such as a shared secret.
    pub headers: Vec<UpstreamHeader>,
}

/// A header that the gateway adds; no client can send one of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value, marked sensitive.
    pub value: HeaderValue,
}

/// Where a server is: resolved in the background, never while a request waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress {
    /// A name in lower case, or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How it is found out whether a server works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// A connection can be made.
    Tcp {
        /// How often.
        interval: Duration,
        /// How long it may take.
        timeout: Duration,
    },
    /// `GET path` answers 2xx.
    Http {
        /// The path.
        path: String,
        /// How often.
        interval: Duration,
        /// How long it may take.
        timeout: Duration,
    },
}
