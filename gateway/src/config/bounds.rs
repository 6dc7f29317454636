//! What clients of one listener may cost: their number, the size of what they send, and the time that they take. All
//! of it is bounded, whatever the configuration says. Nothing here counts or measures.

use std::time::Duration;

/// What the clients of one listener may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a request's head may take, from its first byte (and a new connection's first byte) on.
    pub header_timeout: Duration,
    /// The most bytes of a head; over HTTP/2 once it is unpacked, as RFC 9113 §6.5.2 counts them.
    pub max_header_bytes: usize,
    /// How many requests one connection may bring.
    pub requests_per_connection: u32,
    /// How fast a body has to come.
    pub body: BodyPace,
    /// How many connections may be open.
    pub max_connections: usize,
    /// How many of them may come from one address (IPv6: its /64) that is no trusted proxy.
    pub connections_per_address: usize,
    /// How many requests over HTTP/2, which carries many at once, one such address may have open.
    pub streams_per_address: u32,
}

/// How fast a body has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPace {
    /// How long a whole request may take to arrive.
    pub request_timeout: Duration,
    /// The bytes in a second that a body has to bring on average, once [`BodyPace::grace`] is over.
    pub min_rate: u64,
    /// How long nobody asks for an average.
    pub grace: Duration,
}
